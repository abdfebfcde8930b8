"""The windows of spike-timing rules: what one pair changes, and how that depends on the rate of pairs."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.dynamics.plasticity import Learner, stdp
from devnet.spec import PairSTDPSpec, TripletSTDPSpec
from devnet.viz.style import FIRE, MUTED, OURS, RULE, THEIRS, WIDTH, Panels, panels, styled

_WEIGHTS = {0.2: THEIRS, 0.5: OURS, 0.8: FIRE}
"""Shares of w_max at which rules whose steps depend on the weight are drawn."""
_PAIRS = 60
_PERIODS = (200, 100, 67, 50, 40, 33, 25, 20)


@styled
def window(rule: PairSTDPSpec | TripletSTDPSpec, *, apart: int = 10, axes: Panels = None) -> Figure:
    """Draw the window of a rule of spike timing, as its law gives it, one step being 1 ms.

    Left: the change of a weight of w_max / 2 by a lone pair of spikes, against t_unit - t_cell (Bi & Poo 1998); where steps
    depend on the weight, of three weights. Right: its change by 60 pairs, against their rate, the unit's spike ``apart``
    steps after the cell's or before it (after Sjoestrom, Turrigiano & Nelson 2001). Weights are not normalized.

    Args:
        rule: The rule.
        apart: Steps between the spikes of a pair on the right.
        axes: Two Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: A rule without spike times, ``apart`` not from 1 to 19, or the wrong number of Axes.
    """
    if not isinstance(rule, PairSTDPSpec | TripletSTDPSpec):
        raise ConfigError("rule", type(rule).__name__, "a PairSTDPSpec or TripletSTDPSpec")
    if not 1 <= apart < _PERIODS[-1]:
        raise ConfigError("apart", apart, f"1 to {_PERIODS[-1] - 1} steps")
    bare = rule.replace(norm="none", upkeep={})
    figure, (left, right) = panels(axes, 2, size=(WIDTH, 2.3))
    span = int(3 * max(rule.tau_plus, rule.tau_minus))
    lags = np.arange(-span, span + 1)
    shown = _WEIGHTS if rule.bounds != "hard" else {0.5: OURS}
    for share, color in shown.items():
        w = share * rule.w_max
        change = [_change(bare, w, [max(0, -lag)], [max(0, lag)]) for lag in lags.tolist()]
        left.plot(lags[lags < 0], np.array(change)[lags < 0], color=color, label=f"w = {share:g} w_max")
        left.plot(lags[lags >= 0], np.array(change)[lags >= 0], color=color)
    if len(shown) > 1:
        left.legend()
    left.set(xlabel="t unit - t cell (steps)", ylabel="change of weight")
    left.set_title(f"one pair: {rule.rule}, {rule.bounds} bounds, {rule.pairing} pairs", color=MUTED)
    for lag, color, text in ((apart, OURS, "unit after cell"), (-apart, FIRE, "unit before cell")):
        change = []
        for period in _PERIODS:
            cell = range(apart, apart + _PAIRS * period, period)
            change.append(_change(bare, rule.w_max / 2, [*cell], [at + lag for at in cell]))
        right.plot(1000 / np.array(_PERIODS), change, "o-", color=color, markersize=3.5, label=text)
    right.legend()
    right.set(xlabel="pairs a second", ylabel=f"change by {_PAIRS} pairs")
    right.set_title(f"{apart} steps apart", color=MUTED)
    for place in (left, right):
        place.axhline(0, color=RULE, linewidth=0.6, zorder=0)
    return figure


def _change(rule: PairSTDPSpec | TripletSTDPSpec, w: float, cell: list[int], unit: list[int]) -> float:
    """Return by how much a weight changes when its cell and its unit fire at the given steps."""
    learner, one, none = Learner.of(np.full((1, 1), w), np.zeros(1)), np.array([0]), np.empty(0, np.int64)
    at_cell, at_unit = set(cell), set(unit)
    for step in range(max(*cell, *unit) + 1):
        stdp.apply(rule, learner, one if step in at_cell else none, one if step in at_unit else none)
    return float(learner.weights[0, 0]) - w
