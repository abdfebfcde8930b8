"""What units that learn motion are measured against: hand-laid and randomly laid units of one profile.

With u along a unit's direction and v across it, g(u0) = exp(-(u - u0)^2 / (2 s^2) - v^2 / (2 (e s)^2)) scaled to sum 1
over the cells, and d the distance of its lobes, a unit of width s and elongation e is

    g(0)                                  an average ("place"),
    g(d/2) - g(-d/2)                      a first difference ("first"), or
    +-(2 g(0) - g(d) - g(-d))             a second difference ("second").

Each function returns signed weights (n, M), every unit at length 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.sheet import Sheet

ORDERS = ("place", "first", "second", "both")


@dataclass(frozen=True)
class Profile:
    """What all units of a layout have in common; lengths count in the sheet's own unit.

    Attributes:
        width: s, above 0.
        order: ``"place"``, ``"first"``, ``"second"``, or ``"both"``: first and second differences in turn.
        distance: d, between neighboring lobes.
        elongation: e, above 0; at 1 the lobes are round.
        extent: Units lie in the middle of the sheet's box, in this share of its sides.
    """

    width: float
    order: Literal["place", "first", "second", "both"] = "first"
    distance: float = 1.0
    elongation: float = 1.0
    extent: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "distance", "elongation"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"Profile.{name}", getattr(self, name), "a finite number above 0")
        if self.order not in ORDERS:
            raise ConfigError("Profile.order", self.order, f"one of {', '.join(map(repr, ORDERS))}")
        if not 0 < self.extent <= 1:
            raise ConfigError("Profile.extent", self.extent, "a share above 0 and at most 1")


def oriented_grid(
    sheet: Sheet, units: int, profile: Profile, *, directions: int = 8, shift: int = 1
) -> Float[np.ndarray, "n M"]:
    """Lay units on a square grid, their directions in turn along each row: those an engineer would draw.

    The unit in row a and column b points along 2 pi ((shift a + b) mod directions) / directions, a second difference,
    which half a turn leaves as it is, along half that angle. Signs of second differences alternate; of ``"both"``,
    every other unit is a second difference.

    Args:
        sheet: Where the cells are.
        units: Number of units M, a square number.
        profile: Their form.
        directions: How many directions there are.
        shift: By how many directions a row is ahead of the row before.

    Returns:
        (n, M).

    Raises:
        ConfigError: M is no square number, or there is no direction.
    """
    side = math.isqrt(units) if units > 0 else 0
    if units < 1 or side * side != units:
        raise ConfigError("units", units, "a square number")
    if directions < 1:
        raise ConfigError("directions", directions, "at least 1")
    row, column = (np.ravel(index) for index in np.indices((side, side)))
    centers = _inside(sheet, profile, (np.stack([column, row], axis=1) + 0.5) / side)
    angle = 2 * np.pi * ((shift * row + column) % directions) / directions
    second = np.full(units, profile.order == "second")
    if profile.order == "both":
        second = (row + column) % 2 == 1
    nth = (row + column) // 2 if profile.order == "both" else row + column
    angle = np.where(second, angle / 2, angle)
    return _units(sheet, centers, angle, second, np.where(nth % 2, -1.0, 1.0), profile)


def oriented_random(
    sheet: Sheet, units: int, profile: Profile, *, rng: Any = None
) -> Float[np.ndarray, "n M"]:
    """Lay units at random places in random directions.

    Args:
        sheet: Where the cells are.
        units: Number of units M.
        profile: Their form; of ``"both"``, each unit is a second difference with probability 1/2.
        rng: Seed as ``as_key`` takes it.

    Returns:
        (n, M).

    Raises:
        ConfigError: No unit.
    """
    if units < 1:
        raise ConfigError("units", units, "at least 1")
    draw = [as_key(rng).stream("control.oriented").uniform(0, units, number) for number in range(5)]
    share = {"second": 1.0, "both": 0.5}.get(profile.order, 0.0)
    centers = _inside(sheet, profile, np.stack(draw[:2], axis=1))
    sign = np.where(draw[4] < 0.5, -1.0, 1.0)
    return _units(sheet, centers, 2 * np.pi * draw[2], draw[3] < share, sign, profile)


def _inside(sheet: Sheet, profile: Profile, shares: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M 2"]:
    x0, y0, x1, y1 = sheet.scaffold.bounds
    middle, sides = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0])
    return middle + sides * profile.extent * (shares - 0.5)


def _units(
    sheet: Sheet, centers: np.ndarray, angle: np.ndarray, second: Any, sign: np.ndarray, profile: Profile
) -> Float[np.ndarray, "n M"]:
    x, y = (sheet.positions[:, None, axis] - centers[None, :, axis] for axis in (0, 1))
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    s, d = profile.width, profile.distance

    def lobe(at: float) -> np.ndarray:
        exponent = ((along - at) / s) ** 2 / 2 + (across / (profile.elongation * s)) ** 2 / 2
        # The nearest cell always counts, however far the lobe lies outside the sheet.
        heights = np.exp(exponent.min(axis=0) - exponent)
        return heights / heights.sum(axis=0)

    if profile.order == "place":
        weights = lobe(0)
    else:
        odd, even = lobe(d / 2) - lobe(-d / 2), sign * (2 * lobe(0) - lobe(d) - lobe(-d))
        weights = np.where(second, even, odd)
    return weights / np.linalg.norm(weights, axis=0)
