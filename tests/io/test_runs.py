import json
import subprocess
import sys
import time

import pytest

from devnet._core.errors import BusyError, ConfigError, CorruptFileError, StorageError
from devnet.io import RunFolder, verify, write_text
from devnet.io.records import read_record, write_record
from devnet.spec import dump_model, load_model, parse_model

MODEL = load_model("raghavan2019_grown_pooling/small")

HOLD = """
import sys, time
from devnet.io import RunFolder
from devnet.spec import load_model
with RunFolder.open(sys.argv[1], load_model("raghavan2019_grown_pooling/small"), {"key": "1"}):
    print("held", flush=True)
    time.sleep(60)
"""


def started(path, key="1", model=MODEL):
    return RunFolder.open(path, model, {"key": key})


def test_a_new_run_writes_its_configuration(tmp_path):
    with started(tmp_path / "a" / "run") as run:
        assert parse_model((run.path / "config.toml").read_text("utf-8")) == MODEL
        assert (run.path / "config.toml").read_text("utf-8") == dump_model(MODEL)
        assert json.loads((run.path / "run.json").read_text("utf-8"))["key"] == "1"
    assert not (tmp_path / "a" / "run" / ".lock").exists()


def test_a_finished_stage_is_kept_until_a_file_changes(tmp_path):
    with started(tmp_path) as run:
        assert not run.finished("grow")
        with run.stage("grow") as stage:
            write_text(stage.file("a.txt"), "a")
            stage.numbers["cells"] = [1, 2]
        record = run.record("grow")
        assert record["numbers"] == {"cells": [1, 2]}
        assert list(record["files"]) == ["grow/a.txt"]
    with started(tmp_path) as run:
        assert run.finished("grow")
        write_text(run.path / "grow" / "a.txt", "b")
        assert not run.finished("grow")
        (run.path / "grow" / "a.txt").unlink()
        assert not run.finished("grow")


def test_a_stage_that_fails_is_not_finished(tmp_path):
    with started(tmp_path) as run:
        with pytest.raises(ZeroDivisionError), run.stage("grow") as stage:
            write_text(stage.file("a.txt"), str(1 / 0))
        assert not run.finished("grow")
        with pytest.raises(ConfigError):
            run.record("grow")


def test_a_stage_follows_the_stages_it_reads(tmp_path):
    with started(tmp_path) as run:
        for _ in range(2):
            with run.stage("grow") as stage:
                write_text(stage.file("a.txt"), "a")
        with run.stage("organize", after=["grow"]) as stage:
            write_text(stage.file("b.txt"), "b")
        assert run.finished("organize", ["grow"])
        assert not run.finished("organize", [])
        with run.stage("grow") as stage:
            write_text(stage.file("a.txt"), "changed")
        assert not run.finished("organize", ["grow"])


def test_files_outside_the_stage_folder_can_be_listed(tmp_path):
    with started(tmp_path) as run:
        with run.stage("report") as stage:
            write_text(stage.run_file("figures/a.svg"), "<svg/>")
        assert list(run.record("report")["files"]) == ["figures/a.svg"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "[" * 100_000, '{"schema": 1, "numbers": {}, "files": [], "after": {}}'],
)
def test_a_damaged_stage_record_means_the_stage_is_run_again(tmp_path, content):
    with started(tmp_path) as run:
        with run.stage("grow") as stage:
            write_text(stage.file("a.txt"), "a")
        write_text(run.path / "grow" / "stage.json", content)
        assert not run.finished("grow")
        with pytest.raises(CorruptFileError, match=r"stage\.json"):
            run.record("grow")


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", "a\\..\\b", " "])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    with started(tmp_path) as run:
        with run.stage("grow") as stage:
            write_text(stage.file("a.txt"), "a")
        record = read_record(run.path / "grow" / "stage.json") | {"files": {name: "0" * 64}}
        write_record(run.path / "grow" / "stage.json", record)
        with pytest.raises(CorruptFileError, match="leads out of the run folder"):
            run.record("grow")
        write_record(run.path / "manifest.json", {"schema": 1, "files": {name: {"sha256": "0"}}})
    with pytest.raises(CorruptFileError, match="leads out of the run folder"):
        verify(tmp_path)


def test_foreign_files_are_left_alone(tmp_path):
    write_text(tmp_path / "thesis.tex", "do not touch")
    with pytest.raises(BusyError, match="not empty and holds no devnet run"), started(tmp_path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(BusyError, match="is a file"), started(tmp_path / "thesis.tex"):
        pass


def test_a_start_that_was_cut_short_is_taken_up(tmp_path):
    write_text(tmp_path / "config.toml", "half a fi")
    write_text(tmp_path / ".run.json.ab.tmp", "")
    with started(tmp_path) as run:
        assert parse_model((run.path / "config.toml").read_text("utf-8")) == MODEL


def test_another_run_is_refused_with_the_field_that_differs(tmp_path):
    with started(tmp_path) as run, run.stage("grow") as stage:
        write_text(stage.file("a.txt"), "a")
    with (
        pytest.raises(BusyError, match=r"run\.key is 1 there and 2 here; choose another folder"),
        started(tmp_path, key="2"),
    ):
        pass
    other = MODEL.replace(readout=MODEL.readout.replace(data="mnist"))
    with (
        pytest.raises(BusyError, match=r"model\.readout\.data is digits there and mnist here"),
        started(tmp_path, model=other),
    ):
        pass
    fewer = MODEL.replace(learning={}, readout=MODEL.readout.replace(learning=""))
    with (
        pytest.raises(BusyError, match=r"model\.learning\.few_pools is .* there and absent here"),
        started(tmp_path, model=fewer),
    ):
        pass
    turned = MODEL.replace(learning=dict(reversed(MODEL.learning.items())))
    with pytest.raises(BusyError, match=r"model\.learning is \["), started(tmp_path, model=turned):
        pass
    with started(tmp_path):
        pass


def test_a_folder_in_which_nothing_was_made_yet_takes_a_corrected_model(tmp_path):
    with pytest.raises(ZeroDivisionError), started(tmp_path) as run, run.stage("grow") as stage:
        write_text(stage.file("a.txt"), str(1 / 0))
    other = MODEL.replace(readout=MODEL.readout.replace(data="mnist"))
    with started(tmp_path, key="2", model=other) as run:
        assert parse_model((run.path / "config.toml").read_text("utf-8")) == other
        assert json.loads((run.path / "run.json").read_text("utf-8"))["key"] == "2"
        write_text(run.path / "grow" / "a.txt", "a")  # as if killed before the stage was finished
    with pytest.raises(BusyError, match="remove this one"), started(tmp_path):
        pass


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    with started(tmp_path) as run, run.stage("grow") as stage:
        write_text(stage.file("a.txt"), "a")
    left = tmp_path / "grow" / ".sheet-0.safetensors.0123456789ab.tmp"
    other = tmp_path / "grow" / ".mine.tmp"
    for path in (left, other):
        path.write_bytes(b"half")
    with started(tmp_path):
        assert other.exists()
        assert not left.exists()


def test_a_damaged_configuration_is_named(tmp_path):
    with started(tmp_path) as run, run.stage("grow") as stage:
        write_text(stage.file("a.txt"), "a")
    write_text(tmp_path / "config.toml", "name = 1")
    with pytest.raises(CorruptFileError, match=r"config\.toml"), started(tmp_path):
        pass


def test_verify_names_every_missing_changed_and_new_file(tmp_path):
    with started(tmp_path) as run:
        with run.stage("grow") as stage:
            for name in "abc":
                write_text(stage.file(name), name)
        run.write_manifest(["grow"])
    assert verify(tmp_path) == 7
    (tmp_path / "grow" / "a").unlink()
    write_text(tmp_path / "grow" / "b", "x")
    write_text(tmp_path / "new", "x")
    with pytest.raises(CorruptFileError) as caught:
        verify(tmp_path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == [
        "'new' is in no record of the run",
        "missing",
        "does not match its SHA-256",
    ]


def test_an_empty_manifest_fails(tmp_path):
    with pytest.raises(ConfigError, match="a folder that devnet run wrote"):
        verify(tmp_path)
    write_record(tmp_path / "manifest.json", {"schema": 1, "files": {}})
    with pytest.raises(CorruptFileError, match="empty"):
        verify(tmp_path)


def test_a_json_file_that_cannot_be_read(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ConfigError, match="a regular file"):
        verify(tmp_path)


def test_the_second_writer_is_refused_at_once_and_a_dead_holder_is_forgotten(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        start = time.perf_counter()
        with pytest.raises(BusyError, match=f"in use by process {holder.pid} on "), started(tmp_path):
            pass
        assert time.perf_counter() - start < 1
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
    assert (tmp_path / ".lock").exists()
    with started(tmp_path):
        pass


def test_a_folder_without_locks_is_one_clear_error(tmp_path, monkeypatch):
    import fcntl

    def none(_descriptor, _how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(StorageError, match="cannot be locked"), started(tmp_path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == [".lock"]
