"""How large and how fast a bump of the rate-like map is: a fixed point without a free parameter.

A bump is taken to be a disc of radius R in which all cells fire (density rho), and which moves at a constant speed c.
At distance d from its center its input is

    I(d; R) = rho int_0^inf w(s) s phi(s; d, R) ds,    w(s) = a_i [s < r_i] - a_o [s > r_o] exp(-s / decay),

phi = 2 arccos((s^2 + d^2 - R^2) / (2 s d)), between 0 and 2 pi: the angle in which a circle of radius s around that
point runs inside the disc.

**At rest**, without refractoriness, the rim is where the input equals the threshold: I(R; R) = v_rest. The larger disc
has the smaller input at its rim, since more of it lies beyond r_o, so this fixed point is stable.

**Moving.** Refractoriness (v rises by h at every step of firing) ends firing at the rear and so drives the bump along.
A cell on the way of the center, at xi ahead of it, has the drive of the input that passed over it,

    x(xi) = int_0^inf exp(-u) I(|xi + c tau_x u|; R) du.

It begins to fire when the front reaches it, at v = v_rest, and fires for the 2R / c steps until the rear has come, at
v = v_rest + h 2R / c. The rims are where drive equals threshold:

    front  x(+R) = v_rest,
    rear   x(-R) = v_rest + h 2R / c.

The front sets the speed of a disc of given radius: it may be as fast as its own inhibition, which lies ahead, allows.
The rear then sets the radius. Of several solutions the largest is stable: there a disc that is too large has too little
drive at its rear, stops firing earlier, and shrinks. For h -> 0 both equations become the one at rest, and c -> 0.

Left out: noise, refractoriness that is left from an earlier wave, the sheet's border, and that a moving bump is no
exact disc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from devnet.spec import CouplingSpec, RateMapSpec

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_SCAN = 60
_SLOWEST = 1e-4
"""Speeds below so many lengths per step count as rest."""


class Disc(NamedTuple):
    """A bump: its radius, in the coupling's unit of length, and its speed in that unit per step."""

    radius: float
    speed: float


def disc_input(
    coupling: CouplingSpec, radius: float, distance: Float[np.ndarray, " k"], *, density: float = 1.0
) -> Float[np.ndarray, " k"]:
    """Return the input I(d; R) of a disc of firing cells; see the module.

    Args:
        coupling: Radii, strengths and decay.
        radius: R, in the coupling's unit of length.
        distance: (k,), distances d from the center, at least 0.
        density: Cells per unit area in that unit; 1 where lengths count in mean spacings.

    Returns:
        (k,), in units of drive.
    """
    d = np.asarray(distance, dtype=float)
    kink = np.abs(radius - d)  # where a circle begins to leave the disc, or to enter it
    end = d + radius

    def ring(low: np.ndarray, high: np.ndarray, decay: float) -> np.ndarray:
        s = (high - low)[:, None] / 2 * (_NODES + 1) + low[:, None]
        cosine = (s * s + (d * d - radius * radius)[:, None]) / np.maximum(2 * s * d[:, None], 1e-9)
        angle = 2 * np.arccos(np.clip(cosine, -1, 1))
        return (s * angle * np.exp(-s / decay) * _WEIGHTS).sum(axis=1) * (high - low) / 2

    none = np.zeros_like(d)
    split = np.minimum(kink, coupling.r_i)
    excited = ring(none, split, math.inf) + ring(split, np.minimum(end, coupling.r_i), math.inf)
    begin = np.minimum(end, coupling.r_o)
    split = np.clip(kink, begin, end)
    inhibited = ring(begin, split, coupling.decay) + ring(split, end, coupling.decay)
    return density * (coupling.a_i * excited - coupling.a_o * inhibited)


def resting_radius(coupling: CouplingSpec, threshold: float, *, density: float = 1.0) -> float | None:
    """Return the radius of a disc at rest: the largest R with I(R; R) = threshold.

    Args:
        coupling: Radii, strengths and decay.
        threshold: Of the cells, in units of drive.
        density: Cells per unit area.

    Returns:
        The radius in the coupling's unit of length; None where no disc holds itself or nothing bounds it.
    """

    def surplus(radius: float) -> float:
        return float(disc_input(coupling, radius, np.array([radius]), density=density)[0]) - threshold

    radii = np.linspace(0, coupling.r_o + 3 * coupling.decay, 4 * _SCAN)[1:]
    return _largest_root(surplus, radii)


def travelling_disc(spec: RateMapSpec, *, density: float = 1.0) -> Disc | None:
    """Return radius and speed of a travelling bump of the rate-like map; see the module.

    Args:
        spec: Its constants; noise and ``h_rim`` play no part.
        density: Cells per unit area in the coupling's unit of length; 1 where lengths count in mean spacings.

    Returns:
        Radius and speed; None where the equations have no solution.
    """
    rest = resting_radius(spec.coupling, spec.v_rest, density=density)
    if rest is None:
        return None

    def rear_surplus(radius: float) -> float:
        disc = _Profile(spec, radius, density)
        speed = max(disc.speed(), _SLOWEST)
        return disc.drive(-radius, speed) - spec.v_rest - spec.h * 2 * radius / speed

    if spec.h == 0:
        return Disc(rest, 0.0)
    radius = _largest_root(rear_surplus, np.linspace(0, rest, _SCAN)[1:])
    return None if radius is None else Disc(radius, _Profile(spec, radius, density).speed())


class _Profile:
    """Input and drive along the way of a disc of given radius."""

    def __init__(self, spec: RateMapSpec, radius: float, density: float) -> None:
        self._spec, self._radius = spec, radius
        self._distance = np.linspace(0, radius + 6 * spec.coupling.decay, 600)
        self._input = disc_input(spec.coupling, radius, self._distance, density=density)

    def drive(self, place: float, speed: float) -> float:
        """Return x at a place ahead of the center (negative: behind it)."""
        u = np.linspace(0, 16, 1601)
        passed = np.interp(
            np.abs(place + speed * self._spec.tau_x * u), self._distance, self._input, right=0.0
        )
        return float(np.trapezoid(np.exp(-u) * passed, u))

    def speed(self) -> float:
        """Return the least speed at which the drive at the front is down to v_rest; 0 where it is so at rest."""
        before = _SLOWEST
        if self.drive(self._radius, before) <= self._spec.v_rest:
            return 0.0
        fastest = (self._distance[-1] - self._radius) / self._spec.tau_x
        for speed in np.geomspace(before, fastest, _SCAN)[1:].tolist():
            if self.drive(self._radius, speed) <= self._spec.v_rest:
                return _root(lambda c: self.drive(self._radius, c) - self._spec.v_rest, before, speed)
            before = speed
        return before


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return cast("float", brentq(function, low, high))


def _largest_root(function: Callable[[float], float], grid: Float[np.ndarray, " k"]) -> float | None:
    """Return the largest place at which a function falls through 0, or None."""
    above: float | None = None
    for place in grid[::-1].tolist():
        if function(place) > 0:
            return None if above is None else _root(function, place, above)
        above = place
    return None
