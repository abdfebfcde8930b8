"""Kill runs without warning at random moments until they reach their end, and compare what they end with. Not a test.

python tests/crash/kill_runs.py --kills 100 --log docs/kills.csv

Each row of the log is one SIGKILL: the moment, the stage that was under way, and how many files had been made. The
last line says in how many runs the kills were spent and whether all of them ended with the artefacts of a run that
nothing befell.
"""

import argparse
import csv
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devnet.io import artefacts, verify

RUN = Path(__file__).with_name("tiny_run.py")
STAGES = ("grow", "simulate", "organize", "export", "readout", "fip", "report")


def started(folder, every, workers=1):
    """Start a run, wait for its first line, and return it."""
    command = [sys.executable, str(RUN), str(folder), str(every), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def stage_of(folder):
    """Return the first stage that is not finished."""
    return next((name for name in STAGES if not (folder / name / "stage.json").exists()), "end")


def ended(process):
    """Wait for the end of a run and return its exit code."""
    process.communicate()
    return process.returncode


def killed(process, after):
    """Kill a run after so many seconds; return whether it still ran."""
    time.sleep(after)
    process.kill()
    error = process.communicate()[1]
    assert process.returncode in {0, -signal.SIGKILL}, error
    return process.returncode == -signal.SIGKILL


def kill_runs(kills, place, seed=1, workers=1, told=None):
    """Run, kill and go on until so many kills have struck; return the rows of the log.

    Args:
        kills: How many.
        place: Folder for the runs.
        seed: Of the moments.
        workers: Processes of the FIP stage.
        told: File for the rows, or None.

    Returns:
        One dict a kill, and (runs, whether all of them ended the same).
    """
    chance, rows, ends = random.Random(seed), [], []
    start = time.monotonic()
    assert ended(started(place / "whole", 60.0)) == 0
    seconds = time.monotonic() - start
    wanted = artefacts(place / "whole")
    number = 0
    while len(rows) < kills or not ends:
        folder = place / f"run-{number}"
        number += 1
        while True:
            process = started(folder, chance.choice([0.0, 0.0, 0.2, 1.0]), workers)
            if len(rows) >= kills:
                assert ended(process) == 0
                break
            after = chance.uniform(0, seconds)
            if not killed(process, after):
                break
            files = len([path for path in folder.rglob("*") if path.is_file()]) if folder.exists() else 0
            rows.append(
                {
                    "kill": len(rows) + 1,
                    "run": number,
                    "after_s": round(after, 3),
                    "stage": stage_of(folder),
                    "files": files,
                }
            )
            if told is not None:
                told.writerow(rows[-1].values())
        ends.append(artefacts(folder) == wanted and verify(folder) > len(wanted))
    return rows, ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, given.log.open("w", newline="") as log:
        writer = csv.writer(log, lineterminator="\n")
        writer.writerow(["kill", "run", "after_s", "stage", "files"])
        rows, ends = kill_runs(given.kills, Path(folder), given.seed, told=writer)
        log.write(
            f"# {len(rows)} kills in {len(ends)} runs; {sum(ends)} of them ended with identical artefacts\n"
        )
    sys.exit(not all(ends))
