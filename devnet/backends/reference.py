"""The oracle: a sheet stepped in plain NumPy, one readable line a line of the law."""

from __future__ import annotations

from typing import final

import numpy as np
from jaxtyping import Float

from devnet.backends.base import NOISE, Backend, SheetModel, Spikes, State, check_finite
from devnet.dynamics.plasticity import rule_of
from devnet.spec import RuleSpec


@final
class ReferenceBackend(Backend):
    """Plain NumPy; slow, and the truth the other backends are held against."""

    name = "reference"

    def field(self, model: SheetModel) -> str:
        """Say how the coupling is summed; see ``Backend.field``."""
        return "exact: float64 matrix, summed afresh"

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
        form, k, coupling = model.form, model.constants, model.coupling.matrix
        stream = model.key.stream(NOISE)
        parts: list[Spikes] = []
        first = state.step
        for step in range(first, first + steps):
            fired = form.fires(*state.cells, k)
            fired[model.dead], state.cells[:, model.dead] = False, 0.0
            firing = np.flatnonzero(fired)
            drive = coupling[:, firing].sum(axis=1)
            given = stream.normal(step // model.hold, model.n) if noise is None else noise[step - first]
            state.cells[:] = form.advance(
                *state.cells, fired, drive, given.astype(np.float64), *model.cells, k
            )
            if rule is not None and state.learner is not None:
                rule_of(rule).learn(rule, state.learner, firing, step)
            state.fired[:] = fired
            state.step = step + 1
            if record:
                parts.append(Spikes(np.full(len(firing), step), firing))
            if state.step % 64 == 0:
                check_finite(model, state)
        check_finite(model, state)
        return Spikes.join(parts)
