"""Commands on run folders: list, check, go on; and what the machine can do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.cli import main
from devnet.io import RunFolder
from devnet.spec import load_model
from devnet.study.listing import listed

MODEL = "raghavan2019_grown_pooling/small"
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "0.1"
HOLD = """
import sys
from devnet.io import RunFolder, write_text
from devnet.spec import load_model
with RunFolder.open(sys.argv[1], load_model("raghavan2019_grown_pooling/small"), {"key": "1"}) as run:
    with run.stage("grow") as stage:
        write_text(stage.file("a.txt"), "a")
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_runs_are_listed_with_state_progress_and_size(tmp_path, capsys):
    shutil.copytree(GOLDEN / "run", tmp_path / "a" / "finished")
    with RunFolder.open(tmp_path / "b", load_model("raghavan2019_grown_pooling/small"), {"key": "1"}):
        pass
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    (tmp_path / "c" / "config.toml").write_text("name = 1")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "d")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        found = {one.path.relative_to(tmp_path).as_posix(): one for one in listed(tmp_path)}
        assert main(["runs", str(tmp_path)]) == 0
    finally:
        holder.kill()
        holder.communicate()
    states = {name: one.state for name, one in found.items()}
    assert states == {"a/finished": "finished", "b": "stopped", "c": "damaged", "d": "running"}
    assert (found["b"].percent, found["b"].stage) == (0, "grow")
    assert (found["d"].percent, found["d"].stage) == (3, "simulate")
    assert found["a/finished"].size == sum(
        p.stat().st_size for p in (GOLDEN / "run").rglob("*") if p.is_file()
    )
    text = capsys.readouterr().out
    assert text.count("raghavan2019_grown_pooling/small") == 3
    assert "running" in text
    assert main(["runs", str(tmp_path / "none")]) == 2
    assert [one.state for one in listed(tmp_path) if one.path.name == "d"] == ["stopped"]


@pytest.mark.parametrize("name", ["run.json", "config.toml"])
@pytest.mark.parametrize("content", ["[", None])
def test_a_damaged_run_is_listed_as_such_though_it_has_a_manifest(tmp_path, name, content):
    shutil.copytree(GOLDEN / "run", tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    if content is not None:
        (tmp_path / "run" / name).write_text(content)
    found = [] if (name, content) == ("run.json", None) else ["damaged"]
    assert [one.state for one in listed(tmp_path)] == found


@pytest.mark.parametrize("command", ["run", "resume"])
def test_a_second_command_says_busy_in_under_a_second_before_it_loads_anything(tmp_path, command):
    """Its own time is counted: other processes may hold the cores."""
    words = [str(tmp_path)] if command == "resume" else [MODEL, "--out", str(tmp_path)]
    code = (
        "import sys, time\nfrom devnet.cli import main\ncode = main(sys.argv[1:])\n"
        "print(code, time.process_time(), *{'numpy', 'torch', 'numba', 'scipy'} & set(sys.modules))"
    )
    with RunFolder.open(tmp_path, load_model(MODEL), {"key": "1"}):
        done = subprocess.run(
            [sys.executable, "-c", code, command, *words], capture_output=True, text=True, check=False
        )
    told, seconds, *heavy = done.stdout.split()
    assert told == "3", done.stderr
    assert f"in use by process {os.getpid()} on " in done.stderr
    assert float(seconds) < 1
    assert heavy == []


def test_a_plan_that_does_not_fit_is_refused_before_it_is_timed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    from devnet.study import calibrate, estimate

    def heavy(*_):
        raise AssertionError

    monkeypatch.setattr(calibrate, "calibrated", heavy)
    monkeypatch.setattr(estimate, "available_memory", lambda: 1_000_000)
    assert main(["plan", MODEL, "--out", str(tmp_path), "--workers", "1"]) == 6
    assert "memory: " in capsys.readouterr().err


def test_a_run_is_checked_by_command(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(GOLDEN / "run", run)
    assert main(["verify", str(run)]) == 0
    assert "5 files as they were written" in capsys.readouterr().out
    (run / "grow" / "sheet-0.safetensors").write_bytes(b"x")
    assert main(["verify", str(run)]) == 7
    assert "does not match its SHA-256" in capsys.readouterr().err
    assert main(["verify", str(tmp_path)]) == 2
    assert main(["resume", str(tmp_path)]) == 2
    (run / "run.json").write_text(json.dumps({"key": "x"}))
    assert main(["resume", str(run)]) == 7


def test_the_doctor_names_everything_and_how_to_add_what_is_missing(capsys, monkeypatch):
    from devnet.study import doctor

    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    monkeypatch.delenv("DEVNET_DATA", raising=False)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line[5:21].strip(): line for line in lines}
    assert {
        "memory",
        "disk",
        "numba",
        "torch",
        "onnx",
        "nir",
        "snntorch",
        "GPU",
        "C++ compiler",
        "browser",
        "ffmpeg",
        "digits",
    } <= set(told)
    assert told["ffmpeg"].startswith("no")
    assert "install ffmpeg" in told["ffmpeg"]
    assert told["digits"].startswith("yes")


@pytest.mark.parametrize("arguments", [["--every", "-1"], ["--workers", "0"]])
def test_wrong_options_are_refused_before_anything_is_written(tmp_path, arguments):
    assert main(["run", "raghavan2019_grown_pooling/small", "--out", str(tmp_path / "run"), *arguments]) == 2
    assert not (tmp_path / "run").exists()
