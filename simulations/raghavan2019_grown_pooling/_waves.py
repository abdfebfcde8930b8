"""What the wave figures share: the published sheets, their forms, and runs measured on the fly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import islice
from typing import TypeVar

import numpy as np
from _pools import finite

from devnet.growth import grow
from devnet.measure import Bodies, WaveStatistics, WaveTally
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, DynamicsSpec, RateMapSpec, load_model
from devnet.waves import stream
from devnet.waves.simulate import CHUNK

WARM = CHUNK
"""Steps left out: every cell of the M20 form fires in the first step, and waves have no past yet."""


T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """A form and the square on which its cells lie at random.

    Attributes:
        name: What figures call it.
        cells: Number of cells.
        side: Side of the square.
        spec: Form and constants.
        window: Steps in a frame: so many that the cells of a passing wave form one body.
    """

    name: str
    cells: int
    side: float
    spec: DynamicsSpec
    window: int

    def with_coupling(self, **changes: float) -> DynamicsSpec:
        """Return the form with other numbers in its coupling."""
        return self.spec.replace(coupling=self.spec.coupling.replace(**changes))

    @property
    def spacing(self) -> float:
        """Mean spacing of the cells in the coupling's unit of length."""
        return 1.0 if self.spec.coupling.length_unit == "spacing" else self.side / self.cells**0.5


def _published(name: str) -> DynamicsSpec:
    return load_model(name).dynamics["izhikevich"]


# The map is ours; its square holds as many cells as M20's retina.
SETTINGS = {
    "map": Setting("rate-like map", 1600, 40.0, RateMapSpec(), 1),
    "g19": Setting("G19, wave demo", 1500, 28.0, _published("raghavan2019_wave_demo"), 5),
    "m20": Setting("M20, first retina", 1600, 20.0, AdaptiveLeakySpec(), 10),
}
LEARNING = Setting("G19, learning", 3200, 32.0, _published("raghavan2019_learning"), 5)


def square(cells: int, side: float, seed: int) -> Sheet:
    """Return a sheet of cells at random on a square."""
    model = load_model("raghavan2019_wave_demo")
    corners = ((0.0, 0.0), (side, 0.0), (side, side), (0.0, side))
    scaffold = model.scaffold.replace(outline=corners, seed_cell=(side / 2, side / 2))
    return grow(model.replace(scaffold=scaffold, growth=model.growth.replace(scattered=cells)), rng=seed)


def on_squares(setting: Setting, count: int, run: Callable[[Sheet, int], T]) -> tuple[list[T], int]:
    """Run sheets of successive seeds until so many stayed finite; also return how many did not."""
    return finite(count, lambda seed: run(square(setting.cells, setting.side, seed), seed))


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
