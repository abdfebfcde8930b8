"""Damaged and hostile array files: a typed error that names file and section, in under a second, and no code run."""

import json
import os
import pickle  # noqa: TID251 (the attack)
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devnet import io
from devnet._core.errors import ConfigError, CorruptFileError
from devnet.io import read_tensors, write_tensors


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "a.safetensors"
    write_tensors(
        path,
        {"a": np.arange(4, dtype=np.float32), "b": np.array([True, False]), "c": np.empty((0, 3))},
        "sheet",
        {"note": "a line\nand more é", "n": 3, "x": 0.5},
    )
    return path.read_bytes()


def refused(path, data):
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(CorruptFileError) as caught:
        read_tensors(path)
    assert time.perf_counter() - start < 1
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_every_truncation_is_caught(tmp_path, small):
    for length in range(len(small)):
        refused(tmp_path / "a", small[:length])


def test_every_single_bit_flip_is_caught(tmp_path, small):
    for place in range(len(small)):
        for bit in range(8):
            flipped = bytearray(small)
            flipped[place] ^= 1 << bit
            refused(tmp_path / "a", bytes(flipped))


def test_bytes_appended_are_caught(tmp_path, small):
    refused(tmp_path / "a", small + b"\0")
    refused(tmp_path / "a", small + small)


@given(data=st.binary(max_size=200), keep=st.integers(0, 8))
@settings(max_examples=200)
def test_random_bytes_are_caught(tmp_path_factory, small, data, keep):
    refused(tmp_path_factory.mktemp("random") / "a", small[:keep] + data)


def header(entries, metadata=None):
    """Build a file from a header as an attacker would."""
    text = json.dumps(
        ({"__metadata__": metadata} if metadata is not None else {}) | entries, separators=(",", ":")
    )
    return struct.pack("<Q", len(text)) + text.encode()


def told(**changes):
    head = {"kind": "sheet", "metadata": {}, "schema": 1, "sha256": "0" * 64, "version": "0"} | changes
    return {"devnet": json.dumps(head, separators=(",", ":"), sort_keys=True)}


def entry(dtype="F64", shape=(1,), offsets=(0, 8)):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


@pytest.mark.parametrize("length", [2**40, 2**63, 2**64 - 1, 16 << 20])
def test_a_header_of_absurd_length_reserves_no_memory(tmp_path, length):
    tracemalloc.start()
    assert "header length" in refused(tmp_path / "a", struct.pack("<Q", length) + b"{}")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "section"),
    [
        (header(entry(shape=(2**61,), offsets=(0, 2**64)), told()), "array a"),
        (header(entry(shape=(2**40, 2**40), offsets=(0, 8)), told()) + bytes(8), "array a"),
        (header(entry(shape=(2**50, 0), offsets=(0, 0)), told()), "data"),
        (header(entry(shape=(2**61, 2**61, 0), offsets=(0, 0)), told()), "array a"),
        (header(entry(shape=(-1,), offsets=(0, 8)), told()) + bytes(8), "array a"),
        (header(entry(shape=(1.0,), offsets=(0, 8)), told()) + bytes(8), "array a"),
        (header(entry(shape=(True,), offsets=(0, 8)), told()) + bytes(8), "array a"),
        (header(entry(shape=[1] * 40, offsets=(0, 8)), told()) + bytes(8), "array a"),
        (header(entry(shape=(1,), offsets=(-8, 0)), told()) + bytes(8), "array a"),
        (header(entry(shape=(1,), offsets=(8, 16)), told()) + bytes(16), "array a"),
        (header(entry(shape=(1,), offsets=(0, 8, 16)), told()) + bytes(8), "array a"),
        (header(entry(dtype="BF16", shape=(4,)), told()) + bytes(8), "array a"),
        (header(entry(dtype="O", shape=(1,)), told()) + bytes(8), "array a"),
        (header(entry(dtype=7, shape=(1,)), told()) + bytes(8), "array a"),
        (header(entry(dtype="BOOL", shape=(8,)), told()) + b"\x02" * 8, "array a"),
        (header({"a": 1}, told()), "array a"),
        (header({"a": {}}, told()), "array a"),
        (header(entry(), told()) + bytes(8), "data"),
        (header(entry(), {}), "metadata"),
        (header(entry()), "metadata"),
        (header({"__metadata__": "x"}), "metadata"),
        (header(entry(), {"devnet": "[]"}), "metadata"),
        (header(entry(), {"devnet": "[" * 100_000}), "metadata"),
        (header(entry(), told(schema="1")), "metadata"),
        (header(entry(), told(schema=10**30)), "schema 1000"),
        (header(entry(), told(sha256=7)), "metadata"),
        (header(entry(), told(kind=["sheet"])), "metadata"),
        (header(entry(), told(extra=1)), "metadata"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "header"),
        (struct.pack("<Q", 5002) + b"1" * 5002, "header"),
        (struct.pack("<Q", 4) + b"\xff\xfe{}", "header"),
        (struct.pack("<Q", 3) + b"NaN", "header"),
        (struct.pack("<Q", 2) + b"[]", "header"),
        (struct.pack("<Q", 15) + b'{"a":1, "a": 2}', "header"),
    ],
)
def test_hostile_headers_are_refused(tmp_path, data, section):
    assert section in refused(tmp_path / "a", data)


class Canary:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("form", ["pickle", "npy", "npz", "torch"])
def test_no_code_runs(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Canary()))
    elif form == "torch":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps(Canary()))
    else:
        with path.open("wb") as file:
            (np.save if form == "npy" else np.savez)(file, np.array([Canary()], dtype=object))
    with pytest.raises(CorruptFileError):
        io.load(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(ConfigError, match="a regular file"):
        io.load(tmp_path / "a")


def test_an_array_that_does_not_lie_on_its_boundary_is_read(tmp_path, small):
    """A header that is no multiple of 8 long is legal; the bytes then have to be moved."""
    path = tmp_path / "a"
    write_tensors(path, {"a": np.arange(3.0)}, "thing", {})
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].rstrip(b" ")
    text += b" " * (1 if len(text) % 8 != 7 else 2)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    array = read_tensors(path)[0]["a"]
    assert array.flags.aligned
    assert not array.flags.writeable
    assert np.array_equal(array, np.arange(3.0))
