"""Units that a layer of units emits in its turn, as layer-I cells emit those of layer II (G19)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from devnet._core.random import Key
from devnet.sheet import Sheet


def emitted_units(sheet: Sheet, places: Float[np.ndarray, "M 2"], key: Key) -> Int[np.ndarray, " k"]:
    """Say which units of a layer emit one of the next layer.

    In a random order each unit emits one with the growth's probability (0.4), unless a neighbor has done so. Layer-I cells
    count as neighbors within ``crowd_radius`` (1.0); lengths grow with the layer's mean spacing over that of the cells.

    Args:
        sheet: The first sheet, whose growth has the constants.
        places: (M, 2), where the units lie.
        key: Of the draws.

    Returns:
        Their numbers, ascending.
    """
    growth, count = sheet.model.growth, len(places)
    reach = growth.crowd_radius * (sheet.n / count) ** 0.5
    near = KDTree(places).query_ball_point(places, reach)
    draws = key.stream("emission")
    emits = np.zeros(count, dtype=bool)
    willing = draws.uniform(0, count) < growth.emit_probability
    for unit in draws.permutation(1, count):
        emits[unit] = willing[unit] and not emits[near[unit]].any()
    return np.flatnonzero(emits)
