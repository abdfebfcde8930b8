"""The verb ``organize``: let waves wire the sheet to a layer of units."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Int

from devnet._core.checkpoint import Checked, Saved, alike, counts
from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.progress import task
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics import plasticity
from devnet.dynamics.plasticity import Learner
from devnet.sheet import Sheet, Wiring
from devnet.spec import LearningSpec
from devnet.waves import named, uncoupled
from devnet.waves.resume import identity, is_whole, packed, restore

CHUNK = 1024
"""Runs are cut only at multiples of this, where the compiled backend goes on bit for bit."""


def organize(
    sheet: Sheet,
    spec: LearningSpec | str | None = None,
    *,
    units: int | None = None,
    steps: int | None = None,
    rng: Any = None,
    backend: str = "numba",
    field: str = "exact",
    threads: int = 1,
    dtype: str = "float64",
    activity: str = "waves",
    start: Wiring | None = None,
    snapshots: int | Sequence[int] = 0,
    checkpoint: Checked | None = None,
) -> Wiring:
    """Let spontaneous activity wire a sheet, all-to-all and unordered at first, to a layer of units.

    Args:
        sheet: Where the cells are.
        spec: Dynamics, rule and length: a spec, the name of one of the sheet's model's learnings, or None for the
            model's first.
        units: Number of units; None takes the spec's, and where that is open too, the sheet's grown layer-II units.
        steps: Number of steps; None takes the spec's.
        rng: Seed as ``as_key`` takes it; all draws are functions of (key, stream, step, cell, draw).
        backend: ``"numba"``, or ``"reference"``, ``"brian2"``, ``"torch"``: the same wiring, slower.
        field: ``"exact"`` or ``"fast"``, how the coupling is summed; see ``backends.base.backend_of``.
        threads: Threads for large sheets with a fast field; the result does not depend on it.
        dtype: ``"float64"`` or ``"float32"``, in what the state of cells is held; see ``backends.base.backend_of``.
        activity: ``"waves"``, or ``"noise"`` for the control in which uncoupled cells fire as often by noise alone;
            the gate on spread, which noise never passes, is then open.
        start: A wiring of as many cells to go on from: its weights stay, while thresholds, counters and activity
            begin anew (G19, after damage). So the pools of a sheet that has lost cells, or has other waves, are
            learned again. None starts from all-to-all.
        snapshots: How many times the weights are kept on the way at most, in steps of equal ratio; or after which
            steps. Each is rounded up to a multiple of 1024 or to the end.
        checkpoint: Where the state is kept, so that the learning goes on bit for bit if its process dies;
            ``devnet.io.Checkpoints`` is one.

    Returns:
        The wiring.

    Raises:
        ConfigError: Unknown name, no unit, fewer cells than units, or a start that does not fit.
        HealthError: A state variable left the finite numbers.
        InterruptedRunError: It was asked to stop; the checkpoint holds its state.
    """
    learning = named("learning", sheet.model.learning, spec)
    count = next(u for u in (units, start and start.units, learning.units, sheet.m) if u is not None)
    length = steps if steps is not None else learning.steps
    whole("units", count)
    if count > sheet.n:
        raise ConfigError("units", count, f"between 1 and the sheet's {sheet.n} cells")
    whole("steps", length)
    if activity not in ("waves", "noise"):
        raise ConfigError("activity", activity, "'waves' or 'noise'")
    if start is not None and (start.weights.shape != (sheet.n, count) or not start.weights.any(axis=0).all()):
        raise ConfigError(
            "start", start, f"a wiring of {sheet.n} cells and {count} units, each with a weight above 0"
        )
    if start is not None and not learning.rule.signed and start.weights.min() < 0:
        raise ConfigError(
            "start", start, f"a wiring without negative weights: rule {learning.rule.rule!r} has none"
        )
    wanted = _kept_steps(snapshots, length)
    stepper = backend_of(backend, field, threads, dtype)
    key = as_key(rng)
    dynamics = named("dynamics", sheet.model.dynamics, learning.dynamics)
    if activity == "noise":
        dynamics = uncoupled(sheet, dynamics, key.child("probe"))
    model = SheetModel.build(sheet, dynamics, key)
    rule = learning.rule if activity == "waves" else learning.rule.replace(max_spread=0.0)
    learner = plasticity.start(rule, model.coupling.places, count, key, start and start.weights)
    state = State.initial(model, learner)
    first_weights = learner.weights.copy()
    late = length * 4 // 5 // CHUNK * CHUNK
    kept: list[tuple[int, np.ndarray]] = []
    early_wins = np.zeros_like(learner.wins)
    written = 0
    if checkpoint is not None:
        told = (rule.model_dump(mode="json"), length, activity, wanted, first_weights)
        if saved := checkpoint.load(
            identity("organize", model, stepper, *told),
            lambda saved: is_whole(state, saved, CHUNK, length) and _goes_with(saved, learner, wanted),
        ):
            restore(state, saved.arrays, saved.numbers["step"])
            early_wins = saved.arrays["early_wins"]
            kept = [(step, part[str(step)]) for part in saved.segments for step in sorted(map(int, part))]
            written = len(kept)
    with task(f"organize {learning.dynamics}", length) as tick:
        tick(state.step)
        while state.step < length:
            chunk = min(CHUNK, length - state.step)
            stepper.advance(model, state, chunk, rule=rule, record=False)
            tick(chunk)
            if state.step == late:
                early_wins = learner.wins.copy()
            if len(kept) < len(wanted) and state.step >= wanted[len(kept)]:
                kept.append((state.step, learner.weights.astype(np.float32)))
            if checkpoint is not None and state.step < length and checkpoint.due():
                new = {str(step): weights for step, weights in kept[written:]}
                checkpoint.save(packed(state) | {"early_wins": early_wins}, {"step": state.step}, new or None)
                written = len(kept)
    return Wiring(
        sheet=sheet,
        learning=learning,
        dynamics=dynamics,
        key=key,
        backend=stepper.name,
        field=stepper.field(model),
        activity=activity,
        steps=length,
        weights=learner.weights,
        initial_weights=first_weights,
        thresholds=learner.thresholds,
        wins=learner.wins,
        late_wins=learner.wins - early_wins,
        snapshot_steps=np.array([step for step, _ in kept], dtype=np.int64),
        snapshots=np.stack([w for _, w in kept]) if kept else None,
    )


def _goes_with(saved: Saved, learner: Learner, wanted: Int[np.ndarray, " k"]) -> bool:
    """Say whether early wins and kept weights go with the state that was saved."""
    arrays, early = saved.arrays, {"early_wins": learner.wins}
    if not alike(arrays, early) or not counts(arrays["early_wins"], 0, saved.numbers["step"]):
        return False
    kept = {step: weights for part in saved.segments for step, weights in part.items()}
    snapshot = np.empty_like(learner.weights, np.float32)
    fresh = {str(step): snapshot for step in wanted if step <= saved.numbers["step"]}
    late_wins = arrays["learner.wins"] - arrays["early_wins"]
    return bool((late_wins >= 0).all()) and kept.keys() == fresh.keys() and alike(kept, fresh)


def _kept_steps(snapshots: int | Sequence[int], length: int) -> Int[np.ndarray, " k"]:
    """Return after which steps the weights are kept, ascending."""
    if isinstance(snapshots, Integral):
        whole("snapshots", snapshots, 0)
        steps = np.geomspace(min(CHUNK, length), length, int(snapshots)).astype(int)
    else:
        steps = np.asarray(snapshots, dtype=int)
        if np.any(steps < 1) or np.any(steps > length):
            raise ConfigError("snapshots", steps.tolist(), f"steps from 1 to {length}")
    return np.unique(np.minimum(-(-steps // CHUNK) * CHUNK, length))
