"""What wired pools are measured against: hand-made and random pools of the same number and the same mean size.

Each function returns binary weights (n, M): 1 where a cell belongs to the pool, else 0.
"""

from __future__ import annotations

import itertools
import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.sheet import Sheet

ROUNDS = 200
"""Lloyd's relaxation stops after so many rounds, or when no cell changes its nearest center."""
PHASES = tuple(itertools.product((0.0, 0.5), repeat=2))
STARTS = (
    *((math.sqrt(3) / 2, phase, axes) for phase in PHASES for axes in ((0, 1), (1, 0))),
    *((1.0, phase, (0, 1)) for phase in PHASES),
)
"""Distance of rows, phase, and direction of the lattices that centers start from."""


def hand_made(sheet: Sheet, units: int, size: float) -> Float[np.ndarray, "n M"]:
    """Lay discs over the sheet as evenly as possible: the pools that an engineer would draw.

    Centers start from triangular and square lattices, clipped to the scaffold, and relax by Lloyd's method on the
    cells (each moves to the mean of the cells nearest to it); of 12 starts the one that ends at the lowest
    quantization energy, the mean square distance of cells to their nearest center, is taken. Each pool is the disc of cells nearest to its
    center that holds its share of ``units * size`` cells. Nothing is random.

    Args:
        sheet: Where the cells are.
        units: Number of pools M.
        size: Mean number of cells in a pool; individual sizes are the whole numbers around it.

    Returns:
        (n, M), zeros and ones.

    Raises:
        ConfigError: More pools than cells, or a size outside 1 to the number of cells.
    """
    _check(sheet, units, size)
    trials = [_relaxed(sheet.positions, _lattice(sheet, units, *start)) for start in STARTS]
    centers = min(trials, key=lambda trial: trial[0])[1]
    return _discs(sheet, centers, size)


def random_discs(sheet: Sheet, units: int, size: float, *, rng: Any = None) -> Float[np.ndarray, "n M"]:
    """Put discs around cells drawn at random, each cell at most once.

    Args:
        sheet: Where the cells are.
        units: Number of pools M.
        size: Mean number of cells in a pool; individual sizes are the whole numbers around it.
        rng: Seed as ``as_key`` takes it.

    Returns:
        (n, M), zeros and ones.

    Raises:
        ConfigError: More pools than cells, or a size outside 1 to the number of cells.
    """
    _check(sheet, units, size)
    chosen = as_key(rng).stream("control.disc").permutation(0, sheet.n)[:units]
    return _discs(sheet, sheet.positions[chosen], size)


def random_scattered(sheet: Sheet, units: int, size: float, *, rng: Any = None) -> Float[np.ndarray, "n M"]:
    """Give each pool cells drawn at random from the whole sheet.

    Args:
        sheet: Where the cells are.
        units: Number of pools M.
        size: Mean number of cells in a pool; individual sizes are the whole numbers around it.
        rng: Seed as ``as_key`` takes it.

    Returns:
        (n, M), zeros and ones.

    Raises:
        ConfigError: More pools than cells, or a size outside 1 to the number of cells.
    """
    _check(sheet, units, size)
    stream = as_key(rng).stream("control.scatter")
    weights = np.zeros((sheet.n, units))
    for unit, count in enumerate(_sizes(units, size)):
        weights[stream.permutation(unit, sheet.n)[:count], unit] = 1.0
    return weights


def _check(sheet: Sheet, units: int, size: float) -> None:
    if isinstance(units, bool) or not isinstance(units, Integral) or not 1 <= units <= sheet.n:
        raise ConfigError("units", units, f"a whole number between 1 and the sheet's {sheet.n} cells")
    if isinstance(size, bool) or not isinstance(size, Real) or not 1 <= size <= sheet.n:
        raise ConfigError("size", size, f"a number between 1 and the sheet's {sheet.n} cells")


def _sizes(units: int, size: float) -> Int[np.ndarray, " M"]:
    """Return whole numbers around ``size`` that add up to ``units * size``, rounded."""
    return np.diff(np.rint(np.arange(units + 1) * float(size)).astype(np.int64))


def _discs(sheet: Sheet, centers: Float[np.ndarray, "M 2"], size: float) -> Float[np.ndarray, "n M"]:
    sizes = _sizes(len(centers), size)
    largest = int(sizes.max())
    nearest = np.reshape(KDTree(sheet.positions).query(centers, k=largest)[1], (len(centers), largest))
    inside = np.arange(largest) < sizes[:, None]
    weights = np.zeros((sheet.n, len(centers)))
    weights[nearest[inside], np.nonzero(inside)[0]] = 1.0
    return weights


def _lattice(
    sheet: Sheet, units: int, rows: float, phase: tuple[float, ...], axes: tuple[int, ...]
) -> Float[np.ndarray, "M 2"]:
    """Return M points of a lattice inside the scaffold.

    Args:
        sheet: Where the cells are.
        units: Number of points.
        rows: Distance of rows in spacings: 1 on the square lattice, 0.87 on the triangular.
        phase: Where a point of the lattice lies from the middle of the scaffold's bounds, in spacings and in rows.
        axes: (0, 1), or (1, 0) for rows that run along y.

    Returns:
        (M, 2).
    """
    x0, y0, x1, y1 = sheet.scaffold.bounds
    middle, width = np.array([x0 + x1, y0 + y1]) / 2, max(x1 - x0, y1 - y0)
    spacing = math.sqrt(sheet.scaffold.area / (units * rows))
    while True:
        reach = math.ceil(width / (2 * rows * spacing)) + 1
        row, column = (np.ravel(numbers) for numbers in np.mgrid[-reach : reach + 1, -reach : reach + 1])
        shift = 0.5 * (row % 2) if rows < 1 else 0.0
        steps = np.stack([column + shift + phase[0], (row + phase[1]) * rows], axis=1)
        points = middle + spacing * steps[:, axes]
        points = points[sheet.scaffold.contains(points)]
        if len(points) >= units:
            break
        spacing *= 0.99
    while len(points) > units:  # the point that speaks for the fewest cells goes
        nearest = KDTree(points).query(sheet.positions)[1]
        points = np.delete(points, np.bincount(nearest, minlength=len(points)).argmin(), axis=0)
    return points


def _relaxed(cells: Float[np.ndarray, "n 2"], centers: Float[np.ndarray, "M 2"]) -> tuple[float, np.ndarray]:
    """Return (mean square distance of cells to their nearest center, centers) after Lloyd's relaxation."""
    before = np.empty(0)
    for _ in range(ROUNDS):
        nearest = KDTree(centers).query(cells)[1]
        if np.array_equal(nearest, before):
            break
        before = nearest
        count = np.bincount(nearest, minlength=len(centers))
        sums = [np.bincount(nearest, cells[:, axis], minlength=len(centers)) for axis in (0, 1)]
        mean = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
        centers = np.where(count[:, None] > 0, mean, centers)
    return float((KDTree(centers).query(cells)[0] ** 2).mean()), centers
