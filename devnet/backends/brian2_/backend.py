"""Brian2's runtime targets behind the interface of all backends."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from time import process_time
from typing import final

import numpy as np
import platformdirs
from jaxtyping import Float

from devnet._core.errors import ConfigError
from devnet._core.optional import require
from devnet.backends.base import Backend, SheetModel, Spikes, State, check_finite
from devnet.backends.brian2_.network import Noise, objects
from devnet.dynamics.plasticity import rule_of
from devnet.spec import RuleSpec

CHECK = 64
"""Steps between two looks for NaN and infinity."""
EXACT_FLAGS = ["-w", "-O3", "-march=native", "-ffp-contract=off", "-std=c++11"]
"""As Brian2's, but each operation rounded as IEEE 754 has it."""


@contextmanager
def settings(target: str) -> Generator[None]:
    """Let Brian2 generate code of one target, statement by statement as written, while the block runs.

    Compiled code is cached apart, because Brian2 does not tell code of other compiler flags from its own.

    Raises:
        ConfigError: Brian2 is set to another device than its runtime.
    """
    b = require("brian2", extra="brian2")
    if b.get_device() is not b.all_devices["runtime"]:
        raise ConfigError("brian2.device", "a standalone device", "brian2.set_device('runtime')")
    wanted = {
        "codegen.target": target,
        "codegen.loop_invariant_optimisations": False,
        "codegen.cpp.extra_compile_args": EXACT_FLAGS,
        "codegen.runtime.cython.cache_dir": str(platformdirs.user_cache_path("devnet") / "brian2"),
        "core.default_float_dtype": np.float64,
    }
    before = {name: b.prefs[name] for name in wanted}
    try:
        for name, value in wanted.items():
            b.prefs[name] = value
        yield
    finally:
        for name, value in before.items():
            b.prefs[name] = value


@cache
def best_target() -> str:
    """Return ``"cython"`` where Cython and a C++ compiler are at hand, else ``"numpy"``."""
    require("brian2", extra="brian2")
    from brian2.codegen.runtime.cython_rt import CythonCodeObject

    if not any(shutil.which(compiler) for compiler in ("g++", "c++", "clang++")):
        return "numpy"
    with settings("cython"):
        return "cython" if CythonCodeObject.is_available() else "numpy"


class _Run:
    """One model as a Brian2 network, and what happens in Python once a step: noise, learning, recording, checks."""

    def __init__(self, model: SheetModel) -> None:
        b = require("brian2", extra="brian2")
        self.model = model
        built = objects(model, "devnet_")
        self.dt = built.dt
        values = built.cells.variables
        self.variables = [values[name].get_value() for name in model.form.state]
        self.drive = values["I"].get_value()
        self.noise = values["noise"].get_value()
        self.spikespace = values["_spikespace"].get_value()
        hook = b.NetworkOperation(
            self._each_step, clock=built.cells.clock, when="after_thresholds", name="devnet_hook"
        )
        self.network = built.network(hook)

    def read(self) -> None:
        """Copy Brian2's state variables."""
        for row, value in zip(self.state.cells, self.variables, strict=True):
            row[:] = value

    def take(
        self,
        state: State,
        steps: int,
        rule: RuleSpec | None,
        noise: Float[np.ndarray, "steps n"] | None,
        record: bool,
    ) -> tuple[list[Spikes], float]:
        """Take steps and return spikes by step, and the processor time since the first step began."""
        self.state, self.first, self.record = state, state.step, record
        self.began = process_time()
        self.parts: list[Spikes] = []
        self.rule = rule if state.learner is not None else None
        source = Noise(self.model)
        self.samples = source.at if noise is None else lambda step: noise[step - self.first]
        for value, row in zip(self.variables, state.cells, strict=True):
            value[:] = row
        self.drive[:] = 0.0
        self.network.run(steps * self.dt, namespace={})
        seconds = process_time() - self.began
        if state.step == self.first + steps:  # else stopped, and the state is the one that was not finite
            self.read()
            state.fired[:] = False
            state.fired[self.firing] = True
        return self.parts, seconds

    def _each_step(self) -> None:
        state, step = self.state, self.state.step
        if step == self.first:
            self.began = process_time()
        elif step % CHECK == 0:
            self.read()
            if not np.isfinite(state.cells).all():
                self.network.stop()
                return
        self.noise[:] = self.samples(step)
        firing = self.firing = self.spikespace[
            : self.spikespace[-1]
        ].copy()  # in its last place stands how many
        if self.rule is not None and state.learner is not None:
            rule_of(self.rule).learn(self.rule, state.learner, firing, step)
        if self.record:
            self.parts.append(Spikes(np.full(len(firing), step, np.int32), firing))
        state.step = step + 1


@final
class Brian2Backend(Backend):
    """Brian2's numpy or Cython code, float64, lateral coupling as Synapses.

    The network is kept from call to call for the model that ran last. The learning rule is the reference's, called
    once a step. Brian2 makes its code anew at each call, so that short calls are slow.

    Args:
        target: ``"cython"``, ``"numpy"``, or None for the faster one that this machine has.

    Attributes:
        seconds: Processor time of stepping alone in the last call of ``advance``: without building the network, making
            code and compiling it.
    """

    def __init__(self, target: str | None = None) -> None:
        require("brian2", extra="brian2")
        self._target = target or best_target()
        self.name = "brian2" if self._target == "cython" else "brian2-numpy"
        self.seconds = 0.0
        self._run: _Run | None = None

    def field(self, model: SheetModel) -> str:
        """Say how the coupling is summed; see ``Backend.field``."""
        return f"exact: float64 Brian2 synapses ({self._target}), summed afresh"

    def take(
        self,
        model: SheetModel,
        state: State,
        steps: int,
        *,
        rule: RuleSpec | None = None,
        noise: Float[np.ndarray, "steps n"] | None = None,
        record: bool = True,
    ) -> Spikes:
        """Take steps; see ``Backend.advance``."""
        if len(model.dead):
            raise ConfigError("backend", self.name, "another backend for a sheet with dead cells")
        if steps < 1:
            return Spikes.join([])
        if self._run is None or self._run.model is not model:
            self._run = None  # one network at a time: its synapses are large
            with settings("numpy"):  # nothing to compile for what is done once
                self._run = _Run(model)
        with settings(self._target):
            parts, self.seconds = self._run.take(state, steps, rule, noise, record)
        check_finite(model, state)
        return Spikes.join(parts)
