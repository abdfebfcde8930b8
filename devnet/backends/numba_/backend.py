"""The default backend: the fused kernel behind the interface of all backends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np
from jaxtyping import Float

from devnet._core.random import stream_id
from devnet.backends.base import NOISE, Backend, SheetModel, Spikes, State, check_finite
from devnet.backends.mesh import MESH_FROM
from devnet.backends.numba_ import kernels
from devnet.backends.numba_.laws import REFRESH
from devnet.backends.numba_.mesh import MeshField
from devnet.backends.numba_.sums import HISTORY
from devnet.backends.numba_.team import Team
from devnet.dynamics.plasticity import Learner, rule_of
from devnet.sheet import PLANE
from devnet.spec import HebbianWTASpec, NormalizeSpec, RuleSpec, TemporalDifferenceSpec

SPIKES_AT_ONCE = 1 << 20
"""Room for spikes in one call of the kernel; more spikes mean more calls."""


@final
class NumbaBackend(Backend):
    """Fused numba kernels in float64.

    Args:
        field: ``"exact"`` or ``"fast"``, see ``backend_of``.
        threads: Threads for sheets stepped by the particle mesh; the result does not depend on it.
        dtype: ``"float64"``, or ``"float32"``: the state of cells is rounded to it after each step, which is computed
            in float64 as ever.
    """

    name = "numba"

    def __init__(self, field: str = "exact", threads: int = 1, dtype: str = "float64") -> None:
        self._fast = field == "fast"
        self._dtype = np.dtype(dtype)
        self._team = Team(threads)
        self._mesh: MeshField | None = None

    def field(self, model: SheetModel) -> str:
        """Say how the coupling is summed; see ``Backend.field``."""
        state = "" if self._dtype == np.float64 else "; state in float32"
        if self._takes_mesh(model):
            return "fast: particle mesh, near cells by changes" + state
        return f"{'fast: float32' if self._fast else 'exact: float64'} matrix, by changes" + state

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
        scaled = _ScaledLearner(model, state, rule)
        step_through = self._by_mesh if self._takes_mesh(model) else self._by_matrix
        held = replace(state, cells=state.cells.astype(self._dtype))
        try:
            spikes = step_through(model, held, steps, scaled, noise, record)
        finally:
            state.cells[:], state.step = held.cells, held.step
        scaled.finish()
        return spikes

    def _takes_mesh(self, model: SheetModel) -> bool:
        return self._fast and model.n >= MESH_FROM and model.coupling.surface == PLANE

    def _by_matrix(
        self, model: SheetModel, state: State, steps: int, scaled: _ScaledLearner, noise: Any, record: bool
    ) -> Spikes:
        fields = np.zeros((HISTORY, model.n))
        flags = np.zeros((HISTORY, -(-model.n // 64) * 64), np.uint8)
        flags[0, : model.n] = state.fired
        if model.coupling.absent:
            coupling = np.empty((0, 0))
        else:
            coupling = model.coupling.rounded_matrix if self._fast else model.coupling.matrix
            coupling[state.fired].sum(axis=0, dtype=np.float64, out=fields[0])
        past = fields, flags, np.array([1, 0])
        learner = scaled.arrays if scaled.rule >= 0 else None
        room = max(SPIKES_AT_ONCE, model.n) if record else 0
        time, cell = np.empty(room, np.int32), np.empty(room, np.int32)
        parts: list[Spikes] = []
        done = 0
        while done < steps:
            given = (
                np.empty((0, 0)) if noise is None else np.ascontiguousarray(noise[done:], dtype=np.float64)
            )
            taken, spikes, sick = scaled.kernels.run(
                model.form.number, model.constants, model.cells, coupling, state.cells, state.fired, past,
                state.step, steps - done, model.hold, _key(model), given, record, time, cell, model.dead,
                scaled.rule, learner, scaled.constants,
            )  # fmt: skip
            state.step += taken
            done += taken
            parts.append(Spikes(time[:spikes].copy(), cell[:spikes].copy()))
            if sick:
                check_finite(model, state)
        return Spikes.join(parts)

    def _by_mesh(
        self, model: SheetModel, state: State, steps: int, scaled: _ScaledLearner, noise: Any, record: bool
    ) -> Spikes:
        if self._mesh is None or self._mesh.coupling is not model.coupling:
            self._mesh = MeshField(model.coupling, self._team)
        mesh, team, n, key = self._mesh, self._team, model.n, _key(model)
        law = (model.form.number, model.constants)
        padded = -(-n // 64) * 64
        samples = np.empty(padded, np.float32)
        fired, after = np.zeros(padded, np.uint8), np.zeros(padded, np.uint8)
        firing, changed, signs = (np.empty(n, np.int64) for _ in range(3))

        def step(part: int, fired: Any, after: Any, drive: Any, fresh: bool, draw: int) -> None:
            piece = team.piece(part, n, 64)
            scaled.kernels.move(
                *law, model.cells, state.cells, fired, drive, samples, fresh, key, draw, *piece
            )
            scaled.kernels.look(*law, state.cells, after, *piece)

        fired[:n] = state.fired
        mesh.reset()
        mesh.update(np.flatnonzero(fired), np.ones(n, np.int64))
        scaled.kernels.look(*law, state.cells, after, 0, n)
        parts: list[Spikes] = []
        for done in range(steps):
            now = state.step
            fired, after = after, fired
            fired[model.dead], state.cells[:, model.dead] = 0, 0.0
            n_firing, n_changed = kernels.list_cells(fired, after, firing, changed, signs)
            active, flips = firing[:n_firing], changed[:n_changed]
            if now % REFRESH == 0:
                mesh.reset()
                mesh.update(active, np.ones(n_firing, np.int64))
            else:
                mesh.update(flips, signs)
            drive = mesh.evaluate(fired, n_firing > 0)
            if noise is not None:
                samples[:n] = noise[done]
            fresh = noise is None and (done == 0 or now % model.hold == 0)
            team.share(step, fired, after, drive, fresh, now // model.hold)
            if scaled.rule >= 0:
                scaled.kernels.learn_step(
                    now, active, flips, signs, scaled.rule, scaled.arrays, scaled.constants
                )
            if record:
                parts.append(Spikes(np.full(n_firing, now, np.int32), active.astype(np.int32)))
            state.step += 1
            if (state.step % kernels.CHECK == 0 or done == steps - 1) and kernels.is_sick(state.cells):
                check_finite(model, state)
        state.fired[:] = fired[:n]
        return Spikes.join(parts)


class _ScaledLearner:
    """A learner as the kernels want it, with scales beside the weights; without learning, one of no units."""

    def __init__(self, model: SheetModel, state: State, rule: RuleSpec | None) -> None:
        learner = state.learner
        if rule is None or learner is None:
            rule, learner = None, Learner.of(np.zeros((model.n, 0)), np.zeros(0))
        law = rule_of(rule or HebbianWTASpec())
        self.rule = law.number if rule is not None else -1
        builtin = kernels.OWN not in (model.form.number, self.rule)
        self.kernels: Any = kernels if builtin else kernels.customized(model.form, law)
        self.constants = law.constants(rule or HebbianWTASpec(), *learner.weights.shape)
        self._weights = learner.weights
        drives = learner.weights[state.fired].sum(axis=0)
        self._scale = np.ones_like(drives)
        sums = np.full_like(drives, self.constants[0])
        upkeep = (
            rule.upkeep.values() if rule is not None and not isinstance(rule, TemporalDifferenceSpec) else ()
        )
        if any(isinstance(part, NormalizeSpec) and part.of == "cell" for part in upkeep):
            sums = learner.weights.sum(axis=0)  # which is then another one for each unit
        self.arrays = (
            drives, self._scale, sums, learner.weights, learner.thresholds,
            learner.wins, learner.peak, learner.pre, learner.post, learner.places,
        )  # fmt: skip

    def finish(self) -> None:
        """Put the scales back into the weights."""
        self._weights *= self._scale


def _key(model: SheetModel) -> tuple[int, int, int]:
    return *model.key.words, stream_id(NOISE)
