"""The one look of all figures: colors, type, panels, sheets drawn to scale.

Colors can be told apart with any color vision and on light and dark ground. Neutral ones are few and unique, so that
the page can replace them by its theme's. Nothing here or in the figures touches pyplot.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import shapely
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import NullFormatter
from scipy.spatial import Voronoi

from devnet._core.errors import ConfigError
from devnet.sheet import Sheet

INK, MUTED, RULE, GROUND = "#20262d", "#5c6670", "#c9ced4", "#fefefe"
"""Text and axes; secondary text; hairlines; the ground. The page replaces these, and those below that words are written in, by its own."""

OURS, THEIRS, FIRE, UNIT = "#0b72b5", "#7d8792", "#c8401a", "#c8401a"
"""What grew, what it is compared with, cells that fire, layer-II units."""

RESTING = "#8a949fa6"
"""Cells of which nothing is said; lets the ground through."""

PATCHES = ("#3a55a4", "#ddaa33", "#1f9e77", "#cc6677", "#66a9d9", "#8f4a9e", "#9aa02f", "#e2814a")
"""Colors of pools that lie side by side; told apart by lightness as well as by hue."""

LINES = (OURS, PATCHES[3], PATCHES[2], PATCHES[5], PATCHES[0], *PATCHES[6:])
"""Colors of lines side by side; the first four stand out at 3 to 1 and more from light ground and from dark."""

WIDTH = 7.2
"""Width of a full figure in inches: two columns of a journal."""

ABOVE = 5.0
"""Height at which outlines and words lie; cells and their connections lie below."""

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "text.color": INK,
    "text.usetex": False,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "figure.facecolor": GROUND,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

P = ParamSpec("P")
R = TypeVar("R")
Panels = Axes | Sequence[Axes] | None
"""Where a figure is drawn: a new Figure (None), one Axes, or as many Axes as it has panels."""


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function in this style and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


def ramp(name: str, low: float, high: float) -> Colormap:
    """Return the part of a perceptual map between two of its places."""
    return LinearSegmentedColormap.from_list(f"{name}_part", mpl.colormaps[name](np.linspace(low, high, 128)))


def fade(color: str) -> Colormap:
    """Return the map from nothing to a color: it reads on light and on dark ground."""
    rgba = np.repeat(to_rgba_array(color), 128, axis=0)
    rgba[:, 3] = np.linspace(0.0, 1.0, 128)
    return LinearSegmentedColormap.from_list(f"fade_{color}", rgba)


AGES = ramp("viridis", 0.35, 0.92)
"""Early to late; the first cells stand out at 3 to 1 from dark ground too."""


def by_birth(sheet: Sheet) -> Normalize:
    """Return the scale of the cells' colors; the few that are born last share its end."""
    return Normalize(0, max(1, int(np.quantile(sheet.born, 0.98))), clip=True)


def panels(
    axes: Panels,
    count: int,
    *,
    columns: int | None = None,
    size: tuple[float, float] | None = None,
    **grid: Any,
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels: new ones, or those that a user handed in.

    Args:
        axes: None for a new figure; else the panels.
        count: How many panels are drawn.
        columns: Panels in a row of a new figure; all by default.
        size: Width and height of a new figure in inches.
        **grid: What ``Figure.subplots`` takes.

    Returns:
        Figure and panels.

    Raises:
        ConfigError: Another number of Axes was handed in.
    """
    if axes is None:
        columns = min(columns or count, count)
        rows = -(-count // columns)
        figure = Figure(figsize=size, layout=grid.pop("layout", "constrained"))
        made = figure.subplots(rows, columns, squeeze=False, **grid).ravel().tolist()
        for unused in made[count:]:
            unused.remove()
        return figure, made[:count]
    given = [axes] if isinstance(axes, Axes) else list(axes)
    if len(given) != count:
        raise ConfigError("axes", f"{len(given)} Axes", f"{count} Axes, one a panel, or None")
    root = given[0].get_figure(root=True)
    if not isinstance(root, Figure):
        raise ConfigError("axes", "Axes without a figure", "Axes of a Figure")
    return root, given


def outline(shape: Any) -> Outline:
    """Return a shapely polygon, or several, as one matplotlib path, holes included."""
    rings = [
        ring
        for polygon in shapely.get_parts(shape)
        if polygon.geom_type == "Polygon"
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    if not rings:
        return Outline(np.empty((0, 2)))
    codes: list[np.ndarray] = []
    for ring in rings:
        code = np.full(len(ring.coords), Outline.LINETO, dtype=Outline.code_type)
        code[0], code[-1] = Outline.MOVETO, Outline.CLOSEPOLY
        codes.append(code)
    return Outline(np.concatenate([np.asarray(ring.coords)[:, :2] for ring in rings]), np.concatenate(codes))


def crowd(axes: Axes) -> None:
    """Prepare a panel for clouds of cells: what lies under ``ABOVE`` becomes one picture even in vector files."""
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_rasterization_zorder(ABOVE - 1.0)


def sheet_panel(axes: Axes, sheet: Sheet, title: str = "") -> None:
    """Prepare a panel that shows a sheet to scale, inside the outline of its scaffold."""
    x0, y0, x1, y1 = sheet.scaffold.bounds
    pad = 0.02 * max(x1 - x0, y1 - y0)
    crowd(axes)
    axes.set(xlim=(x0 - pad, x1 + pad), ylim=(y0 - pad, y1 + pad))
    axes.set_title(title, loc="center", zorder=ABOVE)
    axes.add_patch(
        PathPatch(
            outline(sheet.scaffold.polygon), facecolor="none", edgecolor=MUTED, linewidth=0.6, zorder=ABOVE
        )
    )


def scale_bar(axes: Axes, sheet: Sheet) -> None:
    """Put a bar of five length units under the sheet's lower left corner."""
    x0, y0, x1, _ = sheet.scaffold.bounds
    length = 5.0 if x1 - x0 < 60 else 10.0 ** np.floor(np.log10((x1 - x0) / 3))
    y = y0 - 0.05 * (x1 - x0)
    look = {"color": INK, "linewidth": 1.2, "clip_on": False, "solid_capstyle": "butt", "zorder": ABOVE}
    axes.plot([x0, x0 + length], [y, y], **look)
    name = f"{length:g} length units"
    if not axes.get_xlabel():
        axes.set_xlabel(" ", fontsize=13)  # room for the words below
    text = axes.text(x0, y - 0.02 * (x1 - x0), name, ha="left", va="top", fontsize=6.5, zorder=ABOVE)
    text.set_in_layout(False)  # may reach under the next panel


def dots(
    axes: Axes, points: Float[np.ndarray, "n 2"], diameter: float, colors: Any, *, zorder: float = 2.0
) -> EllipseCollection:
    """Draw dots of a diameter in the sheet's own length, whatever the size of the panel."""
    width = np.full(len(points), diameter)
    marks = EllipseCollection(
        width, width, np.zeros(len(points)), units="xy", offsets=points, offset_transform=axes.transData
    )
    marks.set(facecolor=colors, edgecolor="none", linewidth=0, zorder=zorder)
    axes.add_collection(marks, autolim=False)
    return marks


def mosaic(axes: Axes, sheet: Sheet, colors: Float[np.ndarray, "n 4"]) -> PolyCollection:
    """Fill the sheet: around each cell the places that are nearer to it than to any other, in its color."""
    tiles, cell = _tiles(sheet)
    filled = PolyCollection(tiles, facecolor=colors[cell], edgecolor=colors[cell], linewidth=0.25)
    filled.set_zorder(1.0)
    axes.add_collection(filled, autolim=False)
    return filled


@functools.lru_cache(maxsize=4)
def _tiles(sheet: Sheet) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the Voronoi polygons of the cells, cut at the scaffold, and to which cell each belongs."""
    x0, y0, x1, y1 = sheet.scaffold.bounds
    far = 10.0 * max(x1 - x0, y1 - y0)
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    guards = middle + far * np.array(
        [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    )  # so that every cell's region is closed
    diagram = Voronoi(np.concatenate([sheet.positions, guards]))
    corners = [diagram.vertices[diagram.regions[diagram.point_region[i]]] for i in range(sheet.n)]
    cut = shapely.intersection(np.array([shapely.Polygon(c) for c in corners]), sheet.scaffold.polygon)
    parts, cell = shapely.get_parts(cut, return_index=True)
    keep = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON.value
    return [np.asarray(p.exterior.coords) for p in parts[keep]], cell[keep]


def powers(axis: Axis) -> None:
    """Label an axis of equal ratios at powers of ten, written as 0.1, 10 or 1e-5: the style reads no formulas."""
    axis.set_major_formatter(lambda value, _: f"{value:g}".replace("e-0", "e-").replace("e+0", "e"))
    axis.set_minor_formatter(NullFormatter())


def caption(axes: Axes, text: str, color: str = MUTED) -> None:
    """Put a line of secondary text under a panel."""
    look = {"ha": "center", "va": "top", "fontsize": 7.5, "color": color, "zorder": ABOVE}
    axes.text(0.5, -0.03, text, transform=axes.transAxes, **look)
