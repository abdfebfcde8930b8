"""Layers in space: which cells a unit is wired to, before and after, and down through all layers of a stack."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from devnet._core.errors import ConfigError
from devnet.measure import organized_on
from devnet.sheet import Sheet, Stack, Wiring
from devnet.sheet.sampling import receptive_fields
from devnet.viz._pools import centers, strongest
from devnet.viz.style import (
    ABOVE,
    INK,
    MUTED,
    PATCHES,
    RESTING,
    WIDTH,
    Panels,
    crowd,
    dots,
    outline,
    panels,
    styled,
)

_LOOK = np.array([[1.0, 0.0], [0.30, 0.42]])
"""Oblique view: how a step along x and one along y appear."""

_LIFT = 0.6
"""Distance of the layers in the picture, in heights of the sheet; not to scale."""

_MOST_LINES = 500
"""Of more lines of a color every second, third, ... is drawn: more could not be told apart."""


def apart(wiring: Wiring, count: int) -> Int[np.ndarray, " k"]:
    """Choose organized units whose pools lie far from each other: each next is the farthest from those chosen.

    Args:
        wiring: The wiring.
        count: At most so many; where no unit is organized, all are candidates.

    Returns:
        Their numbers.
    """
    good = np.flatnonzero(organized_on(wiring.sheet, wiring.weights, wiring.late_wins))
    candidates = good if len(good) else np.arange(wiring.units)
    place = centers(wiring.weights[:, candidates], wiring.sheet)
    return candidates[_far(place, wiring.sheet.positions.mean(axis=0), count)]


def _far(place: Float[np.ndarray, "n 2"], start: Float[np.ndarray, " 2"], count: int) -> list[int]:
    """Choose places far from each other, first the one farthest from ``start``."""
    distance = np.hypot(*(place - start).T)
    chosen: list[int] = []
    for _ in range(min(count, len(place))):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(
            distance if len(chosen) > 1 else np.inf, np.hypot(*(place - place[chosen[-1]]).T)
        )
    return chosen


@styled
def layers(wiring: Wiring, *, shown: int = 5, axes: Panels = None) -> Figure:
    """Draw both layers in space, with the connections of some units: to all cells before, to a pool after.

    Lines lead from a layer-II unit to each cell of its receptive field. The units shown are organized ones whose
    pools lie far apart. The distance of the layers is not to scale.

    Args:
        wiring: A wiring onto the sheet's own layer-II units.
        shown: Number of units, 1 to 8.
        axes: Two Axes (before, after), or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: Units that have no place on the sheet, a wrong number of them, or the wrong number of Axes.
    """
    if wiring.units != wiring.sheet.m:
        raise ConfigError(
            "wiring", f"{wiring.units} units", f"the {wiring.sheet.m} layer-II units of its sheet"
        )
    _check(shown)
    figure, places = panels(axes, 2, size=(WIDTH, 3.1))
    chosen = apart(wiring, shown)
    points = {"layer I": wiring.sheet.positions, "layer II": wiring.sheet.unit_positions}
    after = f"after {wiring.steps:,} steps of waves"
    for place, title, weights in (
        (places[0], "before", wiring.initial_weights),
        (places[1], after, wiring.weights),
    ):
        _draw(place, wiring.sheet, points, [weights], chosen)
        place.set_title(title, loc="center", zorder=ABOVE)
    return figure


@styled
def stack(noun: Stack, *, layer: int | None = None, shown: int = 4, axes: Panels = None) -> Figure:
    """Draw the layers of a stack in space, and how some units of the top one reach down to the sheet.

    Lines lead from a unit to each one of its receptive field in the layer below, from those to theirs, and so on. The
    units shown are far apart. What several of them reach has the color of the one to which it is wired most strongly,
    through the layers between. The distance of the layers is not to scale.

    Args:
        noun: A stack; of one with branches, what feeds the layer.
        layer: Number of the top layer that is drawn, from 2; None: the last.
        shown: Number of units, 1 to 8.
        axes: An Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No such layer, a wrong number of units, or the wrong number of Axes.
    """
    _check(shown)
    path = noun.path(len(noun.layers) + 1 if layer is None else layer)
    figure, (place,) = panels(axes, 1, size=(0.62 * WIDTH, 1.1 + 1.0 * len(path)))
    top = noun.places(path[-1])
    chosen = np.array(_far(top, top.mean(axis=0), shown))
    points = {f"layer {number}": noun.places(number) for number in path}
    _draw(place, noun.sheet, points, [noun.weights(number) for number in path[1:]], chosen)
    return figure


def _check(shown: int) -> None:
    if not 1 <= shown <= len(PATCHES):
        raise ConfigError("shown", shown, f"1 to {len(PATCHES)}")


def _draw(
    place: Axes,
    sheet: Sheet,
    points: dict[str, Float[np.ndarray, "n 2"]],
    weights: list[Float[np.ndarray, "n M"]],
    chosen: Int[np.ndarray, " k"],
) -> None:
    """Draw layers in oblique view, and what the chosen units of the top one are wired to.

    Args:
        place: Where.
        sheet: The first layer.
        points: Places of each layer's cells or units, by its name, from below.
        weights: Of each layer but the first, from the one below.
        chosen: Units of the top layer.
    """
    x0, y0, x1, y1 = sheet.scaffold.bounds
    lift = np.array([0.0, _LIFT * (y1 - y0)])
    at = [where @ _LOOK + number * lift for number, where in enumerate(points.values())]
    colors = to_rgba_array(PATCHES[: len(chosen)])
    top = len(at) - 1
    seen = np.eye(len(at[top]))[:, chosen]  # weights of the chosen units, seen in the layer
    owner, lit = strongest(seen)
    for number in range(top, -1, -1):
        order, rest, alpha = 3.0 * number, 0.8 if number else 0.5, 0.16 if number else 0.10
        plane = outline(sheet.scaffold.polygon)
        plane.vertices = plane.vertices @ _LOOK + number * lift
        face = (*to_rgba(RESTING)[:3], alpha)
        place.add_patch(PathPatch(plane, facecolor=face, edgecolor=MUTED, linewidth=0.6, zorder=order))
        if number < top:
            fields = receptive_fields(weights[number])
            for color in range(len(chosen)):
                units, ends = np.nonzero(fields[:, lit & (owner == color)].T)
                starts = np.flatnonzero(lit & (owner == color))[units]
                lines = np.stack([at[number + 1][starts], at[number][ends]], axis=1)
                _fan(place, lines, colors[color], order + 2.0)
            seen = weights[number] @ seen
            owner, lit = strongest(seen)
            dots(place, at[number][lit], 0.75 * sheet.spacing, colors[owner[lit]], zorder=order + 2.5)
        dots(place, at[number][~lit], rest * sheet.spacing, RESTING, zorder=order + 1.0)
    above = 3.0 * top + ABOVE
    place.scatter(*at[top][chosen].T, s=20, c=colors, edgecolor=INK, linewidth=0.6, zorder=above)
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) @ _LOOK
    (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0) + top * lift
    crowd(place)
    place.set(xlim=(left - 0.3, right + 0.3), ylim=(low - 0.3, high + 0.3))
    for number, name in enumerate(points):
        y = (np.array([x1, y0]) @ _LOOK + number * lift)[1]
        place.text(right, y, name, ha="right", va="bottom", fontsize=7, color=MUTED, zorder=above)


def _fan(
    place: Axes, lines: Float[np.ndarray, "k 2 2"], color: Float[np.ndarray, " 4"], order: float
) -> None:
    lines = lines[:: -(-len(lines) // _MOST_LINES) or 1]
    strength = min(0.5, 30.0 / max(1, len(lines)))  # many lines must not become one blot
    fan = LineCollection(list(lines), colors=[color], linewidth=0.35, alpha=strength)
    fan.set(zorder=order)
    place.add_collection(fan, autolim=False)
