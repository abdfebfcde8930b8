"""Damaged and hostile run folders and checkpoints: caught, named, in under a second, and no code run."""

import json
import os
import pickle  # noqa: TID251 (the attack)
import random
import shutil
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devnet import io
from devnet._core.errors import ConfigError, CorruptFileError, DevnetError
from devnet.cli import main
from devnet.io import Checkpoints, read_run, verify, write_tensors
from devnet.io.records import read_record

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "0.1"
FLIPS = 2000


def refused(action, *kinds):
    """Do what has to fail, in under a second and with an error of devnet's own; return its text."""
    start = time.perf_counter()
    with pytest.raises(kinds or DevnetError) as caught:
        action()
    assert time.perf_counter() - start < 1
    return str(caught.value)


def test_two_thousand_flipped_bits_in_a_run_are_all_caught(tmp_path):
    run, chance = tmp_path / "run", random.Random(1)
    shutil.copytree(GOLDEN / "run", run)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    assert verify(run) == len(files) - 1  # all but the manifest itself
    for _ in range(FLIPS):
        path = chance.choices(files, sizes)[0]
        whole = path.read_bytes()
        place, bit = chance.randrange(len(whole)), chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        text = refused(lambda: verify(run), CorruptFileError)
        assert str(run) in text
        path.write_bytes(whole)
    verify(run)


def test_every_truncation_of_every_record_is_caught(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(GOLDEN / "run", run)
    for path in sorted(run.rglob("*.json")):
        whole = path.read_bytes()
        for length in range(0, len(whole), 7):
            path.write_bytes(whole[:length])
            refused(lambda path=path: read_record(path), CorruptFileError)
        path.write_bytes(whole)


@given(data=st.binary(max_size=300))
@settings(max_examples=150)
def test_random_bytes_are_no_record_and_no_run(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "run.json").write_bytes(data)
    (folder / "config.toml").write_bytes(data)
    refused(lambda: read_record(folder / "run.json"), CorruptFileError)
    refused(lambda: read_run(folder), CorruptFileError)


@pytest.mark.parametrize("flip", range(0, 1200, 60))
def test_a_damaged_checkpoint_is_never_gone_on_with(tmp_path, flip):
    """The newest generation is damaged: the one before is taken. Both are: the computation begins anew."""
    what = {"verb": "organize", "key": "7"}
    shutil.copytree(GOLDEN / "checkpoint", tmp_path / "place")
    for number, left in ((2, 1024), (1, None)):
        path = tmp_path / "place" / f"{number:06d}.safetensors"
        data = bytearray(path.read_bytes())
        data[flip % len(data)] ^= 4
        path.write_bytes(bytes(data))
        saved = Checkpoints(tmp_path / "place").load(what)
        assert (saved.numbers["step"] if saved else None) == left


def test_a_segment_of_another_checkpoint_is_refused(tmp_path):
    shutil.copytree(GOLDEN / "checkpoint", tmp_path / "place")
    shutil.copy(tmp_path / "place/segment-000000.safetensors", tmp_path / "place/segment-000001.safetensors")
    saved = Checkpoints(tmp_path / "place").load({"verb": "organize", "key": "7"})
    assert saved is not None
    assert saved.numbers["step"] == 1024  # whose list is whole


class Canary:
    def __reduce__(self):
        return os.system, ("touch ran",)


def sheet_with(**changes):
    """Return the writer of a sheet in which some arrays or metadata are an attacker's."""

    def write(path):
        arrays, metadata = io.read_tensors(GOLDEN / "sheet.safetensors")
        arrays = dict(arrays)
        for name, value in changes.items():
            if name in arrays:
                arrays[name] = value(arrays[name])
            else:
                metadata = metadata | {name: value(metadata.get(name))}
        write_tensors(path, arrays, "sheet", metadata)

    return write


def raw(data):
    return lambda path: path.write_bytes(data)


def npz_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 28))


ATTACKS = {
    "pickle": raw(pickle.dumps(Canary())),
    "npz bomb": npz_bomb,
    "header of 2^40": raw(struct.pack("<Q", 2**40) + b"{}"),
    "empty": raw(b""),
    "NaN": sheet_with(positions=lambda a: np.where(a > 1, np.nan, a)),
    "infinity": sheet_with(unit_height=lambda a: a + np.inf),
    "wrong dtype": sheet_with(parent=lambda a: a.astype(np.float64) + 0.5),
    "index out of range": sheet_with(unit_parent=lambda a: a + 100),
    "mother after daughter": sheet_with(parent=lambda a: a[::-1].copy()),
    "negative sweep": sheet_with(born=lambda a: a - 5),
    "wrong length": sheet_with(born=lambda a: a[:-1]),
    "model with code": sheet_with(model=lambda _: "name = __import__('os').system('touch ran')"),
    "model of another kind": sheet_with(model=lambda _: 7),
    "key that is none": sheet_with(key=lambda _: "-1"),
    "key beyond 64 bits": sheet_with(key=lambda _: str(2**80)),
    "endless key": sheet_with(key=lambda _: "9" * 100_000),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("command", ["simulate", "organize"])
def test_attacks_by_file_are_one_line_and_code_7(tmp_path, monkeypatch, capsys, name, command):
    monkeypatch.chdir(tmp_path)
    ATTACKS[name](tmp_path / "attack.safetensors")
    start = time.perf_counter()
    code = main([command, "attack.safetensors", "--out", "out.safetensors"])
    assert time.perf_counter() - start < 10  # the libraries are loaded in it, the first time
    assert code == 7, capsys.readouterr().err
    error = capsys.readouterr().err
    assert error.startswith("devnet: attack.safetensors: ")
    assert len(error) < 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attack.safetensors"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"files": {"../../etc/passwd": {"sha256": "0"}}}',
        b"\xff\xfe",
        b'{"a": NaN}',
        pickle.dumps(Canary()),
    ],
)
@pytest.mark.parametrize(  # to resume, a manifest that is no manifest means that the run is not finished
    ("command", "record"), [("verify", "run.json"), ("verify", "manifest.json"), ("resume", "run.json")]
)
def test_attacks_by_record_are_code_7_and_change_nothing(tmp_path, monkeypatch, content, record, command):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(GOLDEN / "run", "run")
    Path("run", record).write_bytes(content)
    assert main([command, "run"]) == 7
    assert Path("run", record).read_bytes() == content
    assert not Path("ran").exists()


def test_a_record_that_names_files_elsewhere_is_refused_even_if_its_digest_is_right(tmp_path):
    from devnet.io.records import write_record

    shutil.copytree(GOLDEN / "run", tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for name in ("../secret", str(secret), "grow/../../secret"):
        manifest = read_record(tmp_path / "run" / "manifest.json")
        manifest["files"][name] = {"bytes": 4, "sha256": io.digest(secret)}
        write_record(tmp_path / "run" / "manifest.json", manifest)
        assert "leads out of the run folder" in refused(lambda: verify(tmp_path / "run"), CorruptFileError)


def test_a_configuration_with_code_is_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(GOLDEN / "run", "run")
    Path("run/config.toml").write_text(
        "name = \"x\"\n[growth]\ntimer = \"__import__('os').system('touch ran')\"\n"
    )
    assert "cannot be read back" in refused(lambda: read_run("run"), CorruptFileError)
    with pytest.raises(ConfigError):
        io.RunFolder(Path("run")).record("none")
    assert json.loads(Path("run/run.json").read_text())["key"] == "7"
    assert not Path("ran").exists()
