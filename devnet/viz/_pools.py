"""Pools: receptive fields on the sheet before and after learning and under noise; weight maps; who owns which cell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from devnet._core.errors import ConfigError
from devnet.measure import initial_statistics, pool_centers, wiring_statistics
from devnet.sheet import Sheet, Wiring
from devnet.sheet.sampling import receptive_fields
from devnet.viz.style import (
    ABOVE,
    MUTED,
    OURS,
    PATCHES,
    RESTING,
    WIDTH,
    Panels,
    crowd,
    dots,
    fade,
    mosaic,
    outline,
    panels,
    scale_bar,
    sheet_panel,
    styled,
)

NOBODY = (*to_rgba(RESTING)[:3], 0.2)
"""Color of a cell in none of the fields that are shown."""


def spread_units(weights: Float[np.ndarray, "n M"], count: int) -> Int[np.ndarray, " k"]:
    """Choose units whose receptive fields, taken together, reach most cells while overlapping least.

    One after the other, the unit is taken whose field holds most cells that no field holds yet, less those that one
    does. It stops early where every further unit would lose more than it adds.

    Args:
        weights: (n, M).
        count: At most so many units.

    Returns:
        Their numbers, in the order of choice.
    """
    fields = receptive_fields(weights)
    free = np.ones(len(fields), dtype=bool)
    gain = fields.sum(axis=0)  # of each unit: its free cells less its taken ones
    chosen: list[int] = []
    for _ in range(min(count, weights.shape[1])):
        best = int(np.argmax(gain))
        if chosen and gain[best] <= 0:
            break
        chosen.append(best)
        gain -= 2 * fields[free & fields[:, best]].sum(axis=0)
        free &= ~fields[:, best]
        gain[best] = -len(fields) - 1
    return np.array(chosen)


def centers(weights: Float[np.ndarray, "n M"], sheet: Sheet) -> Float[np.ndarray, "M 2"]:
    """Return the center of each unit's weights, signs aside; 0 of a unit without any."""
    return np.nan_to_num(pool_centers(np.abs(weights), sheet.positions, sheet.scaffold.surface))


def neighbor_colors(places: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "k 4"]:
    """Give each place one of eight colors, so that equal colors lie far from each other."""
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    color = np.full(len(places), -1)
    for i in np.argsort(places.sum(axis=1)):
        nearest = [distance[i][color == c].min(initial=np.inf) for c in range(len(PATCHES))]
        color[i] = int(np.argmax(nearest))
    return to_rgba_array(PATCHES)[color]


def strongest(weights: Float[np.ndarray, "n M"]) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Say to which unit each cell is wired most strongly, by its share of the unit's largest weight, signs aside.

    Args:
        weights: (n, M).

    Returns:
        The unit, and whether the cell lies in its receptive field.
    """
    strength = np.abs(weights)
    share = strength / np.maximum(strength.max(axis=0), np.finfo(np.float64).tiny)
    owner = share.argmax(axis=1)
    return owner, receptive_fields(weights)[np.arange(len(share)), owner]


@styled
def pools(wiring: Wiring, noise: Wiring | None = None, *, shown: int = 24, axes: Panels = None) -> Figure:
    """Draw receptive fields on the sheet: before learning, after it, and after learning from noise alone.

    The same units in every panel, chosen so that their fields after learning reach most cells and overlap least. A
    cell has the color of the shown unit to which it is wired most strongly, if it lies in that unit's receptive field
    (at least half of the unit's largest weight); else it is gray. Colors repeat, far from each other.

    Args:
        wiring: Wired by waves.
        noise: The control, of as many cells and units; or None.
        shown: Number of units, at least 1.
        axes: Two Axes, three with noise; or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No unit to show, a control of another shape, or the wrong number of Axes.
    """
    if shown < 1:
        raise ConfigError("shown", shown, "at least 1")
    if noise is not None and noise.weights.shape != wiring.weights.shape:
        raise ConfigError("noise", f"weights of shape {noise.weights.shape}", f"shape {wiring.weights.shape}")
    rows = [
        ("before", wiring.initial_weights, initial_statistics(wiring).organized),
        (f"after {wiring.steps:,} steps of waves", wiring.weights, wiring_statistics(wiring).organized),
    ]
    if noise is not None:
        share = wiring_statistics(noise).organized
        rows.append((f"after {noise.steps:,} steps of noise", noise.weights, share))
    figure, places = panels(
        axes, len(rows), size=(WIDTH, 0.4 + 1.03 * WIDTH / len(rows)), layout="compressed"
    )
    chosen = spread_units(wiring.weights, shown)
    colors = neighbor_colors(centers(wiring.weights[:, chosen], wiring.sheet))
    for place, (title, weights, organized) in zip(places, rows, strict=True):
        text = f"{title}\n{100 * organized:.0f} % of {wiring.units} units organized"
        draw_fields(place, wiring.sheet, weights[:, chosen], colors, text)
    if axes is None:
        scale_bar(places[0], wiring.sheet)
        note = f"{len(chosen)} of {wiring.units} units are shown, the same in each panel; gray: in none of their fields"
        figure.supxlabel(note, x=0.995, ha="right", fontsize=7, color=MUTED)
    return figure


def draw_fields(
    place: Axes,
    sheet: Sheet,
    weights: Float[np.ndarray, "n k"],
    colors: Float[np.ndarray, "k 4"],
    title: str = "",
) -> None:
    """Fill each cell's surroundings with the color of the unit whose field it lies in."""
    sheet_panel(place, sheet, title)
    owner, inside = strongest(weights)
    mosaic(place, sheet, np.where(inside[:, None], colors[owner], NOBODY))


@styled
def owners(wiring: Wiring, *, axes: Panels = None) -> Figure:
    """Draw to which unit each cell is wired most strongly, over all units; colors repeat.

    Args:
        wiring: The wiring.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: The wrong number of Axes.
    """
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 3.2))
    owner, _ = strongest(wiring.weights)
    sheet_panel(place, wiring.sheet, f"the strongest of {wiring.units} units at each cell")
    mosaic(place, wiring.sheet, neighbor_colors(centers(wiring.weights, wiring.sheet))[owner])
    return figure


@styled
def tiling(wiring: Wiring, *, count: int = 36, columns: int = 12, axes: Panels = None) -> Figure:
    """Draw weight maps, one small sheet a unit: the deeper the color, the larger the weight, signs aside.

    Units are taken at even steps through their numbers, not by how they look, and put in the order of their fields'
    places: by rows from the top, in a row from the left.

    Args:
        wiring: The wiring.
        count: Number of units, at least 1.
        columns: Maps in a row, at least 1.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: A number below 1, or the wrong number of Axes.
    """
    for name, value in (("count", count), ("columns", columns)):
        if value < 1:
            raise ConfigError(name, value, "at least 1")
    sheet = wiring.sheet
    units = np.unique(np.linspace(0, wiring.units - 1, min(count, wiring.units)).astype(int))
    columns = min(columns, len(units))
    rows = -(-len(units) // columns)
    place_of = centers(wiring.weights[:, units], sheet)
    units = units[_by_rows(place_of, rows, columns)]
    x0, y0, x1, y1 = sheet.scaffold.bounds
    wide, high = 1.1 * (x1 - x0), 1.1 * (y1 - y0)
    figure, (place,) = panels(axes, 1, size=(WIDTH, 0.35 + (WIDTH - 0.5) * rows * high / (columns * wide)))
    crowd(place)
    place.set(xlim=(x0, x0 + columns * wide), ylim=(y1 - rows * high, y1 + 0.02 * high))
    shade = fade(OURS)
    for number, unit in enumerate(units):
        shift = np.array([number % columns * wide, -(number // columns) * high])
        weight = np.abs(wiring.weights[:, unit])
        share = weight / max(weight.max(), np.finfo(np.float64).tiny)
        seen = share > 0.02  # fainter dots would not be seen
        dots(place, sheet.positions[seen] + shift, 1.3 * sheet.spacing, shade(share[seen]))
        frame = outline(sheet.scaffold.polygon)
        frame.vertices = frame.vertices + shift
        place.add_patch(PathPatch(frame, facecolor="none", edgecolor=MUTED, linewidth=0.4, zorder=ABOVE))
    if axes is None:
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), shade), ax=place, shrink=0.9, pad=0.01, aspect=14
        )
        bar.set_label("weight / largest")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        place.set_title(
            f"{len(units)} of {wiring.units} units, taken at even steps", color=MUTED, zorder=ABOVE
        )
    return figure


def _by_rows(places: Float[np.ndarray, "k 2"], rows: int, columns: int) -> Int[np.ndarray, " k"]:
    """Order places as one reads: the highest ``columns`` first, from left to right, and so on."""
    down = np.argsort(-places[:, 1], kind="stable")
    lines = [down[row * columns : (row + 1) * columns] for row in range(rows)]
    return np.concatenate([line[np.argsort(places[line, 0], kind="stable")] for line in lines])
