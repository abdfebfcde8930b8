"""Both layers in space: which cells a layer-II unit is wired to, before and after."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from devnet._core.errors import ConfigError
from devnet.measure import organized
from devnet.sheet import Sheet, Wiring
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
"""Of a larger field every second, third, ... cell gets a line: more could not be told apart."""


def apart(wiring: Wiring, count: int) -> Int[np.ndarray, " k"]:
    """Choose organized units whose pools lie far from each other: each next is the farthest from those chosen.

    Args:
        wiring: The wiring.
        count: At most so many; where no unit is organized, all are candidates.

    Returns:
        Their numbers.
    """
    good = np.flatnonzero(organized(wiring.weights, wiring.sheet.positions, wiring.late_wins))
    candidates = good if len(good) else np.arange(wiring.units)
    place = centers(wiring.weights[:, candidates], wiring.sheet)
    distance = np.hypot(*(place - wiring.sheet.positions.mean(axis=0)).T)
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(
            distance if len(chosen) > 1 else np.inf, np.hypot(*(place - place[chosen[-1]]).T)
        )
    return candidates[chosen]


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
    if not 1 <= shown <= len(PATCHES):
        raise ConfigError("shown", shown, f"1 to {len(PATCHES)}")
    figure, places = panels(axes, 2, size=(WIDTH, 3.1))
    chosen = apart(wiring, shown)
    after = f"after {wiring.steps:,} steps of waves"
    for place, title, weights in (
        (places[0], "before", wiring.initial_weights),
        (places[1], after, wiring.weights),
    ):
        draw_layers(place, wiring.sheet, weights[:, chosen], chosen)
        place.set_title(title, loc="center", zorder=ABOVE)
    return figure


def draw_layers(
    place: Axes, sheet: Sheet, weights: Float[np.ndarray, "n k"], chosen: Int[np.ndarray, " k"]
) -> None:
    """Draw two layers in oblique view, and the connections of the chosen units."""
    x0, y0, x1, y1 = sheet.scaffold.bounds
    lift = np.array([0.0, _LIFT * (y1 - y0)])
    colors = to_rgba_array(PATCHES[: len(chosen)])
    cells, units = sheet.positions @ _LOOK, sheet.unit_positions @ _LOOK + lift
    for height, order, alpha in ((0.0 * lift, 0.5, 0.10), (lift, 3.0, 0.16)):
        plane = outline(sheet.scaffold.polygon)
        plane.vertices = plane.vertices @ _LOOK + height
        face = (*to_rgba(RESTING)[:3], alpha)
        place.add_patch(PathPatch(plane, facecolor=face, edgecolor=MUTED, linewidth=0.6, zorder=order))
    owner, inside = strongest(weights)
    dots(place, cells[~inside], 0.5 * sheet.spacing, RESTING, zorder=1.0)
    dots(place, cells[inside], 0.75 * sheet.spacing, colors[owner[inside]], zorder=2.5)
    dots(place, units, 0.8 * sheet.spacing, RESTING, zorder=3.5)
    fields = receptive_fields(weights)
    for number, unit in enumerate(chosen):
        ends = cells[fields[:, number]]
        ends = ends[:: -(-len(ends) // _MOST_LINES) or 1]
        lines = np.stack([np.broadcast_to(units[unit], ends.shape), ends], axis=1)
        strength = min(0.5, 30.0 / max(1, len(ends)))  # many lines must not become one blot
        fan = LineCollection(list(lines), colors=[colors[number]], linewidth=0.35, alpha=strength)
        fan.set(zorder=2.0)
        place.add_collection(fan, autolim=False)
    place.scatter(*units[chosen].T, s=20, c=colors, edgecolor=INK, linewidth=0.6, zorder=ABOVE)
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) @ _LOOK
    (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0) + lift
    crowd(place)
    place.set(xlim=(left - 0.3, right + 0.3), ylim=(low - 0.3, high + 0.3))
    for height, name in ((0.0 * lift, "layer I"), (lift, "layer II")):
        y = (np.array([x1, y0]) @ _LOOK + height)[1]
        place.text(right, y, name, ha="right", va="bottom", fontsize=7, color=MUTED, zorder=ABOVE)
