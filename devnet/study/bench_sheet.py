"""`devnet bench sheet`: how fast sheets are stepped, beside Brian2, in one run on one machine.

Ours and theirs take turns; a ratio is formed pair by pair, so that a machine whose speed drifts does both the same
favor. Ours learns, theirs runs the waves alone, with noise handed to it for nothing. What runs on one thread is timed by
processor time, as Brian2's C++ programs time themselves, whole jobs with that of their compilers; what runs on several
threads by the clock.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time
from typing import Any

import numpy as np

from devnet._core.optional import require
from devnet._core.progress import task
from devnet._core.random import Key
from devnet.backends.base import Backend, SheetModel, State, backend_of
from devnet.dynamics import plasticity
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, CouplingSpec, DynamicsSpec, load_model
from devnet.study.claims import Answer, claims_of
from devnet.study.processes import in_process

REPEATS = 5
UNITS = 64
NOISE_NS = 1.5
"""Nanoseconds a noise sample costs at the floor."""


def square_sheet(n: int, density: float) -> Sheet:
    """Return a declared sheet: n cells at random on a square.

    Args:
        n: Number of cells.
        density: Cells per unit area.

    Returns:
        The sheet.
    """
    model = load_model("raghavan2019_grown_pooling/small")
    side = float((n / density) ** 0.5)
    square = {
        "outline": ((0.0, 0.0), (side, 0.0), (side, side), (0.0, side)),
        "holes": (),
        "seed_cell": (side / 2,) * 2,
    }
    draws = Key(n).stream("places")
    places = np.stack([draws.uniform(axis, n) for axis in (0, 1)], axis=1) * side
    return Sheet.declared(model.replace(scaffold=model.scaffold.replace(**square)), places)


def _leaky() -> AdaptiveLeakySpec:
    return AdaptiveLeakySpec(coupling=CouplingSpec(r_i=2, r_o=5, a_i=16, a_o=3))


def _dynamics(form: str, sheet: Sheet) -> DynamicsSpec:
    return _leaky() if form == "leaky" else sheet.model.dynamics[form]


class _Ours:
    """A sheet that runs and learns, warmed up, ready to be timed, over the same stretch of waves each time."""

    def __init__(
        self, form: str, sheet: Sheet, units: int, backend: Backend, rule: Any, warm: int = 2048
    ) -> None:
        self.model = SheetModel.build(sheet, _dynamics(form, sheet), Key(1))
        learner = plasticity.start(rule, self.model.coupling.places, units, Key(2)) if units else None
        self.start = State.initial(self.model, learner)
        self.backend, self.rule = backend, rule if units else None
        self.backend.advance(self.model, self.start, warm, rule=self.rule, record=False)
        self.waves = replace(self.start, learner=None)

    def seconds_a_step(self, steps: int, clock: Callable[[], float] = process_time) -> float:
        """Take steps and return the time of one; the costs of a step depend on how many cells fire."""
        self.state = deepcopy(self.start)
        began = clock()
        self.backend.advance(self.model, self.state, steps, rule=self.rule, record=False)
        return (clock() - began) / steps


def _against_brian2(form: str, n: int, steps: int) -> list[float]:
    """Return how many times faster we are, per pair: ours with learning, Brian2's C++ program with waves alone."""
    from devnet.backends.brian2_ import standalone

    sheet = square_sheet(n, 4.0 if form == "leaky" else 1.0)  # M20's retina: 1600 cells on 20 x 20
    ours = _Ours(
        form,
        sheet,
        UNITS,
        backend_of("numba", "fast"),
        sheet.model.learning["rate_map"].rule,
    )
    with standalone(ours.model, steps, state=ours.waves) as run:
        return [run().seconds / steps / ours.seconds_a_step(steps) for _ in range(REPEATS)]


def _against_cython(n: int, steps: int) -> list[float]:
    sheet = square_sheet(n, 1.0)
    ours = _Ours("rate_map", sheet, UNITS, backend_of("numba", "fast"), sheet.model.learning["rate_map"].rule)
    theirs: Any = backend_of("brian2")
    theirs.advance(ours.model, deepcopy(ours.waves), 10)
    ratios: list[float] = []
    for _ in range(REPEATS):
        theirs.advance(ours.model, deepcopy(ours.waves), steps, record=False)
        ratios.append(theirs.seconds / steps / ours.seconds_a_step(steps))
    return ratios


def _g19_learning() -> list[float]:
    sheet = square_sheet(3200, 3200 / 32**2)
    published = load_model("raghavan2019_grown_pooling").learning["izhikevich"].rule
    ours = _Ours("izhikevich", sheet, 400, backend_of("numba", "fast"), published)
    return [ours.seconds_a_step(4096) * 1e3 for _ in range(REPEATS)]


def _floor(n: int) -> list[float]:
    sheet = square_sheet(n, 1.0)
    ours = _Ours("rate_map", sheet, UNITS, backend_of("numba", "fast"), sheet.model.learning["rate_map"].rule)
    state = np.zeros((2, n))
    ratios: list[float] = []
    for _ in range(REPEATS):
        began = process_time()
        for _ in range(200):
            state += 1.0  # reads and writes both variables of every cell once
        floor = (process_time() - began) / 200 + NOISE_NS * 1e-9 * n
        ratios.append(ours.seconds_a_step(4096) / floor)
    return ratios


def _large(n: int, threads: int, steps: int) -> _Ours:
    sheet = square_sheet(n, 1.0)
    return _Ours("rate_map", sheet, 0, backend_of("numba", "fast", threads), None, warm=steps)


def _scaling() -> list[float]:
    """Return exponents: slope of log cost over log size, between the ends 10^4 and 10^6."""
    small, large = _large(10_000, 1, 400), _large(1_000_000, 1, 60)
    return [float(np.log10(large.seconds_a_step(20) / small.seconds_a_step(400)) / 2) for _ in range(REPEATS)]


def _two_threads() -> list[float]:
    one, two = _large(100_000, 1, 200), _large(100_000, 2, 200)
    ratios = [
        one.seconds_a_step(100, perf_counter) / two.seconds_a_step(100, perf_counter) for _ in range(REPEATS)
    ]
    if one.state.cells.tobytes() != two.state.cells.tobytes():
        return [0.0]  # other bits: no speed is worth anything
    return ratios


_MILLION = """
from time import perf_counter
from devnet.study.bench_sheet import REPEATS, _large
from devnet.study.processes import peak_memory
ours = _large(1_000_000, 2, 40)
print(*[1 / ours.seconds_a_step(20, perf_counter) for _ in range(REPEATS)])
print(peak_memory() / 2**30)
"""
_FIRST = """
from time import perf_counter
import devnet._core.compile, numba, scipy.fft, scipy.special, scipy.spatial
from devnet.study.bench_sheet import square_sheet
sheet = square_sheet(400, 1.0)
began = perf_counter()
from devnet.waves import simulate
simulate(sheet, steps=10, rng=0)
print(perf_counter() - began)
"""


# Whole jobs in a fresh process with nothing compiled, from import to result, in seconds of processor, compilers included.
_JOB = """
from os import times
began = sum(times()[:4])
from devnet.organization import organize
from devnet.study.bench_sheet import square_sheet
organize(square_sheet({n}, 1.0), "rate_map", steps={steps}, units=64, rng=0, field="fast")
print(sum(times()[:4]) - began)
"""
_BRIAN2_JOB = """
from os import times
from devnet._core.random import Key
from devnet.backends.base import SheetModel
from devnet.backends.brian2_.network import objects
from devnet.study.bench_sheet import square_sheet
sheet = square_sheet({n}, 1.0)
began = sum(times()[:4])
import brian2
if {target!r} == "standalone":
    brian2.set_device("cpp_standalone", directory={folder!r})
else:
    brian2.prefs["codegen.target"] = {target!r}
    brian2.prefs["codegen.runtime.cython.cache_dir"] = {folder!r}
built = objects(SheetModel.build(sheet, sheet.model.dynamics["rate_map"], Key(1)))
built.cells.run_regularly("noise = randn()", when="start")
spikes = brian2.SpikeMonitor(built.cells)
built.network(spikes).run({steps} * built.dt)
assert spikes.num_spikes > 0
print(sum(times()[:4]) - began)
"""


def _job(target: str, n: int, steps: int) -> list[float]:
    """Return Brian2's time for a job over ours, all included: imports, set-up, compilation, stepping."""
    ratios: list[float] = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
            theirs = in_process(_BRIAN2_JOB.format(target=target, folder=folder, n=n, steps=steps))[0][0]
            ratios.append(theirs / in_process(_JOB.format(n=n, steps=steps), cache)[0][0])
    return ratios


def _on_gpu(n: int, steps: int) -> list[float]:
    """Return the speed of a CUDA device over that of the CPU's two threads, waves on the fast field."""
    cpu = _large(n, 2, steps)
    gpu = _Ours("rate_map", square_sheet(n, 1.0), 0, backend_of("torch-cuda", "fast"), None, warm=steps)
    return [
        cpu.seconds_a_step(steps, perf_counter) / gpu.seconds_a_step(steps, perf_counter)
        for _ in range(REPEATS)
    ]


def bench_sheet() -> dict[str, Answer]:
    """Measure every claim of group ``sheet``.

    Returns:
        Answers by claim id.

    Raises:
        MissingDependencyError: Brian2 is not installed.
    """
    require("brian2", extra="brian2")
    answers: dict[str, Answer] = {}

    def answer(name: str, measure: Callable[[], list[float]]) -> None:
        began = perf_counter()
        values = measure()
        answers[name] = Answer(values, perf_counter() - began)
        tick()

    with task("bench sheet", len(claims_of("sheet"))) as tick, tempfile.TemporaryDirectory() as cache:
        answer("leaky_6400", lambda: _against_brian2("leaky", 6400, 2000))
        answer("map_6400", lambda: _against_brian2("rate_map", 6400, 2000))
        answer("leaky_1600", lambda: _against_brian2("leaky", 1600, 4000))
        answer("map_1600", lambda: _against_brian2("rate_map", 1600, 4000))
        answer("cython_6400", lambda: _against_cython(6400, 2000))
        answer("g19_learning", _g19_learning)
        answer("floor_6400", lambda: _floor(6400))
        million: list[list[float]] = []
        answer("million_speed", lambda: million.extend(in_process(_MILLION)) or million[0])
        answer("million_memory", lambda: million[1])
        answer("scaling", _scaling)
        answer("first_call", lambda: in_process(_FIRST, cache)[0])
        answer("later_call", lambda: [in_process(_FIRST, cache)[0][0] for _ in range(REPEATS)])
        answer("two_threads", _two_threads)
        for target in ("numpy", "cython", "standalone"):
            answer(f"job_{target}", partial(_job, target, 6400, 10_000))
        for name, n, steps in (("gpu_1e5", 100_000, 100), ("gpu_1e6", 1_000_000, 20)):
            if name in claims_of("sheet"):  # else there is no CUDA device
                answer(name, partial(_on_gpu, n, steps))
    return answers
