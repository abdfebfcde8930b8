"""Scaffolds: corners, and whether they make a region, which is told with the other wrong fields of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot, sqrt
from typing import Any, cast

from pydantic import ValidationError, ValidatorFunctionWrapHandler

from devnet.spec._base import ASSUMED, Spec, Wrong, quantity, refuse, wrong_fields

LARGEST = 1e9
"""Largest coordinate: up to here positions in double precision are exact to 1e-6 of a unit."""

Point = tuple[float, float]
Corners = Sequence[Sequence[float]]


class ScaffoldSpec(Spec):
    """A closed region in which cells live: a polygon with holes, on the plane or a sphere, and where the first cell sits.

    On a sphere corners are given in the equal-area chart around the pole (0, 0), at most sqrt(2) radii from it: the
    hemisphere, in which the shortest way between two cells stays.
    """

    outline: tuple[Point, ...] = quantity(
        ..., "length", ASSUMED, min_length=3, description="corners in order, not repeated at the end"
    )
    holes: tuple[tuple[Point, ...], ...] = quantity((), "length", ASSUMED)
    seed_cell: Point = quantity(..., "length", ASSUMED)
    sphere_radius: float = quantity(
        0.0, "length", ASSUMED, ge=0, le=LARGEST, description="radius of the sphere; 0: the plane"
    )


def with_region(value: Any, handler: ValidatorFunctionWrapHandler) -> ScaffoldSpec:
    """Tell what is no region together with the scaffold's other wrong fields: pydantic calls it for a model's.

    Args:
        value: The scaffold, or its fields.
        handler: What reads them.

    Returns:
        The scaffold.

    Raises:
        ValidationError: Fields are wrong, or are no region.
    """
    wrong: list[Wrong] = []
    try:
        spec: ScaffoldSpec | None = handler(value)
        given: Mapping[str, Any] = vars(spec)
    except ValidationError as error:
        if not isinstance(value, Mapping):
            raise
        spec, wrong, given = None, wrong_fields(error), cast("Mapping[str, Any]", value)
    heads = {field[0][0] for field in wrong}
    sound: dict[str, Any] = {}
    for name in ScaffoldSpec.model_fields:
        part = given.get(name)
        part = (
            cast("Mapping[str, Any]", part)["value"]
            if name not in heads and isinstance(part, Mapping)
            else part
        )
        sound[name] = None if name in heads else part
    wrong += region_problems(**sound)
    if spec is None or wrong:
        error = refuse("scaffold", wrong)
        raise error
    return spec


def region_problems(
    outline: Corners | None,
    holes: Sequence[Corners] | None,
    seed_cell: Sequence[float] | None,
    sphere_radius: float | None = 0.0,
) -> list[Wrong]:
    """Say everything that keeps corners, holes and a seed cell from being a region with a cell in it.

    Args:
        outline: At least three corners; None where the field itself is wrong, as for the others.
        holes: Corners of each hole.
        seed_cell: Place of the first cell.
        sphere_radius: Radius of the sphere whose chart the corners lie in; 0 for the plane.

    Returns:
        The wrong fields, with paths relative to the scaffold's.
    """
    import shapely  # not needed to refuse a model for other reasons

    wrong: list[Wrong] = []
    region = None
    if outline is not None and (problem := _no_polygon(outline)):
        wrong.append((("outline",), outline, problem))
    elif outline is not None:
        region = shapely.Polygon(outline)
    good: list[Any] = []
    for number, corners in enumerate(holes or ()):
        problem = _no_polygon(corners)
        if not problem and region is not None and not region.contains(shapely.Polygon(corners)):
            problem = "a hole that lies inside the outline"
        if problem:
            wrong.append((("holes", number), corners, problem))
        else:
            good.append(shapely.Polygon(corners))
    if region is not None:
        whole = shapely.Polygon(region.exterior, [hole.exterior for hole in good])
        if not whole.is_valid:
            reason = shapely.is_valid_reason(whole)
            wrong.append(
                (("holes",), holes, f"holes that do not touch one another or the outline ({reason})")
            )
    elif outline is not None and _small(outline):
        # Whatever the right order of these corners, no cell lies beyond their convex hull.
        region = shapely.MultiPoint(outline).convex_hull
    least = max((hypot(*corner) for corner in outline or ()), default=0.0) / sqrt(2)
    if sphere_radius and sphere_radius < least:
        allowed = f"0, or at least {least:g}: the outline on one hemisphere"
        wrong.append((("sphere_radius",), sphere_radius, allowed))
    if seed_cell is not None and region is not None:
        seed = shapely.Point(seed_cell)
        if not region.contains(seed) or any(hole.intersects(seed) for hole in good):
            wrong.append((("seed_cell",), seed_cell, "a point inside the outline and outside every hole"))
    return wrong


def _small(corners: Corners) -> bool:
    return max((abs(c) for corner in corners for c in corner), default=0.0) <= LARGEST


def _no_polygon(corners: Corners) -> str:
    """Return what to give instead of these corners; nothing where they are a polygon."""
    import shapely

    if not _small(corners):
        return f"coordinates of at most {LARGEST:g}"
    allowed = "a polygon that does not cross itself and has an area"
    if len(corners) < 3:
        return allowed
    polygon = shapely.Polygon(corners)
    if not polygon.is_valid:
        return f"{allowed} ({shapely.is_valid_reason(polygon)})"
    return "" if polygon.area > 0 else allowed
