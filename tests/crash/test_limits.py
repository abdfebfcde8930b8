"""What a machine or a model does to a run: no room, numbers that are none, eight starters at once, hours of work."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from devnet._core.errors import HealthError
from devnet._core.random import Key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.io import artefacts
from devnet.waves import stream

TINY = Path(__file__).with_name("tiny_run.py")

LIMITED = """
import os, resource, sys
sys.path.insert(0, {folder!r})
import tiny_run
for limit in map(int, sys.argv[2:]):  # forked, since loading the libraries takes longest
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        os._exit(tiny_run.main([sys.argv[1]]))
    print("code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
sys.exit(tiny_run.main([sys.argv[1]]))
"""

START = """
import sys, time
from devnet._core.errors import BusyError
from devnet.io import RunFolder
from devnet.spec import load_model
model = load_model("raghavan2019_grown_pooling/small")
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
try:
    with RunFolder.open(sys.argv[1], model, {"key": "1"}):
        print("won", flush=True)
        sys.stdin.readline()
except BusyError as error:
    print("lost", time.perf_counter() - start, error, flush=True)
    sys.exit(error.exit_code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits as POSIX has them")
def test_no_room_is_exit_4_and_the_run_goes_on_when_there_is(tmp_path, undisturbed):
    folder = tmp_path / "run"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(folder=str(TINY.parent)), str(folder), "20000", "60000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "code" in line] == ["code 4", "code 4"]
    told = [line for line in done.stderr.splitlines() if line.startswith("devnet: ")]
    assert len(told) == 2
    for line in told:
        assert line.startswith(f"devnet: {folder}")
        assert "bytes could not be written (File too large)" in line
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
    assert artefacts(folder) == undisturbed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device_is_exit_4_and_is_left_alone(tmp_path, capsys):
    from devnet.cli import main

    (tmp_path / "out").symlink_to("/dev/full")
    assert main(["grow", "raghavan2019_grown_pooling/small", "--out", str(tmp_path / "out")]) == 4
    assert "is not a regular file" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()


def test_of_eight_that_start_at_once_one_wins_and_seven_leave_with_3_in_a_second(tmp_path):
    folder = tmp_path / "run"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    try:
        for starter in starters:
            assert starter.stdout.readline() == "ready\n"
        for starter in starters:
            starter.stdin.write("\n")
            starter.stdin.flush()
        told = [starter.stdout.readline() for starter in starters]
        winners = [i for i, text in enumerate(told) if text == "won\n"]
        assert len(winners) == 1
        losers = [text.split(maxsplit=2) for i, text in enumerate(told) if i not in winners]
        assert all(float(seconds) < 1 for _, seconds, _ in losers)
        assert all(f"in use by process {starters[winners[0]].pid} on" in text for _, _, text in losers)
        codes = [starter.wait() for i, starter in enumerate(starters) if i not in winners]
        assert codes == [3] * 7
    finally:
        for starter in starters:
            starter.kill()
            starter.communicate()


@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_number_that_is_none_stops_within_100_steps_and_is_named(sheet, backend, poison):
    model = SheetModel.build(sheet, sheet.model.dynamics["izhikevich"], Key(1))
    state, stepper = State.initial(model), backend_of(backend)
    noise = Key(2).stream("given").normal(0, 400 * sheet.n).reshape(400, sheet.n).astype(float)
    noise[150, 7] = poison
    with (
        np.errstate(all="ignore"),
        pytest.raises(HealthError, match=r"izhikevich: \w of cell 7 is -?(nan|inf)") as told,
    ):
        stepper.advance(model, state, 400, noise=noise)
    step = int(str(told.value).split("by step ")[1].split(";")[0])
    assert 150 < step <= 250  # a step is a millisecond
    assert told.value.exit_code == 5


def resident():
    """Return the bytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory as Linux tells it")
@pytest.mark.parametrize("steps", [100_000, pytest.param(2_000_000, marks=pytest.mark.soak)])
def test_memory_does_not_grow_with_the_steps(sheet, steps):
    spikes, marks = 0, []
    for number, part in enumerate(stream(sheet, "rate_map", steps=steps, rng=1)):
        spikes += len(part.time)
        if number % 10 == 9:
            marks.append(resident())
    assert spikes > steps
    early, late = np.mean(marks[1:3]), np.mean(marks[-2:])
    assert (late - early) / (steps / 1e5) < max(5e6, 0.01 * early)


def test_a_request_to_stop_is_heard_while_compiled_code_runs(tmp_path):
    """The main thread is in one long call that holds no interpreter lock; the grace is what it gets."""
    code = (
        "import sys, time\n"
        "from devnet._core import stopping\n"
        "import numpy as np\n"
        "with stopping.on_signals(grace=0.5):\n"
        "    print('ready', flush=True)\n"
        "    a = np.ones((1500, 1500))\n"
        "    for _ in range(10_000):\n"
        "        a = a @ a / a.sum()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    start = time.monotonic()
    error = process.communicate(timeout=20)[1]
    assert time.monotonic() - start < 10
    assert process.returncode == 75
    assert error == "devnet: stopped; what had been saved is kept\n"
