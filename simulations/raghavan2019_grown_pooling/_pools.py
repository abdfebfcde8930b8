"""What the figures of growth and pools share: models with another r_o, sheets that stay finite, and when pools converged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from devnet._core.errors import HealthError
from devnet.measure import pool_geometry
from devnet.sheet import Wiring
from devnet.sheet.sampling import receptive_fields
from devnet.spec import ModelSpec, load_model

G19_WEIGHT = 0.1
"""A node belongs to a pool of the G19 form when its weight is at least this, at a mean weight of 2.5 (G19)."""
QUARTER = 0.25
"""A pool has converged when it holds less than this share of the nodes."""
EVERY = 20_000
"""Steps over which the median pool may change by 5 %."""

T = TypeVar("T")


def with_r_o(name: str, r_o: float) -> ModelSpec:
    """Return a model of the catalog whose Izhikevich form has another r_o."""
    model = load_model(name)
    form = model.dynamics["izhikevich"]
    changed = form.replace(coupling=form.coupling.replace(r_o=r_o))
    return model.replace(dynamics={**model.dynamics, "izhikevich": changed})


def finite(count: int, run: Callable[[int], T]) -> tuple[list[T], int]:
    """Run successive seeds until so many stayed finite.

    On some random sheets the published steps of half a millisecond are unstable: where nodes lie crowded one fires at
    every step and leaves the finite numbers. The released program would go on without that node.

    Args:
        count: How many.
        run: What is run, by seed.

    Returns:
        Their results, and how many seeds did not stay finite.
    """
    done: list[T] = []
    lost = 0
    while len(done) < count:
        try:
            done.append(run(len(done) + lost))
        except HealthError:
            lost += 1
    return done, lost


@dataclass(frozen=True)
class Pools:
    """The pools of one moment of learning.

    Attributes:
        sets: (n, M), which living node is in which pool.
        size: (M,), nodes in each.
        small: (M,), which hold less than a quarter of the nodes.
    """

    sets: Bool[np.ndarray, "n M"]
    size: Float[np.ndarray, " M"]
    small: Bool[np.ndarray, " M"]

    @classmethod
    def of(cls, wiring: Wiring, weights: np.ndarray | None = None) -> Pools:
        """Return the pools of a wiring, or of weights that were kept on the way.

        The published threshold belongs to a rule that keeps the mean weight; for one that keeps the sum the receptive
        field, all nodes with half of the largest weight, is the pool.
        """
        weights = wiring.weights if weights is None else weights
        mean_kept = wiring.learning.rule.norm == "mean"
        sets = weights >= G19_WEIGHT if mean_kept else receptive_fields(weights)
        size = sets.sum(axis=0)
        return cls(sets, size, (size < QUARTER * len(sets)) & (size > 0))

    def coverage(self, among: np.ndarray | None = None) -> float:
        """Return the share of nodes (of those named) that lie in a pool of less than a quarter of the nodes."""
        covered = self.sets[:, self.small].any(axis=1)
        return float((covered if among is None else covered[among]).mean())


def settled(wiring: Wiring) -> float:
    """Return by which share the median pool changed between the last two kept moments, ``EVERY`` steps apart."""
    before, after = (np.median(Pools.of(wiring, w).size) for w in wiring.snapshots[-2:])
    return abs(float(after - before)) / float(before)


def kept(steps: int, count: int) -> tuple[int, ...]:
    """Return so many moments of a run, evenly spaced, and the last two ``EVERY`` steps apart where it is long enough."""
    even = {round(steps * k / count) for k in range(1, count + 1)}
    return tuple(sorted(even | {max(1, steps - EVERY)}))


def geometry(wiring: Wiring) -> dict[str, float]:
    """Return the geometry of the pools under a quarter of the nodes."""
    sheet, now = wiring.sheet, Pools.of(wiring)
    if np.count_nonzero(now.size[now.small] > 1) < 3:
        return {}
    link = 2.0 * sheet.spacing
    surface = sheet.scaffold.surface
    return pool_geometry(now.sets[:, now.small], sheet.positions, link=link, surface=surface).numbers()
