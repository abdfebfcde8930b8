"""What the compiled and the plain form of growth share: the cells, how they are kept, and how a sheet is made of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devnet._core.errors import ResourceError
from devnet._core.random import Key
from devnet.sheet import Scaffold, Sheet
from devnet.spec import GrowthSpec, ModelSpec

DIRECTION, DISTANCE, EMISSION = "growth/direction", "growth/distance", "growth/emission"
"""Random streams; step is the sweep, cell the mother. Try t draws direction 2t and 2t + 1, and distance t."""


class Colony(NamedTuple):
    """Arrays of all cells, one entry a cell, with room for more; a tuple because compiled code takes it as it is."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    parent: npt.NDArray[np.int32]
    born: npt.NDArray[np.int32]
    hayflick: npt.NDArray[np.int64]
    timer: npt.NDArray[np.int64]
    emitted: npt.NDArray[np.int32]  # 0: not (yet)
    crowded: npt.NDArray[np.bool_]
    following: npt.NDArray[np.int32]  # next cell in the same box of the neighborhood grid; -1: none

    @classmethod
    def empty(cls, capacity: int) -> Colony:
        """Return arrays without a cell."""
        return cls(
            x=np.zeros(capacity),
            y=np.zeros(capacity),
            parent=np.zeros(capacity, np.int32),
            born=np.zeros(capacity, np.int32),
            hayflick=np.zeros(capacity, np.int64),
            timer=np.zeros(capacity, np.int64),
            emitted=np.zeros(capacity, np.int32),
            crowded=np.zeros(capacity, np.bool_),
            following=np.zeros(capacity, np.int32),
        )

    @classmethod
    def seeded(cls, scaffold: Scaffold, rules: GrowthSpec, capacity: int) -> Colony:
        """Return a colony of one cell."""
        colony = cls.empty(capacity)
        colony.x[0], colony.y[0] = scaffold.seed_cell
        colony.parent[0], colony.following[0] = -1, -1
        colony.hayflick[0], colony.timer[0] = rules.hayflick, rules.timer
        return colony

    def enlarged(self, capacity: int) -> Colony:
        """Return the same cells with room for so many, or for what there are if that is more."""
        wider = Colony.empty(max(capacity, len(self.x)))
        for new, old in zip(wider, self, strict=True):
            new[: len(old)] = old
        return wider


def edges_of(scaffold: Scaffold) -> npt.NDArray[np.float64]:
    """Return the edges of outline and holes: (E, 4), a row is x1, y1, x2, y2."""
    rings = [np.asarray(ring.coords) for ring in (scaffold.polygon.exterior, *scaffold.polygon.interiors)]
    return np.concatenate([np.hstack([ring[:-1, :2], ring[1:, :2]]) for ring in rings])


def crowd_square(scaffold: Scaffold, rules: GrowthSpec) -> float:
    """Return the square of the straight distance of cells that lie the crowding radius apart."""
    return scaffold.surface.chord(rules.crowd_radius) ** 2


def check_cells(rules: GrowthSpec, n: int, sweep: int) -> None:
    """Stop a colony of n cells that has outgrown ``max_cells``."""
    if n > rules.max_cells:
        raise ResourceError(
            f"growth.max_cells: {n} cells after sweep {sweep} are more than {rules.max_cells};"
            " give a larger max_cells (about 4 cells per unit area of the scaffold) or a smaller scaffold"
        )


def check_sweeps(rules: GrowthSpec, needed: int) -> None:
    """Stop growth that needs more than ``max_sweeps``."""
    if needed > rules.max_sweeps:
        raise ResourceError(
            f"growth.max_sweeps: growth takes at least {needed} sweeps, {rules.max_sweeps} are allowed;"
            " give a larger max_sweeps, a smaller hayflick or timer, or a larger rise"
        )


def rise_sweeps(rules: GrowthSpec) -> int:
    """Return how many sweeps a unit takes to rise to its height: the least k with k rise >= height."""
    k = math.ceil(rules.height / rules.rise)
    return k - 1 if (k - 1) * rules.rise >= rules.height else k


def finish(model: ModelSpec, key: Key, colony: Colony, n: int, sweep: int) -> Sheet:
    """Let the units rise to their height and make the sheet.

    Args:
        model: The model.
        key: Key of all draws.
        colony: The cells.
        n: Their number.
        sweep: Sweep in which the last timer ran out.

    Returns:
        The sheet; its units stand in the order of their emission, within a sweep in the order of their parents.

    Raises:
        ResourceError: The rise takes more sweeps than ``growth.max_sweeps``.
    """
    emitted = colony.emitted[:n]
    parents = np.flatnonzero(emitted)
    parents = parents[np.argsort(emitted[parents], kind="stable")]
    if len(parents):
        sweep = max(sweep, int(emitted[parents[-1]]) + rise_sweeps(model.growth))
    check_sweeps(model.growth, sweep)
    return Sheet(
        model=model,
        key=key,
        positions=np.stack([colony.x[:n], colony.y[:n]], axis=1),
        parent=colony.parent[:n],
        born=colony.born[:n],
        unit_parent=parents.astype(np.int32),
        emitted=emitted[parents],
        unit_height=np.full(len(parents), model.growth.height),
        sweeps=sweep,
    )
