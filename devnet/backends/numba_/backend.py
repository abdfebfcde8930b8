"""The default backend: the fused kernel behind the interface of all backends."""

from __future__ import annotations

from typing import final

import numpy as np
from jaxtyping import Float

from devnet._core.random import stream_id
from devnet.backends.base import NOISE, Backend, SheetModel, Spikes, State, check_finite
from devnet.backends.numba_.kernels import run
from devnet.dynamics.plasticity import hebbian_wta
from devnet.spec import HebbianWTASpec

SPIKES_AT_ONCE = 1 << 20
"""Room for spikes in one call of the kernel; more spikes mean more calls."""


@final
class NumbaBackend(Backend):
    """Fused numba kernel, float64, one thread."""

    name = "numba"

    def __init__(self, field: str = "exact") -> None:
        self._fast = field == "fast"

    def field(self, model: SheetModel) -> str:
        """Say how the coupling is summed; see ``Backend.field``."""
        return f"{'fast: float32' if self._fast else 'exact: float64'} matrix, updated by changes"

    def advance(
        self,
        model: SheetModel,
        state: State,
        steps: int,
        *,
        rule: HebbianWTASpec | None = None,
        noise: Float[np.ndarray, "steps n"] | None = None,
        record: bool = True,
    ) -> Spikes:
        """Take steps; see ``Backend.advance``."""
        learning = rule is not None and state.learner is not None
        rule = rule if rule is not None else HebbianWTASpec()
        learner = state.learner
        if learner is None:
            learner = hebbian_wta.Learner(
                np.zeros((model.n, 0)), np.zeros(0), np.zeros(0, np.int64), np.zeros(0)
            )
        room = max(SPIKES_AT_ONCE, model.n) if record else 0
        time, cell = np.empty(room, np.int32), np.empty(room, np.int32)
        times: list[np.ndarray] = []
        cells: list[np.ndarray] = []
        firing = np.flatnonzero(state.fired)
        coupling = model.coupling.rounded_matrix if self._fast else model.coupling.matrix
        field = coupling[firing].sum(axis=0, dtype=np.float64)
        drives = learner.weights[firing].sum(axis=0)
        total = hebbian_wta.total(rule, model.n)
        scale, stored_sum = np.ones_like(drives), np.full_like(drives, total)
        done = 0
        while done < steps:
            given = (
                np.empty((0, 0)) if noise is None else np.ascontiguousarray(noise[done:], dtype=np.float64)
            )
            taken, spikes, sick = run(
                model.form.number, model.constants, model.cells, coupling, state.cells, state.fired, state.step,
                steps - done, model.hold, *model.key.words, stream_id(NOISE), given, record, time, cell, field,
                drives, scale, stored_sum, learning, learner.weights, learner.thresholds, learner.wins, learner.peak,
                total, rule.eta, rule.factor == "excess", rule.c_plus, rule.c_rise == "factor", rule.c_decay,
                rule.recruit_every, rule.recruit_wins, rule.recruit_divisor, rule.min_active,
            )  # fmt: skip
            state.step += taken
            done += taken
            times.append(time[:spikes].copy())
            cells.append(cell[:spikes].copy())
            if sick:
                check_finite(model, state)
        learner.weights *= scale
        empty = np.empty(0, np.int32)
        return Spikes(np.concatenate([empty, *times]), np.concatenate([empty, *cells]))
