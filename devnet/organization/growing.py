"""Waves and learning while the sheet grows, as published (G19).

Growth does not look at activity. So a sheet is grown first and its growth is then lived through again: in sweep s the
cells that were born by then run, and the units that were emitted by then learn. That is the same as growing and running
at once, and a cell's noise, being a function of (key, step, cell), does not change when others join.

A cell joins at rest, with synapses onto all units; a unit joins with synapses from all cells, the newest weights drawn
around the mean, and each unit is then rescaled to its norm. The published text says that a rising unit is connected to its
parent only, and not when it gets the others: that it has them from its emission is our reading.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from devnet._core.errors import ConfigError
from devnet._core.progress import task
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics import plasticity
from devnet.dynamics.plasticity import Learner
from devnet.dynamics.plasticity.base import total
from devnet.growth import grow
from devnet.organization.organize import CHUNK
from devnet.sheet import Sheet, Wiring
from devnet.spec import LearningSpec, ModelSpec
from devnet.waves import named


def grow_and_organize(
    model: str | Path | ModelSpec | Sheet,
    spec: LearningSpec | str | None = None,
    *,
    steps_per_sweep: int = 100,
    steps: int | None = None,
    rng: Any = None,
    backend: str = "numba",
) -> Wiring:
    """Grow a sheet and let its waves wire it meanwhile; go on when it has grown.

    Args:
        model: Catalog name, path of a TOML file, or a spec; or a sheet that has grown, whose growth is lived through again.
        spec: Dynamics, rule and length: a spec, the name of one of the model's learnings, or None for its first. The
            units are the sheet's own.
        steps_per_sweep: Steps of activity in a sweep of growth (ours: the published ratio is not readable).
        steps: Steps in all; None takes the spec's. Growth must fit into them.
        rng: Seed as ``as_key`` takes it.
        backend: As ``organize`` takes it.

    Returns:
        The wiring of the grown sheet, of activity ``"waves while growing"``.

    Raises:
        ConfigError: Unknown name, a sheet without units, or growth takes more steps than there are.
        HealthError: A state variable left the finite numbers.
    """
    key = as_key(rng)
    sheet = model if isinstance(model, Sheet) else grow(model, rng=key.child("grow"))
    learning = named("learning", sheet.model.learning, spec)
    length = steps if steps is not None else learning.steps
    if learning.rule.signed:
        raise ConfigError(
            "spec.rule", learning.rule.rule, "a rule of pools: newcomers start at the mean weight"
        )
    if sheet.m == 0:
        raise ConfigError("model", sheet, "one whose sheet has layer-II units")
    if steps_per_sweep < 1 or length < sheet.sweeps * steps_per_sweep:
        raise ConfigError(
            "steps",
            (length, steps_per_sweep),
            f"at least 1 a sweep, and {sheet.sweeps} sweeps' of them in all",
        )
    stepper = backend_of(backend)
    whole = SheetModel.build(sheet, named("dynamics", sheet.model.dynamics, learning.dynamics), key)
    first = plasticity.start(learning.rule, whole.coupling.places, sheet.m, key)
    part, state = _part(whole, 1), State.initial(_part(whole, 1), _none(first))
    late, early_wins = length * 4 // 5 // CHUNK * CHUNK, np.zeros(sheet.m, np.int64)
    ends = [*np.arange(sheet.sweeps) * steps_per_sweep, sheet.sweeps * steps_per_sweep, length]
    with task(f"grow and organize {learning.dynamics}", length) as tick:
        for sweep, (begin, end) in enumerate(pairwise(ends)):
            n = int(np.searchsorted(sheet.born, sweep, side="right"))
            m = int(np.searchsorted(sheet.emitted, sweep, side="right"))
            if n > part.n:
                part = _part(whole, n)
            _join(state, part, first, m, learning.rule)
            for chunk in _chunks(int(begin), int(end)):
                stepper.advance(part, state, chunk, rule=learning.rule if m else None, record=False)
                tick(chunk)
                if state.step == late and state.learner is not None:
                    early_wins[:m] = state.learner.wins
    learner = state.learner or first
    return Wiring(
        sheet=sheet,
        learning=learning,
        dynamics=sheet.model.dynamics[learning.dynamics],
        key=key,
        backend=stepper.name,
        field=stepper.field(whole),
        activity="waves while growing",
        steps=length,
        weights=learner.weights,
        initial_weights=first.weights,
        thresholds=learner.thresholds,
        wins=learner.wins,
        late_wins=learner.wins - early_wins,
    )


def _chunks(begin: int, end: int) -> list[int]:
    """Return lengths of pieces that end at multiples of ``CHUNK``, and at the end."""
    cuts = [begin, *range((begin // CHUNK + 1) * CHUNK, end, CHUNK), end]
    return [b - a for a, b in pairwise(cuts) if b > a]


def _part(model: SheetModel, n: int) -> SheetModel:
    """Return the model of the first n cells."""
    return replace(
        model,
        cells=model.cells[:, :n].copy(),
        start=model.start[:, :n].copy(),
        coupling=replace(model.coupling, positions=model.coupling.positions[:n]),
        dead=model.dead[model.dead < n],
    )


def _none(first: Learner) -> Learner:
    """Return a learner of one cell and no unit."""
    return Learner.of(first.weights[:1, :0].copy(), first.thresholds[:0].copy(), first.places[:1])


def _join(state: State, model: SheetModel, first: Learner, m: int, rule: Any) -> None:
    """Let cells and units join a running state until it has those of ``model`` and m units."""
    learner = state.learner
    if learner is None:
        raise TypeError("a growing sheet has a learner")
    (was_n, was_m), n = learner.weights.shape, model.n
    if (n, m) == (was_n, was_m):
        return
    # Draws of mean 1: newcomers meet the mean weight that the present units keep.
    share = first.weights[:n, :m] / first.weights.mean(axis=0)[:m]
    sum_kept = total(rule, n)
    weights = share * (sum_kept / n)
    weights[:was_n, :was_m] = learner.weights
    grown = Learner.of(
        weights * (sum_kept / weights.sum(axis=0)), first.thresholds[:m].copy(), first.places[:n].copy()
    )
    for name in ("thresholds", "wins", "peak", "counted"):
        getattr(grown, name)[:was_m] = getattr(learner, name)
    grown.pre[:, :was_n], grown.post[:, :was_m] = learner.pre, learner.post
    cells, fired = model.start.copy(), np.zeros(n, dtype=bool)
    cells[:, :was_n], fired[:was_n] = state.cells, state.fired
    state.cells, state.fired, state.learner = cells, fired, grown
