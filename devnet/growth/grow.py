"""The verb ``grow``: from one cell to a sheet of two layers.

The law (G19). A sweep visits every cell that was there when it began; all counts are of the cells as they were then,
so the order of the visits does not matter. A cell whose timer runs

1. **divides** if at most ``divide_below`` cells, itself included, lie within ``crowd_radius`` of it and its Hayflick
   counter is above 0: the daughter takes the first of ``daughter_tries`` spots, at distance ``daughter_min +
   daughter_spread U`` (U uniform on [0, 1)) in a random direction, that lies inside the scaffold with at most
   ``daughter_below`` cells within ``crowd_radius``. Mother and daughter get the mother's counter less 1 and a full
   timer;
2. otherwise **lowers its timer** by 1. In the sweep in which the timer reaches 0 the cell emits, with
   probability ``emit_probability``, one layer-II unit above itself, unless a cell within ``crowd_radius`` has emitted
   one in an earlier sweep. A cell with a timer at 0 rests for good.

Distances are those along the scaffold's surface. A unit emitted in sweep e stands at height ``min(height, rise (s - e))`` after sweep s. Growth ends with the first sweep
after which every timer is at 0 and every unit has reached ``height``.

The published text says only that cells are visited in turn. Of the readings tried, the one above gives the published
numbers: on squares of the published areas 719, 542, 476 and 366 the units are 18, 16, 16 and 16 % of the cells
(published 18, 16, 17, 16), and the curve 31, 156, 705, 2001 is met after 5, 10, 20 and 40 sweeps, its sweep 1 being
the lone cell. If counts follow each birth and emission at once, 13 % are units at area 719; if newborn cells divide in
the sweep of their birth, five sweeps give more than 500 cells.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.checkpoint import Checked, Saved, alike, counts, fingerprint
from devnet._core.progress import task
from devnet._core.random import Key, as_key, stream_id
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

BATCH = 20
"""Sweeps between two signs of progress."""
FIRST_CAPACITY = 4096
MAX_BOXES = 2**24
_KEPT = tuple(name for name in Colony._fields if name != "following")


def grow(model: str | Path | ModelSpec, *, rng: Any = None, checkpoint: Checked | None = None) -> Sheet:
    """Grow a sheet from one cell; or scatter its cells, where the model says how many.

    Args:
        model: Catalog name (``"raghavan2019_grown_pooling/small"``), path of a TOML file, or a spec. Its parts
            ``scaffold`` and ``growth`` are used; constants and their sources stand in ``GrowthSpec``.
        rng: Seed as ``as_key`` takes it; all draws are functions of (key, stream, sweep, cell, draw).
        checkpoint: Where the colony is kept between sweeps, so that growth goes on bit for bit if its process dies;
            ``devnet.io.Checkpoints`` is one.

    Returns:
        The sheet: places and lineage of the layer-I cells, and the layer-II units that rose from them.

    Raises:
        ConfigError: The model is unknown or wrong, its scaffold is no region, or the seed cell lies outside.
        ResourceError: Growth exceeds ``growth.max_cells`` or ``growth.max_sweeps``.
        InterruptedRunError: It was asked to stop; the checkpoint holds the colony.

    Examples:
        >>> sheet = grow("raghavan2019_grown_pooling/small", rng=0)
        >>> bool(sheet.scaffold.contains(sheet.positions).all())
        True
    """
    spec = load_model(model)
    scaffold = Scaffold.from_spec(spec.scaffold)
    key = as_key(rng)
    if spec.growth.scattered:
        return scatter(spec, scaffold, key)
    with task("grow") as tick:
        colony, n, sweep = _run(spec, scaffold, key, tick, checkpoint)
    return finish(spec, key, colony, n, sweep)


def _run(
    spec: ModelSpec, scaffold: Scaffold, key: Key, tick: Any, checkpoint: Checked | None
) -> tuple[Colony, int, int]:
    """Run sweeps until every timer is at 0; return the cells, their number and the last sweep."""
    from devnet.growth import _kernels as kernels  # numba loads when something grows, not before

    rules = spec.growth
    sphere = spec.scaffold.sphere_radius
    grid = _grid(kernels, scaffold, _reach(scaffold, sphere, rules.crowd_radius), rules.max_cells)
    head = np.full(grid.columns * grid.rows, -1, np.int32)
    colony = Colony.seeded(scaffold, rules, FIRST_CAPACITY)
    surface = {"crowd_square": crowd_square(scaffold, rules), "sphere": sphere}
    constants = kernels.Rules(
        **surface, **{name: getattr(rules, name) for name in kernels.Rules._fields if name not in surface}
    )
    streams = (np.uint32(stream_id(name)) for name in (DIRECTION, DISTANCE, EMISSION))
    draws = kernels.Draws(*(np.uint32(word) for word in key.words), *streams)
    edges = edges_of(scaffold)
    n, sweep, running = 1, 0, 1
    if checkpoint is not None:

        def whole(saved: Saved) -> bool:
            return _is_colony(saved, rules, scaffold.seed_cell) and kernels.all_inside(
                edges, saved.arrays["x"][1:], saved.arrays["y"][1:]
            )

        if saved := checkpoint.load(_identity(spec, key), whole):
            n, sweep, running = (saved.numbers[name] for name in ("n", "sweep", "running"))
            chains = np.empty(n, np.int32)  # follow from the places
            held = {name: saved.arrays[name] for name in _KEPT}
            colony = Colony(**held, following=chains).enlarged(FIRST_CAPACITY)
    kernels.enter(colony, 0, n, head, grid)
    while running:
        check_sweeps(spec.growth, sweep + 1)
        if 2 * n > len(colony.x):
            colony = colony.enlarged(4 * n)
        before = sweep
        last = min(sweep + BATCH, rules.max_sweeps)
        n, sweep, running = kernels.advance(
            colony, n, sweep, last, rules.max_cells, head, grid, edges, constants, draws
        )
        check_cells(spec.growth, n, sweep)
        tick(sweep - before)
        if checkpoint is not None and running and checkpoint.due():
            cells = {name: getattr(colony, name)[:n] for name in _KEPT}
            checkpoint.save(cells, {"n": n, "sweep": sweep, "running": running})
    return colony, n, sweep


def _is_colony(saved: Saved, rules: GrowthSpec, seed_cell: tuple[float, float]) -> bool:
    """Say whether the rules can have made what was saved, its places aside."""
    cells, told = saved.arrays, saved.numbers
    n, sweep = int(np.size(cells.get("x", ()))), told.get("sweep")
    fresh = Colony.empty(n)._asdict()
    if not counts(n, 1, rules.max_cells) or not alike(cells, {name: fresh[name] for name in _KEPT}):
        return False
    parent: npt.NDArray[np.int32] = cells["parent"]
    return (
        counts(told.get("n"), n, n)
        and counts(sweep, 1, rules.max_sweeps)
        and counts(told.get("running"), 1, n)
        and told["running"] == np.count_nonzero(cells["timer"])
        and counts(cells["timer"], 0, rules.timer)
        and counts(cells["hayflick"], 0, rules.hayflick)
        and all(counts(cells[name], 0, told["sweep"]) for name in ("born", "emitted"))
        and (cells["x"][0], cells["y"][0], parent[0]) == (*seed_cell, -1)
        and bool(((parent >= 0) & (parent < np.arange(n)))[1:].all())
    )


def _identity(spec: ModelSpec, key: Key) -> dict[str, str]:
    """Return by what a checkpoint is known to belong to a growth."""
    parts = [part.model_dump(mode="json") for part in (spec.scaffold, spec.growth)]
    return {"verb": "grow", "key": str(key.value), "model": fingerprint(*parts)}


def _reach(scaffold: Scaffold, sphere: float, radius: float) -> float:
    """Return how far apart, in coordinates, two cells can be that lie a radius apart on the surface.

    A sphere's chart stretches lengths by at most 1/cos(t/2) up to the polar angle t; the radius may reach beyond the
    scaffold's farthest corner.
    """
    if sphere == 0.0:
        return radius
    farthest = max(math.hypot(x, y) for x, y in scaffold.polygon.exterior.coords)
    half = math.asin(min(farthest / (2 * sphere), 1.0)) + radius / (2 * sphere)
    return radius / math.cos(half) if half < 1.5 else 2 * farthest


def _grid(kernels: Any, scaffold: Scaffold, radius: float, max_cells: int) -> Any:
    """Lay boxes over the scaffold: as wide as the radius, wider where that would take more boxes than cells."""
    x0, y0, x1, y1 = scaffold.bounds
    boxes = min(4 * max_cells, MAX_BOXES)
    side = max(radius, math.sqrt((x1 - x0) / boxes) * math.sqrt(y1 - y0), max(x1 - x0, y1 - y0) / boxes)
    side *= 1 + 1e-9  # two points a radius apart never lie more than one box apart, whatever is rounded
    return kernels.Grid(x0, y0, side, int((x1 - x0) / side) + 1, int((y1 - y0) / side) + 1)
