"""Growth: the sheet at several times, its growth curve, and its lineage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.sheet import Sheet
from devnet.viz.style import (
    ABOVE,
    AGES,
    GROUND,
    INK,
    OURS,
    PATCHES,
    UNIT,
    WIDTH,
    Panels,
    by_birth,
    caption,
    dots,
    panels,
    scale_bar,
    sheet_panel,
    styled,
)

_STAGES = (0.02, 0.15, 0.6)
"""Shares of the final number of cells at which a growing sheet is shown, beside the first cell and the end."""


def telling_sweeps(sheet: Sheet) -> tuple[int, ...]:
    """Return sweeps that tell how a sheet grew: the first cell, some stages between, and the end."""
    curve = sheet.growth_curve
    between = [int(np.searchsorted(curve, share * sheet.n)) for share in _STAGES]
    return tuple(sorted({0, *between, int(sheet.sweeps)}))


@styled
def growth(sheet: Sheet, *, sweeps: Sequence[int] | None = None, axes: Panels = None) -> Figure:
    """Draw the sheet as it was at several times.

    A dot is a layer-I cell, colored by the sweep of its birth; a line leads from mother to daughter; a small dot on
    top is a layer-II unit.

    Args:
        sheet: The sheet.
        sweeps: When, ascending; by default from the first cell to the end.
        axes: One Axes a sweep, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: A sweep before the first or after the last, or the wrong number of Axes.
    """
    chosen = telling_sweeps(sheet) if sweeps is None else tuple(sweeps)
    if not chosen or min(chosen) < 0 or max(chosen) > sheet.sweeps:
        raise ConfigError("sweeps", list(chosen), f"at least one sweep from 0 to {sheet.sweeps}")
    figure, places = panels(axes, len(chosen), size=(WIDTH, 1.85), layout="compressed")
    norm = by_birth(sheet)
    colors = AGES(norm(sheet.born))
    edges = np.stack([sheet.positions[sheet.parent], sheet.positions], axis=1)
    size = 0.8 * sheet.spacing
    for place, sweep in zip(places, chosen, strict=True):
        there = sheet.born <= sweep
        up = sheet.emitted <= sweep
        sheet_panel(place, sheet, f"sweep {sweep}\n{_count(int(there.sum()), int(up.sum()))}")
        # A handful of cells would be lost on the sheet; drawn larger they are found.
        grown = size * (1.0 + 1.5 / np.sqrt(there.sum()))
        dots(place, sheet.positions[there], grown, colors[there])
        lineage_edges = there & (sheet.parent >= 0)
        lines = LineCollection(
            list(edges[lineage_edges]), colors=colors[lineage_edges], linewidth=0.35, alpha=0.7
        )
        lines.set(zorder=1.5)
        place.add_collection(lines, autolim=False)
        dots(place, sheet.unit_positions[up], 1.05 * size, GROUND, zorder=3.0)
        dots(place, sheet.unit_positions[up], 0.8 * size, UNIT, zorder=3.1)
    if axes is None:
        scale_bar(places[0], sheet)
        if (sheet.emitted <= chosen[-1]).any():
            caption(places[-1], "● layer-II unit", UNIT)
        bar = figure.colorbar(
            ScalarMappable(norm, AGES), ax=places, shrink=0.7, pad=0.01, aspect=18, extend="max"
        )
        bar.set_label("birth, sweep")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def _count(cells: int, units: int) -> str:
    text = "1 cell" if cells == 1 else f"{cells} cells"
    return f"{text}, {units} units" if units else text


@styled
def growth_curve(*sheets: Sheet, axes: Panels = None) -> Figure:
    """Draw the number of layer-I cells and layer-II units against the sweep; one line a sheet.

    Args:
        *sheets: The sheets; the first is drawn strong, further ones thin.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No sheet, or the wrong number of Axes.
    """
    if not sheets:
        raise ConfigError("sheets", "none", "at least one sheet")
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 2.2))
    for number, sheet in reversed(list(enumerate(sheets))):
        units = np.cumsum(np.bincount(sheet.emitted, minlength=sheet.sweeps + 1))
        look: Any = {"linewidth": 1.6, "alpha": 1.0} if number == 0 else {"linewidth": 0.7, "alpha": 0.5}
        for curve, color, name in (
            (sheet.growth_curve, OURS, "layer-I cells"),
            (units, UNIT, "layer-II units"),
        ):
            place.plot(np.arange(len(curve)), curve, color=color, drawstyle="steps-post", **look)
            if number == 0:
                place.annotate(
                    f"{name}: {curve[-1]}",
                    (len(curve) - 1, curve[-1]),
                    xytext=(0, 4),
                    textcoords="offset points",
                    ha="right",
                    color=color,
                )
    place.set(xlabel="sweep", ylabel="number", xlim=(0, None))
    place.set_ylim(0, 1.12 * place.get_ylim()[1])  # room for the words
    return figure


@styled
def lineage(sheet: Sheet, *, founders: int = len(PATCHES), axes: Panels = None) -> Figure:
    """Draw who descends from whom: each cell in the color of the early cell from which it comes.

    Args:
        sheet: The sheet.
        founders: How many of the first cells get a color of their own, 1 to 8. A cell counts to the youngest founder
            among its ancestors.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: Another number of founders, or the wrong number of Axes.
    """
    if not 1 <= founders <= len(PATCHES):
        raise ConfigError("founders", founders, f"1 to {len(PATCHES)}")
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 2.6))
    clone = clones(sheet, founders)
    colors = to_rgba_array(PATCHES)[clone]
    sheet_panel(place, sheet, f"one color: descendants of one of the first {min(founders, sheet.n)} cells")
    born = np.flatnonzero(sheet.parent >= 0)
    edges = np.stack([sheet.positions[sheet.parent[born]], sheet.positions[born]], axis=1)
    lines = LineCollection(list(edges), colors=colors[born], linewidth=0.5)
    lines.set(zorder=1.5)
    place.add_collection(lines, autolim=False)
    dots(place, sheet.positions, 0.45 * sheet.spacing, colors)
    first = sheet.positions[: min(founders, sheet.n)]
    place.scatter(*first.T, s=16, c=PATCHES[: len(first)], edgecolor=INK, linewidth=0.8, zorder=ABOVE)
    place.scatter(*first[:1].T, s=45, facecolor="none", edgecolor=INK, linewidth=0.8, zorder=ABOVE)
    return figure


def clones(sheet: Sheet, founders: int) -> Int[np.ndarray, " n"]:
    """Return for each cell the youngest of the first ``founders`` cells among its ancestors and itself."""
    clone = np.zeros(sheet.n, dtype=np.int64)
    for cell in range(sheet.n):  # a mother is born before her daughters
        mother = int(sheet.parent[cell])
        clone[cell] = cell if cell < founders else clone[mother] if mother >= 0 else cell % founders
    return clone
