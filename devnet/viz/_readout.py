"""What a linear read-out tells from images seen through pools: a dot a seed, beside controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.viz.style import INK, MUTED, OURS, RULE, THEIRS, WIDTH, Panels, panels, styled

KINDS = {
    "grown": "grown",
    "hand_made": "hand-made",
    "random_discs": "random discs",
    "random_scattered": "random scattered",
}
"""Pools that are compared, from the top."""


@styled
def readout(table: Mapping[str, Any], *, axes: Panels = None) -> Figure:
    """Draw test accuracies: a dot a seed, a stroke at their mean, and the mean on raw pixels as an upright line.

    Args:
        table: The part ``readout`` of a summary: ``data`` and ``rows`` of ``units``, ``kind`` and ``accuracy`` (per
            cent: ``mean``, ``sd``, ``values``).
        axes: One Axes a number of pools, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: A table without pools, or the wrong number of Axes.
    """
    rows = [row for row in table["rows"] if row["kind"] in KINDS]
    counts = sorted({row["units"] for row in rows})
    if not counts:
        raise ConfigError("table", "no rows of pools", f"rows whose kind is one of {', '.join(KINDS)}")
    raw = next((row for row in table["rows"] if row["kind"] == "raw"), None)
    figure, places = panels(axes, len(counts), size=(WIDTH, 1.95), sharex=True, sharey=True)
    for place, count in zip(places, counts, strict=True):
        mine = {row["kind"]: row["accuracy"] for row in rows if row["units"] == count}
        found = [(KINDS[kind], mine[kind], kind == "grown") for kind in KINDS if kind in mine]
        dot_rows(place, found)
        if raw is not None:
            place.axvline(raw["accuracy"]["mean"], color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
            place.set_title(f"- - raw pixels: {raw['accuracy']['mean']:.1f}", loc="right", color=MUTED)
        place.set(xlabel=f"test accuracy on {table['data']}, %", title=f"{count} pools")
    return figure


def dot_rows(place: Axes, rows: Sequence[tuple[str, Mapping[str, Any], bool]], *, digits: int = 1) -> None:
    """Draw rows of dots with a stroke at the mean and mean ± sd in words; the first row on top.

    Args:
        place: Where.
        rows: Name, numbers (``mean``, ``sd``, ``values``), and whether it is ours.
        digits: Decimals of the words.
    """
    for number, (_, numbers, ours) in enumerate(rows):
        values, color = np.asarray(numbers["values"], float), OURS if ours else THEIRS
        place.axhline(number, color=RULE, linewidth=0.5, zorder=0)
        place.plot(values, number + _jitter(len(values)), "o", color=color, markersize=3.2, alpha=0.55, mew=0)
        place.plot([numbers["mean"]] * 2, [number - 0.32, number + 0.32], color=color, linewidth=2)
        words = f"{numbers['mean']:.{digits}f} ± {numbers['sd']:.{digits}f}"
        place.annotate(
            words,
            (1.01, number),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            color=INK if ours else MUTED,
        )
    place.set(yticks=range(len(rows)), yticklabels=[name for name, *_ in rows], ylim=(len(rows) - 0.4, -0.6))
    place.locator_params(axis="x", nbins=6, integer=True)
    place.tick_params(axis="y", length=0, labelcolor=INK)
    place.spines["left"].set_visible(False)


def _jitter(count: int) -> np.ndarray:
    """Spread dots across their row, in the order of the seeds."""
    return np.linspace(-0.18, 0.18, count) if count > 1 else np.zeros(count)
