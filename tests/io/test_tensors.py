import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet.io import read_tensors, tensors, write_tensors

TYPES = st.sampled_from(
    ["<f8", "<f4", "<i8", "<i4", "<i2", "i1", "<u8", "<u4", "<u2", "u1", "?", ">f8", ">i4"]
)
ARRAYS = TYPES.flatmap(
    lambda t: hnp.arrays(t, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: name != "__metadata__"
)


@given(st.dictionaries(NAMES, ARRAYS, max_size=4), st.dictionaries(st.text(), JSON, max_size=3))
def test_whatever_is_written_is_read(tmp_path_factory, arrays, metadata):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    write_tensors(path, arrays, "thing", metadata)
    there, told = read_tensors(path, "thing")
    assert told == metadata
    assert set(there) == set(arrays)
    for name, array in arrays.items():
        assert there[name].dtype == array.dtype.newbyteorder("<")
        assert there[name].shape == array.shape
        assert there[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()
        assert not there[name].flags.writeable


def test_strides_do_not_matter(tmp_path):
    a = np.arange(24.0).reshape(4, 6)[::2, ::-3]
    write_tensors(tmp_path / "a", {"a": a}, "thing", {})
    assert np.array_equal(read_tensors(tmp_path / "a")[0]["a"], a)


def test_equal_content_is_equal_bytes(tmp_path):
    a, b = np.arange(3), np.ones((2, 2), np.float32)
    write_tensors(tmp_path / "1", {"a": a, "b": b}, "thing", {"x": 1, "y": 2})
    write_tensors(tmp_path / "2", {"b": b, "a": a}, "thing", {"y": 2, "x": 1})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_the_file_is_what_safetensors_reads(tmp_path):
    from safetensors.numpy import load_file

    write_tensors(tmp_path / "a", {"a": np.arange(3)}, "thing", {})
    assert np.array_equal(load_file(tmp_path / "a")["a"], np.arange(3))


def test_the_digest_is_over_what_the_format_page_says(tmp_path):
    write_tensors(tmp_path / "a", {"b": np.array([1, 2], np.int32), "a": np.array(0.5)}, "thing", {"x": "y"})
    data = (tmp_path / "a").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    head = json.loads(header["__metadata__"]["devnet"])
    told = head.pop("sha256")
    dump = {"separators": (",", ":"), "sort_keys": True}
    sha = hashlib.sha256(json.dumps(head, **dump).encode())
    sha.update(
        b'["a","F64",[]]'
        + np.array(0.5).tobytes()
        + b'["b","I32",[2]]'
        + np.array([1, 2], np.int32).tobytes()
    )
    assert told == sha.hexdigest()


def test_another_kind_is_named(tmp_path):
    write_tensors(tmp_path / "a", {}, "path", {})
    with pytest.raises(CorruptFileError, match="holds a path, not a sheet"):
        read_tensors(tmp_path / "a", "sheet")
    assert tensors.read_any(tmp_path / "a")[0] == "path"


def test_a_newer_schema_asks_for_an_update(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tensors, "SCHEMA", 2)
        write_tensors(tmp_path / "a", {"a": np.arange(3)}, "thing", {})
    with pytest.raises(CorruptFileError, match="schema 2 is unknown, this devnet reads 1; update devnet"):
        read_tensors(tmp_path / "a")


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_a_type_that_the_format_does_not_hold_is_refused(tmp_path, array):
    with pytest.raises(ConfigError, match="F64"):
        write_tensors(tmp_path / "a", {"a": array}, "thing", {})
    assert not list(tmp_path.iterdir())


def test_missing_file_folder_and_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match="a file that exists"):
        read_tensors(tmp_path / "no")
    with pytest.raises(ConfigError, match="a regular file"):
        read_tensors(tmp_path)
    with pytest.raises(StorageError):
        read_tensors("x" * 5000)


def test_a_version_is_known_even_without_an_installation(monkeypatch):
    assert tensors.library_version()

    def absent(_name):
        raise tensors.PackageNotFoundError

    monkeypatch.setattr(tensors, "version", absent)
    assert tensors.library_version() == "0+checkout"
