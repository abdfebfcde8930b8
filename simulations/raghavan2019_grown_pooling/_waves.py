"""What the wave figures share: the published sheets, their forms, and runs measured on the fly."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import islice

import numpy as np

from devnet._core.errors import HealthError
from devnet._core.random import Key
from devnet.measure import Bodies, WaveStatistics, WaveTally
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, CouplingSpec, DynamicsSpec, IzhikevichSpec, RateMapSpec, load_model
from devnet.waves import stream
from devnet.waves.simulate import CHUNK

WARM = CHUNK
"""Steps left out: every cell of the M20 form fires in the first step, and waves have no past yet."""


@dataclass(frozen=True)
class Setting:
    """A form on the square on which it was published; the map, ours, on one of as many cells as M20's retina.

    Attributes:
        name: What figures call it.
        cells: Number of cells, placed at random.
        side: Side of the square.
        spec: Form and constants.
        window: Steps in a frame: so many that the cells of a passing wave form one body.
        step: What a step is.
    """

    name: str
    cells: int
    side: float
    spec: DynamicsSpec
    window: int
    step: str

    def with_coupling(self, **changes: float) -> DynamicsSpec:
        """Return the form with other numbers in its coupling."""
        return self.spec.replace(coupling=self.spec.coupling.replace(**changes))

    @property
    def spacing(self) -> float:
        """Mean spacing of the cells in the coupling's unit of length."""
        return 1.0 if self.spec.coupling.length_unit == "spacing" else self.side / self.cells**0.5


SETTINGS = {
    "map": Setting("rate-like map", 1600, 40.0, RateMapSpec(), 1, "step"),
    "g19": Setting(
        "G19, wave demo",
        1500,
        28.0,
        IzhikevichSpec(d_profile="random", coupling=CouplingSpec(r_o=4)),
        5,
        "ms",
    ),
    "m20": Setting("M20, first retina", 1600, 20.0, AdaptiveLeakySpec(), 10, "tenth of the unit of time"),
}
LEARNING = Setting("G19, learning", 3200, 32.0, IzhikevichSpec(), 5, "ms")


def square(cells: int, side: float, seed: int) -> Sheet:
    """Return a declared sheet: cells at random on a square."""
    model = load_model("raghavan2019_grown_pooling")
    corners = ((0.0, 0.0), (side, 0.0), (side, side), (0.0, side))
    scaffold = model.scaffold.replace(outline=corners, holes=(), seed_cell=(side / 2, side / 2))
    draws = Key(seed).stream("places")
    places = np.stack([draws.uniform(axis, cells) for axis in (0, 1)], axis=1) * side
    return Sheet.declared(model.replace(scaffold=scaffold), places)


def measured(
    sheet: Sheet,
    spec: DynamicsSpec,
    steps: int,
    seed: int,
    window: int,
    *,
    warm: int = WARM,
    field: str = "exact",
) -> tuple[WaveStatistics, Bodies]:
    """Run a sheet, and return its waves' statistics and all their bodies, without the first ``warm`` steps."""
    tally = WaveTally(sheet, spec, window=window)
    pieces = stream(sheet, spec, steps=warm + steps, rng=seed, field=field)
    parts = [tally.update(piece) for piece in islice(pieces, warm // CHUNK, None)]
    joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Bodies)}
    return tally.statistics(), Bodies(**joined)


def inner(bodies: Bodies, sheet: Sheet, margin: float) -> np.ndarray:
    """Say which bodies have their centroid so far from the border of the sheet's bounding box."""
    low, high = np.array(sheet.scaffold.bounds).reshape(2, 2)
    return ((bodies.centroid > low + margin) & (bodies.centroid < high - margin)).all(axis=1)


def finite(cells: int, side: float, count: int, run) -> tuple[list, int]:
    """Run on sheets of successive seeds until so many stayed finite.

    On some random sheets the published Izhikevich steps of half a millisecond are unstable: at a crowded place a cell
    fires at every step, its recovery u grows with v, and both leave the finite numbers. The released programs go on
    with a cell that is not a number and so never fires again; here such a sheet is left out, and counted.

    Args:
        cells: Cells of a sheet.
        side: Side of the square.
        count: How many results are wanted.
        run: (sheet, seed) -> result.

    Returns:
        The results, and how many sheets were left out.
    """
    done, lost, seed = [], 0, 0
    while len(done) < count:
        try:
            done.append(run(square(cells, side, seed), seed))
        except HealthError:
            lost += 1
        seed += 1
    return done, lost
