"""Scaffolds: closed regions of the plane, with holes, in which cells live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float
from shapely.geometry import Point, Polygon
from shapely.validation import explain_validity

from devnet._core.errors import ConfigError
from devnet.spec import ScaffoldSpec

LARGEST = 1e9
"""Largest coordinate: up to here positions in double precision are exact to 1e-6 of a unit."""


@dataclass(frozen=True)
class Scaffold:
    """A polygon with holes, and the place of the first cell.

    Attributes:
        polygon: The region; valid, not empty.
        seed_cell: Place of the first cell, inside the region.
    """

    polygon: Polygon
    seed_cell: tuple[float, float]

    @classmethod
    def from_spec(cls, spec: ScaffoldSpec) -> Scaffold:
        """Build the region and check it.

        Args:
            spec: Corners of the outline and the holes, and the seed cell.

        Returns:
            The scaffold.

        Raises:
            ConfigError: An outline or hole crosses itself, a hole leaves the outline, or the seed cell is outside.
        """
        outline = Polygon(spec.outline)
        if max(abs(c) for corner in spec.outline for c in corner) > LARGEST:
            raise ConfigError("scaffold.outline", spec.outline, f"coordinates of at most {LARGEST:g}")
        if not outline.is_valid or outline.area == 0:
            raise ConfigError(
                "scaffold.outline",
                explain_validity(outline),
                "a polygon that does not cross itself and has an area",
            )
        for number, corners in enumerate(spec.holes):
            field = f"scaffold.holes.{number}"
            if len(corners) < 3 or not (hole := Polygon(corners)).is_valid or hole.area == 0:
                raise ConfigError(field, corners, "a polygon that does not cross itself and has an area")
            if not outline.contains(hole):
                raise ConfigError(field, corners, "a hole that lies inside the outline")
        polygon = Polygon(spec.outline, spec.holes)
        if not polygon.is_valid:
            raise ConfigError(
                "scaffold.holes", explain_validity(polygon), "holes that do not touch one another"
            )
        if not polygon.contains(Point(spec.seed_cell)):
            raise ConfigError(
                "scaffold.seed_cell", spec.seed_cell, "a point inside the outline and outside every hole"
            )
        return cls(polygon, spec.seed_cell)

    @property
    def area(self) -> float:
        """Area of the region, holes taken away."""
        return float(self.polygon.area)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest box around the region: (x_min, y_min, x_max, y_max)."""
        x0, y0, x1, y1 = self.polygon.bounds
        return float(x0), float(y0), float(x1), float(y1)

    def contains(self, points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Say which points lie inside."""
        return np.asarray(shapely.contains_xy(self.polygon, points[:, 0], points[:, 1]))
