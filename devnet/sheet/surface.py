"""Surfaces on which sheets lie: the plane, and a sphere seen in a chart. All distances are along the surface.

Cells have two coordinates everywhere. On the plane these are their places. On a sphere of radius R they are a point
p of Lambert's azimuthal equal-area chart around the pole: at polar angle t and longitude phi,

    p = 2R sin(t/2) (cos phi, sin phi),

so that areas, and with them densities, spacings and the scaffold's area, are those of the chart. In space that cell
lies at (s p, R - |p|^2 / 2R), s = sqrt(1 - |p|^2 / 4R^2), and two cells whose straight distance is c lie
2R arcsin(c / 2R) apart on the sphere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float


class Surface(ABC):
    """A surface with two coordinates a point."""

    @abstractmethod
    def lift(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n d"]:
        """Return the points' places in space, where straight distances order as distances on the surface do."""

    @abstractmethod
    def project(self, places: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
        """Return the points of the surface nearest to places in space."""

    @abstractmethod
    def chord(self, distance: float) -> float:
        """Return the straight distance in space of two points that lie so far apart on the surface."""

    @abstractmethod
    def arc(self, chords: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return the distance on the surface of points that lie so far apart in space."""

    def distances(
        self, points: Float[np.ndarray, "n 2"], others: Float[np.ndarray, "m 2"]
    ) -> Float[np.ndarray, "n m"]:
        """Return the distance along the surface of each point to each other one: (n, m)."""
        first, *rest = zip(self.lift(points).T, self.lift(others).T, strict=True)
        chords = np.abs(first[0][:, None] - first[1])
        for mine, theirs in rest:
            np.hypot(chords, mine[:, None] - theirs, out=chords)
        return self.arc(chords)


@final
@dataclass(frozen=True)
class Plane(Surface):
    """The plane: a point's coordinates are its place."""

    def lift(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return the points."""
        return points

    def project(self, places: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return the places."""
        return places

    def chord(self, distance: float) -> float:
        """Return the distance."""
        return distance

    def arc(self, chords: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return the chords."""
        return chords


@final
@dataclass(frozen=True)
class Sphere(Surface):
    """A sphere in the equal-area chart around its pole.

    Attributes:
        radius: R.
    """

    radius: float

    def lift(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """Return (n, 3), the places on the sphere around the origin; the pole is (0, 0, R)."""
        square = (points**2).sum(axis=1) / self.radius**2
        shrink = np.sqrt(np.maximum(1 - square / 4, 0.0))
        return np.column_stack([points * shrink[:, None], self.radius * (1 - square / 2)])

    def project(self, places: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Return the chart's points in the direction of the places; the sphere's center goes to the pole."""
        length = np.linalg.norm(places, axis=1)
        unit = places / np.where(length > 0, length, 1.0)[:, None]
        above = np.where(length > 0, unit[:, 2], 1.0)
        return self.radius * unit[:, :2] * np.sqrt(2 / np.maximum(1 + above, 1e-12))[:, None]

    def chord(self, distance: float) -> float:
        """Return 2R sin(distance / 2R); 2R from half the circumference on."""
        return 2 * self.radius * float(np.sin(min(distance / (2 * self.radius), np.pi / 2)))

    def arc(self, chords: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return 2R arcsin(chord / 2R)."""
        return 2 * self.radius * np.arcsin(np.minimum(chords / (2 * self.radius), 1.0))


PLANE = Plane()
