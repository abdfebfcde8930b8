"""Growth in plain NumPy: slow, short, and the oracle of the compiled form, which gives the same sheet bit for bit.

The law stands in ``devnet.growth.grow``.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.random import Key, as_key
from devnet.growth import _places
from devnet.growth._colony import (
    DIRECTION,
    DISTANCE,
    EMISSION,
    Colony,
    check_cells,
    check_sweeps,
    crowd_square,
    edges_of,
    finish,
)
from devnet.growth._scatter import scatter
from devnet.sheet import Scaffold, Sheet
from devnet.spec import GrowthSpec, ModelSpec, load_model


def grow(model: str | Path | ModelSpec, *, rng: Any = None) -> Sheet:
    """Grow a sheet as ``devnet.growth.grow`` does, without compiled code.

    Args:
        model: Catalog name, path of a TOML file, or a spec.
        rng: Seed as ``as_key`` takes it.

    Returns:
        The sheet.

    Raises:
        ConfigError: The model is unknown or wrong, its scaffold is no region, or the seed cell lies outside.
        ResourceError: Growth exceeds ``growth.max_cells`` or ``growth.max_sweeps``.
    """
    spec = load_model(model)
    scaffold = Scaffold.from_spec(spec.scaffold)
    key = as_key(rng)
    if spec.growth.scattered:
        return scatter(spec, scaffold, key)
    edges, sphere = edges_of(scaffold), spec.scaffold.sphere_radius
    crowd = crowd_square(scaffold, spec.growth)
    colony, n, sweep = Colony.seeded(scaffold, spec.growth, 1), 1, 0
    while colony.timer[:n].any():
        check_sweeps(spec.growth, sweep + 1)
        sweep += 1
        colony = colony.enlarged(2 * n)
        n = _sweep(colony, n, sweep, spec.growth, edges, crowd, sphere, key)
        check_cells(spec.growth, n, sweep)
    return finish(spec, key, colony, n, sweep)


def inside(edges: npt.NDArray[np.float64], x: float, y: float) -> bool:
    """Say whether a spot lies inside the outline and outside the holes (even-odd rule).

    Args:
        edges: (E, 4), x1, y1, x2, y2 of every edge of outline and holes.
        x: The spot's x.
        y: The spot's y.

    Returns:
        True inside.
    """
    x1, y1, x2, y2 = edges[(edges[:, 1] > y) != (edges[:, 3] > y)].T
    return bool(np.count_nonzero(x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) % 2)


def _sweep(
    colony: Colony,
    n: int,
    sweep: int,
    rules: GrowthSpec,
    edges: npt.NDArray[np.float64],
    crowd: float,
    sphere: float,
    key: Key,
) -> int:
    """Visit the first n cells; return the number of cells after it."""
    there = np.stack([colony.x[:n], colony.y[:n]], axis=1)
    had_emitted = colony.emitted[:n] > 0
    direction = cache(lambda draw: key.stream(DIRECTION).normal(sweep, n, draw).astype(np.float64))
    distance = cache(lambda draw: key.stream(DISTANCE).uniform(sweep, n, draw))
    emission = key.stream(EMISSION).uniform(sweep, n)

    def near(x: float, y: float) -> npt.NDArray[np.bool_]:
        return _places.square(there[:, 0], there[:, 1], x, y, sphere) <= crowd

    def spot(i: int) -> tuple[float, float] | None:
        for t in range(rules.daughter_tries):
            gx, gy = float(direction(2 * t)[i]), float(direction(2 * t + 1)[i])
            length = math.sqrt(gx * gx + gy * gy)
            if length == 0.0:
                continue
            d = rules.daughter_min + rules.daughter_spread * float(distance(t)[i])
            x, y = _places.step(float(there[i, 0]), float(there[i, 1]), gx / length, gy / length, d, sphere)
            if inside(edges, x, y) and near(x, y).sum() <= rules.daughter_below:
                return x, y
        return None

    total = n
    for i in np.flatnonzero(colony.timer[:n]):
        neighbors = near(*there[i])
        if (
            colony.hayflick[i] > 0
            and neighbors.sum() <= rules.divide_below
            and (place := spot(i)) is not None
        ):
            colony.hayflick[i] -= 1
            colony.timer[i] = rules.timer
            colony.x[total], colony.y[total] = place
            colony.parent[total], colony.born[total] = i, sweep
            colony.hayflick[total], colony.timer[total] = colony.hayflick[i], rules.timer
            total += 1
            continue
        colony.timer[i] -= 1
        if colony.timer[i] == 0 and not had_emitted[neighbors].any() and emission[i] < rules.emit_probability:
            colony.emitted[i] = sweep
    return total
