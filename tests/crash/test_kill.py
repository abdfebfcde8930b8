"""Processes killed without warning at random moments: files stay whole, and a run goes on to its end."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devnet.io import read_tensors, verify, write_bytes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

WRITER = """
import itertools, sys
from devnet.io.writer import write_bytes
for i in itertools.count():
    write_bytes(sys.argv[1], bytes([i % 256]) * 300_000)
    if i == 0:
        print("writing", flush=True)
"""

RUN = """
import sys
from devnet.io import write_text
from devnet.spec import load_model
from devnet.study import networks, paths, run_model
from devnet.viz import report

if __name__ == "__main__":
    networks.TRAIN_STEPS, paths.SPARSIFY_STEPS, paths.BASELINE_STEPS = 150, 40, 40
    report.write_report = lambda folder: write_text(folder / "report.html", "<!doctype html>")
    model = load_model("raghavan2019_grown_pooling/small")
    square = {"outline": ((0, 0), (10, 0), (10, 10), (0, 10)), "holes": (), "seed_cell": (5, 5)}
    model = model.replace(
        name="tiny",
        scaffold=model.scaffold.replace(**square),
        learning={name: part.replace(steps=2048) for name, part in model.learning.items()},
        readout=model.readout.replace(units_small=(9,), train_images=400),
        path=model.path.replace(units=9, hidden=20),
        study=model.study.replace(seeds=1, path_seeds=1, wave_steps=256),
    )
    print("started", flush=True)
    run_model(model, sys.argv[1], rng=5, workers=1)
"""


def started(code: str, path: Path) -> subprocess.Popen[str]:
    """Start a program and wait for its first line."""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() in {"writing", "started"}
    return process


def killed(process: subprocess.Popen[str], after: float) -> None:
    """Kill a program after so many seconds, unless it ended before."""
    time.sleep(after)
    process.kill()
    process.communicate()
    assert process.returncode in {0, -signal.SIGKILL}


def test_a_file_is_whole_whenever_its_writer_dies(tmp_path):
    path, chance = tmp_path / "file", random.Random(1)
    for _ in range(15):
        killed(started(WRITER, path), chance.uniform(0, 0.1))
        data = path.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
    write_bytes(path, b"after")
    assert path.read_bytes() == b"after"


def test_a_run_that_is_killed_goes_on_to_its_end(tmp_path):
    run, chance = tmp_path / "run", random.Random(2)
    for number in range(3):
        killed(started(RUN, run), chance.uniform(0.2, 0.8 + 0.8 * number))
        for record in run.glob("*/stage.json"):  # what counts as finished is whole
            for file in json.loads(record.read_bytes())["files"]:
                if file.endswith(".safetensors"):
                    read_tensors(run / file, _kind(file))
    last = started(RUN, run)
    last.communicate(timeout=60)
    assert last.returncode == 0
    assert verify(run) > 10
    assert not [path for path in run.rglob("*") if re.search(r"\.tmp$|\.lock$", path.name)]


def _kind(file: str) -> str:
    stage = file.split("/", 1)[0]
    return {
        "grow": "sheet",
        "simulate": "recording",
        "organize": "wiring",
        "export": "network",
        "fip": "path",
    }[stage]
