"""Processes killed without warning at random moments: files stay whole, and a run goes on to the very same end."""

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devnet.io import artefacts, verify, write_bytes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
pytest.importorskip("torch")

WRITER = """
import itertools, sys
from devnet.io.writer import write_bytes
for i in itertools.count():
    write_bytes(sys.argv[1], bytes([i % 256]) * 300_000)
    if i == 0:
        print("writing", flush=True)
"""


@pytest.fixture(scope="module")
def kills():
    """Return the script beside this file as a module."""
    spec = importlib.util.spec_from_file_location("kill_runs", Path(__file__).with_name("kill_runs.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_is_whole_whenever_its_writer_dies(tmp_path):
    path, chance = tmp_path / "file", random.Random(1)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.communicate()
        data = path.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
    write_bytes(path, b"after")
    assert path.read_bytes() == b"after"


def spend(kills, folder, count):
    """Spend kills from a fresh interpreter, since one whose libraries have threads cannot be forked; return the log's rows."""
    log = folder / "kills.csv"
    command = [sys.executable, kills.__file__, "--kills", str(count), "--log", str(log), "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # every run ended with the artefacts of one that nothing befell
    return log.read_text().splitlines()[1:-1]


@pytest.mark.slow
def test_runs_that_are_killed_again_and_again_end_the_same(kills, tmp_path):
    assert len(spend(kills, tmp_path, 7)) == 7  # one a stage


@pytest.mark.soak
def test_a_hundred_kills_end_the_same(kills, tmp_path):
    rows = spend(kills, tmp_path, 100)
    assert len({row.split(",")[3] for row in rows}) >= 6


SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [SIGNALS, *(pytest.param(SIGNALS[k:] + SIGNALS[:k], marks=pytest.mark.soak) for k in (1, 2))]
)
def test_a_signal_keeps_the_state_and_leaves_with_75(kills, tmp_path, names, undisturbed):
    folder = tmp_path / "struck"
    for pause, name in zip((0.1, 0.8, 2.0), names, strict=True):
        process = kills.started(folder, 60.0)
        time.sleep(pause)
        process.send_signal(getattr(signal, name))
        start = time.monotonic()
        error = process.communicate(timeout=20)[1]
        assert time.monotonic() - start < 10
        if pause < 2.0 or process.returncode == 75:
            assert process.returncode == 75, name
            assert "stopped" in error
        elif process.returncode:  # it struck the interpreter on its way out
            assert process.returncode == -getattr(signal, name)
            assert kills.stage_of(folder) == "end"
    assert kills.ended(kills.started(folder, 60.0)) == 0
    assert artefacts(folder) == undisturbed
    assert verify(folder) > 20
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert kills.ended(kills.started(folder, 60.0)) == 0  # once more on a finished run: nothing is touched
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_worker_ends_with_the_process_that_holds_the_lock(kills, tmp_path):
    """Else it would write into a folder in which the next process is at work already."""
    code = (
        "import os, sys, time\n"
        "from devnet.study.workers import in_processes\n"
        "def job(folder):\n"
        "    open(f'{folder}/{os.getpid()}', 'w').close()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    in_processes('jobs', job, [sys.argv[1]] * 2, 2)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    folder = tmp_path / "pids"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    pids = [int(path.name) for path in folder.iterdir()]
    process.kill()
    process.wait()
    end = time.monotonic() + 5
    while time.monotonic() < end and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
