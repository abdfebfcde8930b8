"""Weights over the steps of learning."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.measure import organized_on
from devnet.sheet import Wiring
from devnet.sheet.sampling import receptive_fields
from devnet.viz._learning import times
from devnet.viz.style import MUTED, OURS, THEIRS, WIDTH, Panels, panels, powers, styled

_LINES = 150
"""Of more cells so many are drawn by chance: further lines would hide them."""


@styled
def weights_over_time(wiring: Wiring, *, unit: int | None = None, axes: Panels = None) -> Figure:
    """Draw how weights change with learning: one unit's, cell by cell, and of all units how many cells remain.

    Left: a line is a connection of one unit; those that end in its receptive field (at least half of its largest
    weight), and of the others at most 150 by chance. Right: cells in the receptive field, mean over all units, and
    between which numbers the middle 80 % of units lie.

    Args:
        wiring: A wiring; more times are shown with snapshots.
        unit: The unit on the left; None: the organized unit whose wins are nearest to the median.
        axes: Two Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No such unit, or the wrong number of Axes.
    """
    if unit is None:
        good = organized_on(wiring.sheet, wiring.weights, wiring.late_wins)
        far = np.abs(wiring.wins - np.median(wiring.wins))
        unit = int(np.argmin(np.where(good, far, np.inf) if good.any() else far))
    if not 0 <= unit < wiring.units:
        raise ConfigError("unit", unit, f"0 to {wiring.units - 1}")
    figure, (left, right) = panels(axes, 2, size=(WIDTH, 2.1))
    steps, weights = times(wiring)
    kept = receptive_fields(wiring.weights[:, [unit]])[:, 0]
    rows = np.stack([known[:, unit] for known in weights])
    lost = np.flatnonzero(~kept)
    chance = Key(0).stream("weights shown").uniform(0, len(lost))
    lost = lost[np.argsort(chance, kind="stable")[:_LINES]]
    left.plot(steps, rows[:, lost], color=THEIRS, linewidth=0.5, alpha=0.5)
    left.plot(steps, rows[:, kept], color=OURS, linewidth=0.8, alpha=0.8)
    floor = None if wiring.learning.rule.signed else 0
    left.set(xlabel="step of learning", ylabel="weight", ylim=(floor, None), xlim=(0, steps[-1]))
    left.set_title(f"unit {unit}: {kept.sum()} cells stay, {(~kept).sum()} let go", color=MUTED)
    size = np.array([receptive_fields(known).sum(axis=0) for known in weights])
    low, high = np.quantile(size, [0.1, 0.9], axis=1)
    right.fill_between(steps, low, high, color=OURS, alpha=0.25, linewidth=0)
    right.plot(steps, size.mean(axis=1), "o-", color=OURS, markersize=3.5)
    right.set(
        xlabel="step of learning",
        ylabel="cells in a field",
        yscale="log",
        xlim=(0, steps[-1]),
        ylim=(1, None),
    )
    right.set_title("all units: mean, and the middle 80 %", color=MUTED)
    powers(right.yaxis)
    for place in (left, right):
        place.locator_params(axis="x", nbins=5)
        place.xaxis.set_major_formatter("{x:,.0f}")
    return figure
