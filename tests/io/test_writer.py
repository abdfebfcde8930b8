import errno
import json
import os
from pathlib import Path

import pytest

from devnet._core.errors import StorageError
from devnet.io import digest, make_folder, write_bytes, write_json, write_text


def _full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_all_bytes_and_replaces_an_existing_file(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"first")
    write_bytes(path, b"second, longer")
    assert path.read_bytes() == b"second, longer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_text_and_json_are_utf8_and_repeatable(tmp_path):
    write_text(tmp_path / "t", "Größe\n")
    assert (tmp_path / "t").read_bytes() == "Größe\n".encode()
    write_json(tmp_path / "j", {"b": [1, 2.5], "a": "é"})
    assert json.loads((tmp_path / "j").read_text("utf-8")) == {"a": "é", "b": [1, 2.5]}
    assert (tmp_path / "j").read_text("utf-8").index('"b"') < (tmp_path / "j").read_text("utf-8").index('"a"')


def test_json_refuses_what_is_no_number(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "j", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_failing_call_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path, monkeypatch, call, old):
    path = tmp_path / "a"
    if old is not None:
        write_bytes(path, old)
    owner = os if call == "fsync" else Path
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, _full)
        with pytest.raises(StorageError) as caught:
            write_bytes(path, b"x" * 1234)
    assert str(caught.value) == f"{path}: 1234 bytes could not be written (No space left on device)"
    assert [entry.name for entry in tmp_path.iterdir()] == ([] if old is None else ["a"])
    if old is not None:
        assert path.read_bytes() == old


def test_an_interrupt_while_writing_leaves_no_temporary_file(tmp_path, monkeypatch):
    def stop(_descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            write_bytes(tmp_path / "a", b"x")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_folder_that_is_none_is_one_clear_error():
    with pytest.raises(StorageError, match="/dev/full/a: 1 bytes could not be written"):
        write_bytes("/dev/full/a", b"x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_regular_file_is_left_alone(tmp_path, linked):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    before = sorted(entry.name for entry in tmp_path.iterdir())
    with pytest.raises(StorageError, match=f"{path}: is not a regular file"):
        write_bytes(path, b"x")
    assert pipe.is_fifo()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before
    with pytest.raises(StorageError, match="is not a regular file"):
        write_bytes(tmp_path, b"x")


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")
    for data in (b"new", b"newer"):
        write_bytes(link, data)
        assert link.is_symlink()
        assert (tmp_path / "there" / "file").read_bytes() == data
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(StorageError, match="circle: cannot be looked at"):
        write_bytes(circle, b"x")


def test_a_missing_folder_is_one_clear_error(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory"):
        write_bytes(tmp_path / "no" / "a", b"x")


def test_make_folder_makes_those_above_and_refuses_a_file(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()
    write_bytes(tmp_path / "f", b"")
    with pytest.raises(StorageError, match="could not be made"):
        make_folder(tmp_path / "f" / "b")


def test_digest_is_sha256(tmp_path):
    write_bytes(tmp_path / "a", b"abc")
    assert digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(StorageError, match="cannot be read"):
        digest(tmp_path / "b")
