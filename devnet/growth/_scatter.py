"""Sheets that did not grow: cells at random places, as in the published programs that only run waves or learn."""

from __future__ import annotations

import numpy as np

from devnet._core.random import Key
from devnet.growth._colony import check_cells
from devnet.sheet import Scaffold, Sheet
from devnet.spec import ModelSpec

PLACE = "growth/scatter"
"""Random stream; step is the try, cell the cell, draw the coordinate."""


def scatter(model: ModelSpec, scaffold: Scaffold, key: Key) -> Sheet:
    """Place ``growth.scattered`` cells independently and uniformly over the scaffold's area.

    Args:
        model: The model.
        scaffold: Its scaffold.
        key: Key of the draws.

    Returns:
        A sheet of cells without mothers, and without layer-II units.

    Raises:
        ResourceError: More cells than ``growth.max_cells``.
    """
    n = model.growth.scattered
    check_cells(model.growth, n, 0)
    x0, y0, x1, y1 = scaffold.bounds
    stream = key.stream(PLACE)
    positions, missing, attempt = np.empty((n, 2)), np.arange(n), 0
    while len(missing):
        draws = np.stack([stream.uniform(attempt, n, axis)[missing] for axis in (0, 1)], axis=1)
        spots = np.array([x0, y0]) + draws * np.array([x1 - x0, y1 - y0])
        inside = scaffold.contains(spots)
        positions[missing[inside]] = spots[inside]
        missing, attempt = missing[~inside], attempt + 1
    nobody, none = np.full(n, -1, np.int32), np.empty(0, np.int32)
    return Sheet(model, key, positions, nobody, np.zeros(n, np.int32), none, none, np.empty(0), sweeps=0)
