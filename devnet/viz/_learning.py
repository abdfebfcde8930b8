"""How pools form: receptive fields at the kept snapshots, and the units' numbers over time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.measure import organized_on, sheet_rms_radius, weighted_rms_radius
from devnet.sheet import Wiring
from devnet.viz._pools import centers, draw_fields, neighbor_colors, spread_units
from devnet.viz.style import MUTED, OURS, WIDTH, Panels, panels, styled


def times(wiring: Wiring) -> tuple[Int[np.ndarray, " t"], list[Float[np.ndarray, "n M"]]]:
    """Return the steps at which weights are known, from 0 to the end, and those weights."""
    kept = () if wiring.snapshots is None else wiring.snapshots
    known: dict[int, np.ndarray] = dict(zip(wiring.snapshot_steps.tolist(), kept, strict=True))
    known |= {0: wiring.initial_weights, wiring.steps: wiring.weights}
    return np.array(sorted(known)), [np.asarray(known[step], np.float64) for step in sorted(known)]


@styled
def pools_forming(wiring: Wiring, *, shown: int = 24, axes: Panels = None) -> Figure:
    """Draw receptive fields at each time at which the weights were kept; colors as in ``pools``.

    Args:
        wiring: A wiring, with snapshots.
        shown: Number of units, at least 1.
        axes: One Axes a time (step 0, the snapshots, the end), or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No unit to show, or the wrong number of Axes.
    """
    if shown < 1:
        raise ConfigError("shown", shown, "at least 1")
    steps, weights = times(wiring)
    figure, places = panels(
        axes, len(steps), size=(WIDTH, 0.3 + 1.1 * WIDTH / len(steps)), layout="compressed"
    )
    chosen = spread_units(wiring.weights, shown)
    colors = neighbor_colors(centers(wiring.weights[:, chosen], wiring.sheet))
    for place, step, known in zip(places, steps, weights, strict=True):
        draw_fields(place, wiring.sheet, known[:, chosen], colors, f"step {step:,}")
    return figure


@styled
def learning_curves(wiring: Wiring, *, axes: Panels = None) -> Figure:
    """Draw the share of organized units, and the units' radii, over the steps of learning.

    A unit is organized as in ``devnet.measure``; that it won late in the run is asked of the whole run. The radius is
    the weighted rms radius over the sheet's, along its surface, signs aside: dot, the mean; bar, the middle 80 % of units.

    Args:
        wiring: A wiring, with snapshots.
        axes: Two Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: The wrong number of Axes.
    """
    figure, (left, right) = panels(axes, 2, size=(WIDTH, 1.9))
    steps, weights = times(wiring)
    places, surface = wiring.sheet.positions, wiring.sheet.scaffold.surface
    share = [100.0 * organized_on(wiring.sheet, known, wiring.late_wins).mean() for known in weights]
    radius = [weighted_rms_radius(np.abs(known), places, surface) for known in weights]
    ratio = np.array(radius) / sheet_rms_radius(places, surface)
    _line(left, steps, np.array(share), "units organized, %", (0, 105))
    low, high = np.nanquantile(ratio, [0.1, 0.9], axis=1)
    right.vlines(steps, low, high, color=OURS, alpha=0.4, linewidth=2.5)
    _line(right, steps, np.nanmean(ratio, axis=1), "pool radius / sheet radius", (0, 1.05))
    right.axhline(0.5, color=MUTED, linewidth=0.6, linestyle=(0, (4, 3)))
    right.annotate(
        "organized: below", (steps[-1], 0.5), (0, 3), textcoords="offset points", ha="right", color=MUTED
    )
    right.set_title("dot: mean of units; bar: the middle 80 %", color=MUTED)
    return figure


def _line(
    place: Axes, steps: np.ndarray, values: np.ndarray, label: str, limits: tuple[float, float]
) -> None:
    place.plot(steps, values, "o-", color=OURS, markersize=3.5)
    place.set(
        xlabel="step of learning", ylabel=label, ylim=limits, xlim=(-0.02 * steps[-1], 1.02 * steps[-1])
    )
    place.locator_params(axis="x", nbins=5)
    place.xaxis.set_major_formatter("{x:,.0f}")
