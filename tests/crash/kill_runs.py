"""Kill runs without warning at random moments until they reach their end, and compare what they end with. Not a test.

python tests/crash/kill_runs.py --kills 100 --log docs/kills.csv

Each row of the log is one SIGKILL: how long after a stage had begun, the stage that was under way, and how many files had been made. The
last line says in how many runs the kills were spent and whether all of them ended with the artefacts of a run that
nothing befell.
"""

import argparse
import csv
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with threads cannot be forked
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tiny_run

from devnet._core.errors import DevnetError
from devnet.io import artefacts, read_json, verify

STAGES = ("grow", "simulate", "organize", "export", "readout", "fip", "report")


def started(folder, every=60.0, workers=1):
    """Start a run in a fresh interpreter, wait for its first line, and return it."""
    command = [sys.executable, tiny_run.__file__, str(folder), str(every), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def ended(process):
    """Wait for the end of a run and return its exit code."""
    process.communicate()
    return process.returncode


def forked(folder, every):
    """Start a run in a copy of this process, which has loaded and compiled everything; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        tiny_run.run(folder, every)
        code = 0
    except DevnetError as error:
        code = error.exit_code
    finally:
        os._exit(code)


def status(child):
    """Wait for a process and return its exit code; a signal's is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def stage_of(folder):
    """Return the first stage that is not finished."""
    return next((name for name in STAGES if not (folder / name / "stage.json").exists()), "end")


def killed(child, folder, stage, after):
    """Kill a process so many seconds after it has begun a stage; return whether it still ran."""
    while not (folder / stage).exists():
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.001)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    code = status(child)
    assert code in {0, -signal.SIGKILL}, code
    return code != 0


def kill_runs(kills, place, seed=1, told=None):
    """Kill runs in one stage after the other, at a random moment of each, and let them end at last.

    Args:
        kills: How many have to strike.
        place: Folder for the runs.
        seed: Of the moments.
        told: Called with each row of the log.

    Returns:
        One dict a kill; and of each run, whether it ended with the artefacts of the one that nothing befell.
    """
    chance, rows, ends = random.Random(seed), [], []
    tiny_run.run(place / "whole")
    wanted = artefacts(place / "whole")
    assert status(forked(place / "second", 60.0)) == 0
    assert artefacts(place / "second") == wanted
    seconds = {name: read_json(place / f"second/{name}/times.json")["seconds"] for name in STAGES}
    while len(rows) < kills:
        folder = place / f"run-{len(ends)}"
        for stage in STAGES:
            after = chance.uniform(0, 0.05 + seconds[stage])
            if len(rows) < kills and killed(forked(folder, chance.choice([0.0, 0.1])), folder, stage, after):
                row = {"kill": len(rows) + 1, "run": len(ends) + 1, "after_s": round(after, 3)}
                files = sum(path.is_file() for path in folder.rglob("*"))
                rows.append(row | {"stage": stage_of(folder), "files": files})
                if told is not None:
                    told(rows[-1])
        assert status(forked(folder, 1.0)) == 0
        left = [path for path in folder.rglob("*") if re.search(r"\.tmp$|\.lock$|checkpoints", path.name)]
        ends.append(artefacts(folder) == wanted and verify(folder) > len(wanted) and not left)
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

        def told(row):
            writer.writerow(row.values())
            log.flush()

        rows, ends = kill_runs(given.kills, Path(folder), given.seed, told)
        log.write(
            f"# {len(rows)} kills in {len(ends)} runs; {sum(ends)} of them ended with identical artefacts\n"
        )
    sys.exit(not all(ends))
