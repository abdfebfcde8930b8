"""Waves as a C++ program that Brian2 writes: its fastest way, and the one to be measured against."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from jaxtyping import Float

from devnet._core.errors import ConfigError
from devnet._core.optional import require
from devnet.backends.base import NOISE, SheetModel, Spikes, State
from devnet.backends.brian2_.network import objects


@dataclass(frozen=True)
class StandaloneRun:
    """What a standalone program did.

    Attributes:
        spikes: Who fired when.
        state: State after the last step.
        build_seconds: Writing the program and compiling it.
        program_seconds: The whole program: reading arrays, making synapses, stepping, writing results.
        seconds: Stepping alone, as the program's own clock has it.
    """

    spikes: Spikes
    state: State
    build_seconds: float
    program_seconds: float
    seconds: float


@contextmanager
def standalone(
    model: SheetModel,
    steps: int,
    *,
    state: State | None = None,
    noise: Float[np.ndarray, "steps n"] | None = None,
    flags: Sequence[str] | None = None,
) -> Generator[Callable[[], StandaloneRun]]:
    """Build the waves of a sheet as a program of Brian2's ``cpp_standalone``: one thread, no learning.

    Noise is handed to the program as an array, so Brian2 does not spend time on drawing it: 8 n bytes for each
    ``model.hold`` steps. Everything is written to a temporary directory that is removed.

    Args:
        model: What runs.
        steps: How many steps.
        state: Where the run starts, not changed; None is step 0.
        noise: Standard Gaussians to use instead of the model's own stream, one row a step.
        flags: Compiler flags; None takes Brian2's own, which are the fastest and let the compiler reorder sums.

    Yields:
        A function that runs the program, the same stretch at each call, and returns what it did.

    Raises:
        ConfigError: No steps.
        MissingDependencyError: Brian2 is not installed.
    """
    if steps < 1:
        raise ConfigError("steps", steps, "at least 1")
    b = require("brian2", extra="brian2")
    first, last = (0, steps) if state is None else (state.step, state.step + steps)
    hold = model.hold if noise is None and first % model.hold == 0 else 1
    if noise is None:
        stream = model.key.stream(NOISE)
        rows = [stream.normal(step // model.hold, model.n) for step in range(first, last, hold)]
        noise = np.stack(rows).astype(float)
    names = ("codegen.cpp.extra_compile_args", "devices.cpp_standalone.openmp_threads")
    before = {name: b.prefs[name] for name in names}
    device = b.all_devices["cpp_standalone"]
    with tempfile.TemporaryDirectory(prefix="devnet-brian2-") as folder:
        device.reinit()
        b.set_device("cpp_standalone", build_on_run=False)
        try:
            if flags is not None:
                b.prefs["codegen.cpp.extra_compile_args"] = list(flags)
            b.prefs["devices.cpp_standalone.openmp_threads"] = 0
            began = perf_counter()
            begin = model if state is None else replace(model, start=state.cells)
            built = objects(begin, "devnet_", noise=noise, hold=hold)
            monitor = b.SpikeMonitor(built.cells, name="devnet_spikes")
            built.network(monitor).run(steps * built.dt, namespace={})
            device.build(directory=folder, run=False, with_output=False)
            build_seconds = perf_counter() - began

            def run() -> StandaloneRun:
                started = perf_counter()
                device.run(folder, "results", with_output=False, run_args=[])
                program_seconds = perf_counter() - started
                time = first + np.rint(np.asarray(monitor.t_) / float(built.dt)).astype(np.int32)
                cell = np.array(monitor.i, dtype=np.int32)
                cells = [np.array(built.cells.variables[name].get_value()) for name in model.form.state]
                fired = np.zeros(model.n, dtype=bool)
                fired[cell[time == last - 1]] = True
                return StandaloneRun(
                    Spikes(time, cell),
                    State(np.stack(cells), fired, last),
                    build_seconds,
                    program_seconds,
                    float(device._last_run_time),
                )

            yield run
        finally:
            b.devices.reset_device()
            device.reinit()
            for name, value in before.items():
                b.prefs[name] = value


def run_standalone(model: SheetModel, steps: int, **options: Any) -> StandaloneRun:
    """Build and run the waves of a sheet once in Brian2's ``cpp_standalone``.

    Args:
        model: What runs.
        steps: How many steps.
        **options: As ``standalone`` takes them.

    Returns:
        Spikes, last state and times.
    """
    with standalone(model, steps, **options) as run:
        return run()
