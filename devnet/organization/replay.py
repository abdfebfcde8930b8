"""Learning from a recording instead of a running sheet: for controls whose activity no sheet would make."""

from __future__ import annotations

from typing import Any

import numpy as np

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.backends.coupling import Coupling
from devnet.dynamics import plasticity
from devnet.organization.organize import CHUNK
from devnet.sheet import Recording, Wiring
from devnet.spec import LearningSpec
from devnet.waves import named


def replay(
    recording: Recording,
    spec: LearningSpec | str | None = None,
    *,
    units: int | None = None,
    rng: Any = None,
) -> Wiring:
    """Let a recording wire its sheet to a layer of units, by the rule's law in NumPy.

    From a recording of the sheet's own activity the result is that of ``organize`` with the same seed, up to rounding.

    Args:
        recording: Who fired when.
        spec: Rule: a learning, the name of one of the sheet's model's, or None for the model's first. Its dynamics and
            steps are not used.
        units: Number of units; None takes the spec's, and where that is open too, the sheet's grown layer-II units.
        rng: Seed of the first weights and thresholds.

    Returns:
        The wiring, of activity ``"replay"``.

    Raises:
        ConfigError: Unknown name, no unit, or fewer cells than units.
    """
    sheet = recording.sheet
    learning = named("learning", sheet.model.learning, spec)
    count = next(u for u in (units, learning.units, sheet.m) if u is not None)
    if not 1 <= count <= sheet.n:
        raise ConfigError("units", count, f"between 1 and the sheet's {sheet.n} cells")
    key, rule = as_key(rng), learning.rule
    places = Coupling.build(sheet, recording.dynamics.coupling).places
    learner = plasticity.start(rule, places, count, key)
    first, learn = learner.weights.copy(), plasticity.rule_of(rule).learn
    late, early_wins = recording.steps * 4 // 5 // CHUNK * CHUNK, np.zeros_like(learner.wins)
    begins = np.searchsorted(recording.time, np.arange(recording.steps + 1))
    for step in range(recording.steps):
        learn(rule, learner, recording.cell[begins[step] : begins[step + 1]], step)
        plasticity.upkeep.tend(rule, learner, step + 1, key)
        if step + 1 == late:
            early_wins = learner.wins.copy()
    return Wiring(
        sheet=sheet,
        learning=learning,
        dynamics=recording.dynamics,
        key=key,
        backend=recording.backend,
        field=recording.field,
        activity="replay",
        steps=recording.steps,
        weights=learner.weights,
        initial_weights=first,
        thresholds=learner.thresholds,
        wins=learner.wins,
        late_wins=learner.wins - early_wins,
    )
