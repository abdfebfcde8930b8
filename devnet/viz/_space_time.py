"""Waves over a whole recording: where they run at which step, and where they start."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.measure import wave_statistics
from devnet.sheet import Recording
from devnet.viz._waves import called
from devnet.viz.style import (
    ABOVE,
    FIRE,
    GROUND,
    MUTED,
    WIDTH,
    Panels,
    dots,
    fade,
    panels,
    ramp,
    scale_bar,
    sheet_panel,
    styled,
)

FRAMES = 720
"""Columns of a space-time plot: more could not be told apart."""

VISITS = ramp("cividis", 0.08, 0.95)
"""Seldom to often."""


@styled
def space_time(recording: Recording, *, along: str = "x", axes: Panels = None) -> Figure:
    """Draw where along the sheet cells fire, step by step: a wave that travels is a slanted band.

    The sheet is cut into strips of 1.5 spacings across one direction. A pixel is the share of a strip's cells that
    fire in a step, averaged over the steps of a column; white: none, full color: what 0.2 % of the pixels exceed, or the
    largest share where most pixels are white.

    Args:
        recording: Who fired when.
        along: Direction, ``"x"`` or ``"y"``.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: Another direction, or the wrong number of Axes.
    """
    if along not in ("x", "y"):
        raise ConfigError("along", along, "'x' or 'y'")
    figure, (place,) = panels(axes, 1, size=(WIDTH, 2.0))
    sheet = recording.sheet
    where = sheet.positions[:, "xy".index(along)]
    strips = max(2, int(np.ptp(where) / (1.5 * sheet.spacing)))
    edges = np.linspace(where.min(), where.max(), strips + 1)
    strip = np.clip(np.searchsorted(edges, where, side="right") - 1, 0, strips - 1)
    columns = min(FRAMES, recording.steps)
    column = recording.time.astype(np.int64) * columns // recording.steps
    fired = np.bincount(strip[recording.cell] * columns + column, minlength=strips * columns)
    width = np.bincount(np.arange(recording.steps) * columns // recording.steps, minlength=columns)
    cells = np.bincount(strip, minlength=strips)
    share = fired.reshape(strips, columns) / np.maximum(cells, 1)[:, None] / width
    drawn = place.imshow(
        share,
        origin="lower",
        aspect="auto",
        extent=(0, recording.steps, float(edges[0]), float(edges[-1])),
        cmap=fade(FIRE),
        vmin=0,
        vmax=max(float(np.quantile(share, 0.998) or share.max()), 1e-9),
        interpolation="nearest",
    )
    place.set(xlabel="step", ylabel=f"place along {along}, length")
    place.set_title(called(recording), color=MUTED)
    if axes is None:
        bar = figure.colorbar(drawn, ax=place, pad=0.01, aspect=14, extend="max")
        bar.set_label("share of cells firing")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


@styled
def initiation_map(recording: Recording, *, window: int = 1, axes: Panels = None) -> Figure:
    """Draw where waves start, over how often each cell fires.

    A dot is a cell, colored by its spikes per 100 steps. A numbered disk is the place at which a wave was first large
    enough to count, in the order in which they started; ``devnet.measure.wave_statistics`` says what one wave is.

    Args:
        recording: Who fired when.
        window: Steps in a frame; 5 to 10 where a cell fires for only one step as a wave passes.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: A bad window, or the wrong number of Axes.
    """
    found = wave_statistics(recording, window=window)
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 2.75))
    sheet = recording.sheet
    rate = 100.0 * np.bincount(recording.cell, minlength=sheet.n) / recording.steps
    norm = Normalize(0, max(float(np.quantile(rate, 0.98) or rate.max()), 1e-9), clip=True)
    count = "1 wave" if found.waves == 1 else f"{found.waves} waves"
    sheet_panel(place, sheet, f"{count} in {recording.steps} steps: where each started")
    dots(place, sheet.positions, 0.85 * sheet.spacing, VISITS(norm(rate)))
    _numbered(place, found.starts)
    if axes is None:
        scale_bar(place, sheet)
        bar = figure.colorbar(
            ScalarMappable(norm, VISITS), ax=place, shrink=0.8, pad=0.02, aspect=18, extend="max"
        )
        bar.set_label("spikes of a cell per 100 steps")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


_MOST_NUMBERS = 30
"""With more starts than that, numbers would cover the sheet; dots remain."""


def _numbered(place: Axes, starts: Float[np.ndarray, "k 2"]) -> None:
    crowded = len(starts) > _MOST_NUMBERS
    place.scatter(
        *starts.T, s=12 if crowded else 70, c=FIRE, edgecolor=GROUND, linewidth=0.8, zorder=ABOVE + 0.1
    )
    if not crowded:
        look = {"ha": "center", "va": "center", "color": GROUND, "fontsize": 6.5, "weight": "bold"}
        for number, (x, y) in enumerate(starts, 1):
            place.text(x, y, str(number), zorder=ABOVE + 0.2, **look)
