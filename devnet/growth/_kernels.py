"""Compiled growth: many sweeps a call, neighbors counted in a grid of boxes at least as wide as the crowding radius."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from devnet._core.compile import jit
from devnet.backends.numba_.philox import gaussian_pair, philox4
from devnet.growth import _places

_square, _step = jit()(_places.square), jit()(_places.step)


class Rules(NamedTuple):
    """Constants of division and emission, as ``GrowthSpec`` names them, and the surface.

    ``crowd_square`` is the square of the straight distance of cells that are the crowding radius apart; ``sphere`` as in
    ``_places``.
    """

    crowd_square: float
    sphere: float
    timer: int
    divide_below: int
    daughter_min: float
    daughter_spread: float
    daughter_tries: int
    daughter_below: int
    emit_probability: float


class Grid(NamedTuple):
    """Boxes over the scaffold's bounds; cells of a box are chained from ``head`` through ``Colony.following``."""

    x0: float
    y0: float
    side: float
    columns: int
    rows: int


class Draws(NamedTuple):
    """Key words and stream numbers."""

    key_low: np.uint32
    key_high: np.uint32
    direction: np.uint32
    distance: np.uint32
    emission: np.uint32


@jit()
def _words(cell, step, draw, stream, draws):
    counter = np.uint32(16 * (cell // 64) + cell % 16)
    return philox4(counter, np.uint32(step), np.uint32(draw), stream, draws.key_low, draws.key_high)


@jit()
def _uniform(cell, step, draw, stream, draws):
    return np.float64(_words(cell, step, draw, stream, draws)[(cell % 64) // 16]) * 2.0**-32


@jit()
def _normal(cell, step, draw, stream, draws):
    w0, w1, w2, w3 = _words(cell, step, draw, stream, draws)
    lane = (cell % 64) // 16
    first, second = gaussian_pair(w0, w1) if lane < 2 else gaussian_pair(w2, w3)
    return np.float64(first if lane % 2 == 0 else second)


@jit()
def _inside(edges, x, y):
    """Even-odd rule over the edges of outline and holes."""
    inside = False
    for e in range(len(edges)):
        x1, y1, x2, y2 = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


@jit()
def _box(grid, x, y):
    column = min(max(int((x - grid.x0) / grid.side), 0), grid.columns - 1)
    row = min(max(int((y - grid.y0) / grid.side), 0), grid.rows - 1)
    return column, row


@jit()
def enter(colony, first, end, head, grid):
    """Let cells from ``first`` to before ``end`` enter the boxes in which they lie."""
    for i in range(first, end):
        column, row = _box(grid, colony.x[i], colony.y[i])
        colony.following[i] = head[row * grid.columns + column]
        head[row * grid.columns + column] = i


@jit()
def all_inside(edges, x, y):
    """Say whether all spots lie inside."""
    inside = 0
    for i in range(len(x)):
        inside += _inside(edges, x[i], y[i])
    return inside == len(x)


@jit()
def _near(colony, head, grid, x, y, rules, limit):
    """Count the cells within the crowding radius of a spot; stop at ``limit + 1``."""
    column, row = _box(grid, x, y)
    count = 0
    for r in range(max(row - 1, 0), min(row + 2, grid.rows)):
        for c in range(max(column - 1, 0), min(column + 2, grid.columns)):
            j = head[r * grid.columns + c]
            while j >= 0:
                if _square(colony.x[j], colony.y[j], x, y, rules.sphere) <= rules.crowd_square:
                    count += 1
                    if count > limit:
                        return count
                j = colony.following[j]
    return count


@jit()
def _emitter_near(colony, head, grid, x, y, rules, sweep):
    """Say whether a cell within the crowding radius had emitted before this sweep."""
    column, row = _box(grid, x, y)
    for r in range(max(row - 1, 0), min(row + 2, grid.rows)):
        for c in range(max(column - 1, 0), min(column + 2, grid.columns)):
            j = head[r * grid.columns + c]
            while j >= 0:
                if (
                    0 < colony.emitted[j] < sweep
                    and _square(colony.x[j], colony.y[j], x, y, rules.sphere) <= rules.crowd_square
                ):
                    return True
                j = colony.following[j]
    return False


@jit()
def _divide(colony, n, i, sweep, head, grid, edges, rules, draws):
    """Look for a spot for a daughter of cell i; write the daughter behind the last cell and say whether there is one."""
    for t in range(rules.daughter_tries):
        gx = _normal(i, sweep, 2 * t, draws.direction, draws)
        gy = _normal(i, sweep, 2 * t + 1, draws.direction, draws)
        length = np.sqrt(gx * gx + gy * gy)
        if length == 0.0:
            continue
        distance = rules.daughter_min + rules.daughter_spread * _uniform(i, sweep, t, draws.distance, draws)
        x, y = _step(colony.x[i], colony.y[i], gx / length, gy / length, distance, rules.sphere)
        if not _inside(edges, x, y):
            continue
        if _near(colony, head, grid, x, y, rules, rules.daughter_below) > rules.daughter_below:
            continue
        colony.hayflick[i] -= 1
        colony.timer[i] = rules.timer
        colony.x[n], colony.y[n] = x, y
        colony.parent[n], colony.born[n] = i, sweep
        colony.hayflick[n], colony.timer[n] = colony.hayflick[i], rules.timer
        return True
    return False


@jit()
def advance(colony, n, sweep, last_sweep, max_cells, head, grid, edges, rules, draws):
    """Run sweeps until ``last_sweep``, until all timers have run out, or until the arrays or ``max_cells`` are full.

    Cells born in a sweep enter the grid at its end, so every count is one of the cells at the sweep's beginning.

    Returns:
        Number of cells, last sweep done, number of cells whose timer still runs.
    """
    running = n
    while running > 0 and sweep < last_sweep and 2 * n <= len(colony.x) and n <= max_cells:
        sweep += 1
        first_new = n
        running = 0
        for i in range(first_new):
            if colony.timer[i] == 0:
                continue
            running += 1
            if colony.hayflick[i] > 0 and not colony.crowded[i]:
                x, y = colony.x[i], colony.y[i]
                # Cells neither move nor die: who is crowded once stays so.
                colony.crowded[i] = (
                    _near(colony, head, grid, x, y, rules, rules.divide_below) > rules.divide_below
                )
                if not colony.crowded[i] and _divide(colony, n, i, sweep, head, grid, edges, rules, draws):
                    n += 1
                    continue
            colony.timer[i] -= 1
            if colony.timer[i] == 0:
                running -= 1
                if (
                    not _emitter_near(colony, head, grid, colony.x[i], colony.y[i], rules, sweep)
                    and _uniform(i, sweep, 0, draws.emission, draws) < rules.emit_probability
                ):
                    colony.emitted[i] = sweep
        enter(colony, first_new, n, head, grid)
        running += n - first_new
    return n, sweep, running
