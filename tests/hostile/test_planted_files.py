"""Run folders from others: links, pipes, devices, odd names and odd TOML in them are refused, and nothing else is touched."""

import os
import shutil
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from devnet import io
from devnet._core.errors import BusyError, ConfigError, CorruptFileError
from devnet._core.lock import locked
from devnet.cli import main
from devnet.io import RunFolder, read_tensors, verify
from devnet.io.records import read_record, write_record
from devnet.spec import dump_model, load_model, parse_model
from devnet.study.listing import listed

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "0.1"
MODEL = load_model("raghavan2019_grown_pooling/small")
PLANTED = {
    "lock": ".lock",
    "numbers": "summary.json",
    "manifest": "manifest.json",
    "configuration": "config.toml",
    "times": "grow/times.json",
    "stage": "grow/stage.json",
    "new": "grow/new",
    "checkpoint": "checkpoints/simulate/a.json",
    "folder": "grow",
    "checkpoints": "checkpoints",
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN / "run", folder)
    return folder


@pytest.fixture
def home(tmp_path):
    """Return a folder of the user's with files that no command may touch."""
    shutil.copytree(GOLDEN / "run", tmp_path / "home")
    shutil.copytree(GOLDEN / "checkpoint", tmp_path / "home" / "state")
    return tmp_path / "home"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replaced(run, name):
    """Make room for something else in the place of a file or folder."""
    place = run / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    return place


def refused(words, capsys, seconds=1.0):
    """Run a command that has to end with code 7 and one line, at once."""
    start = time.perf_counter()
    assert main(words) == 7
    assert time.perf_counter() - start < seconds
    told = capsys.readouterr().err
    assert told.startswith("devnet: ")
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("name", PLANTED)
def test_links_in_a_run_folder_are_refused_and_not_followed(run, home, capsys, name, finished):
    if not finished:
        (run / "manifest.json").unlink()
    place = replaced(run, PLANTED[name])
    target = home / PLANTED[name]
    place.symlink_to(target if target.exists() else home / "run.json")
    before = contents(home)
    import devnet.study  # noqa: F401 (the libraries are not what is timed)

    for command in ("verify", "resume", "report"):
        assert PLANTED[name].split("/")[0] in refused([command, str(run)], capsys)
    other = MODEL.replace(title="another")
    for model in (MODEL, other):
        with pytest.raises(CorruptFileError), RunFolder.open(run, model, {"key": "7"}):
            pass
    assert contents(home) == before
    assert place.is_symlink()


@pytest.mark.parametrize("kind", ["pipe", "device", "nothing"])
@pytest.mark.parametrize("name", ["manifest", "stage", "configuration", "lock", "times"])
def test_pipes_devices_and_broken_links_neither_block_nor_fill_the_memory(run, capsys, name, kind):
    place = replaced(run, PLANTED[name])
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "device" else run / "none")
    for command in ("verify", "resume"):
        refused([command, str(run)], capsys)
    start = time.perf_counter()
    assert [one.state for one in listed(run.parent)] == ["damaged"]
    assert time.perf_counter() - start < 1


def test_a_run_folder_may_itself_be_a_link(run, tmp_path, capsys):
    (tmp_path / "link").symlink_to(run)
    assert main(["verify", str(tmp_path / "link")]) == 0
    with RunFolder.existing(tmp_path / "link"):
        pass


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_a_lock_that_is_none_is_left_alone(tmp_path, kind):
    victim = tmp_path / "thesis"
    folder = io.make_folder(tmp_path / "folder")
    if kind == "pipe":
        os.mkfifo(folder / ".lock")
    else:
        (folder / ".lock").symlink_to(victim)
    if kind == "link":
        victim.write_text("mine")
    with pytest.raises(CorruptFileError, match="no lock of devnet's"), locked(folder):
        pass
    assert not victim.exists() or victim.read_text() == "mine"
    assert victim.exists() is (kind == "link")


def test_a_corrected_model_removes_only_files_of_its_own_stages(tmp_path):
    mine = tmp_path / "mine" / "sheet.safetensors"
    with suppress(ZeroDivisionError), RunFolder.open(tmp_path, MODEL, {"key": "1"}) as run:
        shutil.copy(GOLDEN / "sheet.safetensors", io.make_folder(mine.parent) / mine.name)
        with run.stage("grow") as stage:
            shutil.copy(GOLDEN / "sheet.safetensors", stage.file("a.safetensors"))
            raise ZeroDivisionError
    with pytest.raises(BusyError), RunFolder.open(tmp_path, MODEL, {"key": "2"}):
        pass
    assert mine.exists()
    assert not (tmp_path / "grow" / "a.safetensors").exists()


def test_a_corrected_model_that_was_half_written_is_taken_up(tmp_path):
    with RunFolder.open(tmp_path, MODEL, {"key": "1"}):
        pass
    other = MODEL.replace(title="another")
    io.write_text(tmp_path / "config.toml", dump_model(other))  # killed before run.json was written
    with pytest.raises(CorruptFileError, match=r"config\.toml: does not match"):
        io.read_run(tmp_path)
    with RunFolder.open(tmp_path, other, {"key": "1"}):
        assert io.read_run(tmp_path)[0] == other


TOML = {
    "deep lists": "x = " + "[" * 20_000,
    "deep tables": "x = " + "{a=" * 20_000,
    "whole deep lists": "x = " + "[" * 200 + "]" * 200,
    "long number": "x = " + "9" * 5000,
    "long key": ".".join(["a"] * 20_000) + " = 1",
    "long quoted key": ".".join(['"a"'] * 20_000) + " = 1",
    "long hexadecimal": "name = 0x" + "f" * 50_000,
    "too large": "# " + "x" * (1 << 20),
}


@pytest.mark.parametrize("name", TOML)
def test_odd_toml_is_one_line_and_hides_no_other_run(run, tmp_path, capsys, name):
    model = tmp_path / "model.toml"
    model.write_text(TOML[name])
    start = time.perf_counter()
    assert main(["run", str(model), "--out", str(tmp_path / "out")]) == (7 if name == "too large" else 2)
    assert time.perf_counter() - start < 10  # the libraries are loaded in it, the first time
    assert main(["sweep", str(model), "--out", str(tmp_path / "out"), "--workers", "1"]) == 2
    assert not (tmp_path / "out").exists()
    told = capsys.readouterr().err
    assert all(line.startswith("devnet: ") for line in told.splitlines())
    assert len(told) < 2000
    shutil.copytree(run, tmp_path / "whole")
    shutil.copy(model, run / "config.toml")
    (run / "manifest.json").unlink()
    for command in ("verify", "resume"):
        assert main([command, str(run)]) == 7
    capsys.readouterr()
    assert main(["runs", str(tmp_path)]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["damaged", "finished"]


@pytest.mark.parametrize("name", ["a\0b", "a\x1b]0;b", "a\nb", "\u202e"])
def test_names_that_no_file_of_a_run_has_are_refused_and_shown_harmless(run, capsys, name):
    (run / "manifest.json").unlink()
    record = read_record(run / "grow" / "stage.json") | {"files": {name: "0" * 64}}
    write_record(run / "grow" / "stage.json", record)
    assert refused(["verify", str(run)], capsys).strip().isprintable()


def test_a_file_with_an_escape_in_its_name_is_shown_harmless(run, capsys):
    (run / "a\x1b]0;b\nc").write_text("x")
    assert refused(["verify", str(run)], capsys).strip().isprintable()


@pytest.mark.parametrize("field", ["name", "title"])
def test_a_model_with_an_escape_in_its_name_is_refused(field):
    with pytest.raises(ConfigError, match=rf"{field}: .* give one line of printable characters"):
        MODEL.replace(**{field: "a\x1b[2Jb"})
    assert MODEL.replace(title="Größe, 3 µm").title


def test_a_sparse_file_of_three_gigabytes_is_refused_by_its_header(tmp_path):
    path = tmp_path / "a.safetensors"
    data = (GOLDEN / "sheet.safetensors").read_bytes()
    with path.open("wb") as file:
        file.write(data)
        file.truncate(3 << 30)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(CorruptFileError, match="data: "):
        read_tensors(path)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_the_largest_header_is_read_in_a_second_and_a_larger_one_is_not_written(tmp_path):
    from devnet.io.tensors import MOST_HEADER

    digests = ["0" * 64] * ((MOST_HEADER - 1000) // 71)  # within the header each needs four backslashes
    io.write_tensors(tmp_path / "a", {}, "checkpoint", {"segments": digests})
    start = time.perf_counter()
    assert len(read_tensors(tmp_path / "a")[1]["segments"]) == len(digests)
    assert time.perf_counter() - start < 1
    with pytest.raises(ConfigError, match="names and metadata of at most"):
        io.write_tensors(tmp_path / "b", {}, "checkpoint", {"segments": digests * 2})
    assert not (tmp_path / "b").exists()


def unfinished(folder):
    """Make a run that died in its second stage."""
    with suppress(ZeroDivisionError), RunFolder.open(folder, MODEL, {"key": "7"}) as run:
        with run.stage("grow") as stage:
            shutil.copy(GOLDEN / "sheet.safetensors", stage.file("sheet-0.safetensors"))
        with run.stage("simulate", ["grow"]) as stage:

            def work(part):
                shutil.copy(GOLDEN / "recording.safetensors", part.file("a.safetensors"))
                return {}

            stage.once("a", work)
            place = stage.part("b").checkpoint()
            place.save({"x": np.arange(3)}, {"step": 1})
            shutil.copy(GOLDEN / "recording.safetensors", stage.folder / "b.safetensors")
            raise ZeroDivisionError
    (folder / "simulate" / ".b.safetensors.0123456789ab.tmp").write_text("half")
    io.write_json(folder / "summary.json", {})
    return folder


def test_a_run_that_is_not_finished_is_as_it_was_written(tmp_path):
    folder = unfinished(tmp_path / "run")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert verify(folder) == len(files) - 1  # all but what the killed writer left


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoints/simulate/a.json", b"{}"),
        ("checkpoints/simulate/x.json", b"garbage"),
        ("checkpoints/simulate/after.json", b"garbage"),
        ("checkpoints/simulate/x.bin", b"x"),
        ("checkpoints/x.safetensors", b"x"),
        ("grow/extra.bin", b"x"),
        ("grow/times.json", b"{}"),
        ("simulate/extra.bin", b"x"),
        ("simulate/a.safetensors", (GOLDEN / "sheet.safetensors").read_bytes()),
        ("simulate/b.safetensors", b"x"),
        ("evil.tmp", b"x"),
        ("config.toml", b"name = 'x'"),
    ],
)
def test_what_does_not_belong_to_a_run_that_is_not_finished_is_named(tmp_path, name, content):
    folder = unfinished(tmp_path / "run")
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptFileError, match=Path(name).name):
        verify(folder)


@pytest.mark.parametrize("name", ["evil.tmp", "checkpoints/a.json", "grow/.a.tmp"])
def test_what_does_not_belong_to_a_finished_run_is_named(run, name):
    (run / ".a.0123456789ab.tmp").write_text("what a killed writer left is no part of it")
    assert verify(run) == 5
    io.make_folder((run / name).parent)
    (run / name).write_text("x")
    with pytest.raises(CorruptFileError, match=r"is in no record of the run"):
        verify(run)


def test_a_changed_configuration_is_not_gone_on_with(tmp_path, capsys):
    folder = unfinished(tmp_path / "run")
    text = (folder / "config.toml").read_text("utf-8")
    changed = text.replace("timer = { value = 25", "timer = { value = 26")
    assert parse_model(changed) != parse_model(text)
    io.write_text(folder / "config.toml", changed)
    for command in ("verify", "resume"):
        assert "config.toml: does not match its SHA-256" in refused([command, str(folder)], capsys)
    with pytest.raises(CorruptFileError), RunFolder.open(folder, parse_model(changed), {"key": "7"}):
        pass


def test_a_run_from_before_configurations_had_a_digest_is_gone_on_with(run):
    assert "config" not in read_record(run / "run.json")
    assert io.read_run(run)[0].name == "raghavan2019_grown_pooling/small"
