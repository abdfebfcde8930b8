"""Scaffolds: closed regions of a surface, with holes, in which cells live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float
from shapely.geometry import Polygon

from devnet._core.errors import ConfigError, Problem
from devnet.sheet.surface import PLANE, Sphere, Surface
from devnet.spec import ScaffoldSpec, region_problems


@dataclass(frozen=True)
class Scaffold:
    """A polygon with holes, and the place of the first cell.

    Attributes:
        polygon: The region, in the surface's coordinates; valid, not empty.
        seed_cell: Place of the first cell, inside the region.
        surface: What the region is a part of.
    """

    polygon: Polygon
    seed_cell: tuple[float, float]
    surface: Surface = PLANE

    @classmethod
    def from_spec(cls, spec: ScaffoldSpec) -> Scaffold:
        """Build the region and check it.

        Args:
            spec: Corners of the outline and the holes, and the seed cell.

        Returns:
            The scaffold.

        Raises:
            ConfigError: An outline or hole crosses itself, a hole leaves the outline, or the seed cell is outside; all
                that is wrong together. Reading a model makes the same checks.
        """
        problems = [
            Problem(".".join(("scaffold", *map(str, path))), value, allowed)
            for path, value, allowed in region_problems(
                spec.outline, spec.holes, spec.seed_cell, spec.sphere_radius
            )
        ]
        if problems:
            first, *more = problems
            raise ConfigError(first.field, first.value, first.allowed, more=more)
        surface = Sphere(spec.sphere_radius) if spec.sphere_radius else PLANE
        return cls(Polygon(spec.outline, spec.holes), spec.seed_cell, surface)

    @property
    def area(self) -> float:
        """Area of the region, holes taken away; a sphere's chart keeps areas."""
        return float(self.polygon.area)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest box around the region: (x_min, y_min, x_max, y_max)."""
        x0, y0, x1, y1 = self.polygon.bounds
        return float(x0), float(y0), float(x1), float(y1)

    def contains(self, points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Say which points lie inside."""
        return np.asarray(shapely.contains_xy(self.polygon, points[:, 0], points[:, 1]))
