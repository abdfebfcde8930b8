"""Receptive fields as a mosaic, and the map from the units' layer to the sheet as a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure
from scipy.spatial import Delaunay

from devnet._core.errors import ConfigError
from devnet.measure import organized_on
from devnet.sheet import Stack, Wiring
from devnet.sheet.sampling import receptive_fields
from devnet.viz._pools import centers, neighbor_colors, spread_units
from devnet.viz.style import (
    ABOVE,
    AGES,
    MUTED,
    RESTING,
    WIDTH,
    Panels,
    dots,
    panels,
    scale_bar,
    sheet_panel,
    styled,
)


@styled
def fields(wiring: Wiring, *, shown: int = 24, axes: Panels = None) -> Figure:
    r"""Draw how receptive fields tile the sheet: an ellipse for each organized unit, some of them filled.

    Of the cells of a unit's field (at least half of its largest weight), the ellipse has the mean :math:`\mu` as center
    and :math:`\sqrt{2}` standard deviations as half axes: an evenly filled disk would give its own rim's radius over
    :math:`\sqrt{2}`. The filled ones are chosen so that they reach most cells and overlap least.

    Args:
        wiring: The wiring.
        shown: At most so many are filled.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: The wrong number of Axes.
    """
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 3.0))
    sheet = wiring.sheet
    good = np.flatnonzero(organized_on(sheet, wiring.weights, wiring.late_wins))
    inside = receptive_fields(wiring.weights[:, good]).astype(np.float64)
    share = inside / np.maximum(inside.sum(axis=0), 1.0)
    middle = share.T @ sheet.positions
    off = sheet.positions[:, None, :] - middle[None]
    spread = np.einsum("nm,nmi,nmj->mij", share, off, off)
    variance, direction = np.linalg.eigh(spread)
    axis = 2.0 * np.sqrt(2.0 * np.maximum(variance, 0.0))
    turn = np.degrees(np.arctan2(direction[:, 1, 1], direction[:, 0, 1]))
    sheet_panel(place, sheet, f"fields of the {len(good)} organized of {wiring.units} units")
    dots(place, sheet.positions, 0.3 * sheet.spacing, RESTING)
    marks = EllipseCollection(
        axis[:, 1], axis[:, 0], turn, units="xy", offsets=middle, offset_transform=place.transData
    )
    marks.set(facecolor="none", edgecolor=MUTED, linewidth=0.3, alpha=0.45, zorder=ABOVE - 0.6)
    place.add_collection(marks, autolim=False)
    if len(good):
        some = spread_units(wiring.weights[:, good], shown)
        filled = EllipseCollection(
            axis[some, 1],
            axis[some, 0],
            turn[some],
            units="xy",
            offsets=middle[some],
            offset_transform=place.transData,
        )
        color = neighbor_colors(middle[some])
        shade = color.copy()
        shade[:, 3] = 0.55
        filled.set(facecolor=shade, edgecolor=color, linewidth=1.0, zorder=ABOVE - 0.5)
        place.add_collection(filled, autolim=False)
    if axes is None:
        scale_bar(place, sheet)
    return figure


@styled
def topography(noun: Wiring | Stack, *, layer: int = 2, axes: Panels = None) -> Figure:
    """Draw the map from a layer of units to the sheet as a grid.

    Left, the units where they stand, neighbors joined. Right, each unit at the center of its weights, and the same
    neighbors joined: an orderly map keeps the grid, a map without order tangles it. Colors: place along x in the
    units' layer. Units whose weights are not organized are left out on the right.

    Args:
        noun: A wiring onto the sheet's own layer-II units, or a stack; at least four units.
        layer: Which layer of a stack, from 2; a wiring has layer 2 only. Weights of higher ones are seen through those
            between.
        axes: Two Axes (units, fields), or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: Units that have no place on the sheet, too few of them, no such layer, or the wrong number of Axes.
    """
    sheet = noun.sheet
    stood, weights, wins = _standing(noun, layer)
    if len(stood) < 4:
        raise ConfigError("noun", f"{len(stood)} units", "at least 4 units")
    figure, (left, right) = panels(axes, 2, size=(WIDTH, 3.0))
    edges = neighbors(stood)
    x = stood[:, 0]
    colors = AGES((x - x.min()) / max(float(np.ptp(x)), 1e-9))
    good = organized_on(sheet, weights, wins)
    shown: list[tuple[Any, str, np.ndarray, np.ndarray]] = [
        (left, f"units of layer {layer} where they stand", stood, np.ones(len(stood), dtype=bool)),
        (right, "the same units at the centers of their fields", centers(weights, sheet), good),
    ]
    size = min(1.3 * sheet.spacing, 0.35 * (sheet.scaffold.area / len(stood)) ** 0.5)
    for place, title, points, there in shown:
        sheet_panel(place, sheet, title)
        kept = edges[there[edges].all(axis=1)]
        lines = LineCollection(list(points[kept]), colors=colors[kept[:, 0]], linewidth=0.5, alpha=0.6)
        lines.set(zorder=1.5)
        place.add_collection(lines, autolim=False)
        dots(place, points[there], size, colors[there])
    if axes is None:
        scale_bar(left, sheet)
    return figure


def _standing(noun: Wiring | Stack, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the units' places, their weights as seen in the sheet, and how often each won late."""
    last = 2 if isinstance(noun, Wiring) else len(noun.layers) + 1
    if not 2 <= layer <= last:
        raise ConfigError("layer", layer, f"2 to {last}")
    if isinstance(noun, Stack):
        return noun.places(layer), noun.weights(layer, 1), noun.layers[layer - 2].late_wins
    if noun.units != noun.sheet.m:
        raise ConfigError("noun", f"{noun.units} units", f"the {noun.sheet.m} layer-II units of its sheet")
    return noun.sheet.unit_positions, noun.weights, noun.late_wins


def neighbors(points: Float[np.ndarray, "m 2"]) -> Int[np.ndarray, "e 2"]:
    """Return the pairs of points joined by a Delaunay triangulation, but for those far apart: 1.8 medians and more."""
    triangles = Delaunay(points, qhull_options="QJ").simplices
    pairs = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges = np.unique(pairs, axis=0)
    length = np.hypot(*(points[edges[:, 0]] - points[edges[:, 1]]).T)
    return edges[length < 1.8 * np.median(length)]
