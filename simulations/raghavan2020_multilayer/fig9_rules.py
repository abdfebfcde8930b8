"""The windows of the rules by which a layer may learn: what their laws change for prescribed activity, against closed forms.

Spikes of a cell at times c and of its unit at times u, in steps; a pair with u >= c strengthens. For hard bounds, with
w far from them, and E(t, s, tau) = exp(-(t - s) / tau)::

    up    sum_u sum_{c <= u} E(u, c, tau_plus)  (a2_plus  + a3_plus  sum_{u' < u} E(u, u', tau_y))
    down  sum_c sum_{u < c}  E(c, u, tau_minus) (a2_minus + a3_minus sum_{c' < c} E(c, c', tau_x))

with a3 = 0 for pairs; where only nearest spikes pair, the last of c and of u alone. A lone pair under soft bounds: up times
(w_max - w), down times w; under mixed ones the latter alone. Of n cells with weights w k fire, the unit is active by f::

    k winners, by rates   w_i + eta f (1 if i fires), times sum w / (sum w + eta f k); by spikes f is 1
    Oja                   eta y (x_i - y w_i),          x_i = 1 / sqrt(k) if i fires, y = w . x
    BCM                   eta y (y - theta) x_i,        and theta by (y^2 - theta) / tau_theta
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from time import perf_counter
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from devnet.dynamics.plasticity import Learner, rule_of
from devnet.spec import BCMSpec, KWinnersSpec, OjaSpec, PairSTDPSpec, RuleSpec, TripletSTDPSpec
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz import window
from devnet.viz.style import FIRE, INK, LINES, MUTED, OURS, RULE, THEIRS, WIDTH, styled

Timed = PairSTDPSpec | TripletSTDPSpec
PAIR, TRIPLET = PairSTDPSpec(norm="none", w_max=10.0), TripletSTDPSpec(norm="none", w_max=10.0)
NEAREST, SOFT = PAIR.replace(pairing="nearest"), PAIR.replace(bounds="soft")
MIXED = PAIR.replace(bounds="mixed")
TIMED = {"all": PAIR, "nearest": NEAREST, "triplet": TRIPLET}
LAGS = np.arange(-100, 101, 5)
"""Of a lone pair: steps from the cell's spike to the unit's."""
PAIRS, APART, PERIODS = 60, 10, np.array([200, 100, 67, 50, 40, 33, 25, 20])
"""Of trains, as ``viz.window`` has them: pairs, steps between the spikes of one, steps from one to the next."""
SHARES = {0.2: THEIRS, 0.5: OURS, 0.8: FIRE}
"""Of w_max: weights at which a rule is asked whose steps depend on the weight."""
CELLS, FIRING = 100, 10
"""Cells of a unit that learns from rates, and those that fire."""
RATES = np.linspace(0.0, 2.0, 21)
WINNERS = {post: KWinnersSpec(norm="sum", weight=1.0, post=post) for post in ("rate", "spike")}
OJA, BCM, THETAS = OjaSpec(), BCMSpec(), (0.5, 1.0)


def run(effort: Effort) -> Found:
    """Let the laws learn from prescribed activity and hold what they change against closed forms."""
    began = perf_counter()
    off = {
        "pair": _off(_lone(PAIR, 0.5 * PAIR.w_max, lag) for lag in LAGS),
        "weight": _off(
            _lone(rule, s * PAIR.w_max, lag) for rule in (SOFT, MIXED) for s in SHARES for lag in LAGS
        ),
        "trains": _off(_train(name, *train) for name in ("all", "nearest") for train in _trains()),
        "triplet": _off(_train("triplet", *train) for train in _trains()),
        "k_winners": _off(_winners(post, f) for post in WINNERS for f in RATES[1:]),
        "oja": _off(_oja(y) for y in RATES),
        "bcm": _off(_bcm(y, theta) for y in RATES for theta in THETAS),
    }
    spent = perf_counter() - began
    return Found({name: Answer([value], spent if name == "pair" else 0.0) for name, value in off.items()})


def changed(
    spec: RuleSpec, weights: np.ndarray, steps: Iterable[tuple[Any, float]], theta: float = 0.0
) -> np.ndarray:
    """Return what a rule's law changes of one unit.

    Args:
        spec: The rule.
        weights: (n,), of the unit.
        steps: Cells that fire, and how active the unit is, step by step.
        theta: The unit's own threshold of learning, of the BCM rule.

    Returns:
        (n + 1,), changes of the weights, and of theta or the trace that stands in its place.
    """
    learner, law = Learner.of(weights[:, None].copy(), np.zeros(1)), cast("Any", rule_of(spec).teach)
    learner.post[0] = theta
    for cells, f in steps:
        law(spec, learner, np.asarray(cells, np.int64), np.array([f]))
    return np.append(learner.weights[:, 0] - weights, learner.post[0] - theta)


Pair = tuple[np.ndarray, np.ndarray]
"""Measured, and in closed form."""


def _off(pairs: Iterable[Pair]) -> float:
    """Return the largest deviation over the largest change."""
    measured, closed = (
        np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*pairs, strict=True)
    )
    return float(np.abs(measured - closed).max() / np.abs(closed).max())


def _spikes(spec: Timed, w: float, cell: np.ndarray, unit: np.ndarray) -> np.ndarray:
    cells, units = set(cell.tolist()), set(unit.tolist())
    steps = (([0] if t in cells else [], float(t in units)) for t in range(max(cells | units) + 1))
    return changed(spec, np.array([w]), steps)[:1]


def _closed(spec: Timed, cell: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the change by spikes at these times, in order: the sums above."""
    three = isinstance(spec, TripletSTDPSpec)
    a = (
        (spec.a2_plus, spec.a2_minus, spec.a3_plus, spec.a3_minus)
        if three
        else (spec.a_plus, spec.a_minus, 0, 0)
    )
    taus = (spec.tau_y, spec.tau_x) if three else (1.0, 1.0)

    def trace(at: int, times: np.ndarray, tau: float) -> float:
        return float(np.exp(-(at - times[-1 if spec.pairing == "nearest" else 0 :]) / tau).sum())

    up = sum(
        trace(u, cell[cell <= u], spec.tau_plus) * (a[0] + a[2] * trace(u, unit[unit < u], taus[0]))
        for u in unit
    )
    down = sum(
        trace(c, unit[unit < c], spec.tau_minus) * (a[1] + a[3] * trace(c, cell[cell < c], taus[1]))
        for c in cell
    )
    return np.array([up - down])


def _lone(spec: PairSTDPSpec, w: float, lag: int) -> Pair:
    cell, unit = np.array([max(0, -lag)]), np.array([max(0, lag)])
    factor = {"hard": 1.0, "soft": spec.w_max - w if lag >= 0 else w, "mixed": 1.0 if lag >= 0 else w}
    return _spikes(spec, w, cell, unit), factor[spec.bounds] * _closed(spec, cell, unit)


def _trains() -> list[tuple[int, int]]:
    return [(int(period), lag) for period in PERIODS for lag in (APART, -APART)]


@cache
def _train(name: str, period: int, lag: int) -> Pair:
    spec = TIMED[name]
    cell = np.arange(APART, APART + PAIRS * period, period)
    return _spikes(spec, spec.w_max / 2, cell, cell + lag), _closed(spec, cell, cell + lag)


def _winners(post: str, f: float) -> Pair:
    spec, w, fires = WINNERS[post], np.full(CELLS, 1.0 / CELLS), np.arange(CELLS) < FIRING
    gain = spec.eta * (f if post == "rate" else 1.0)
    closed = (w + gain * fires) / (1.0 + gain * FIRING) - w
    return changed(spec, w, [(np.flatnonzero(fires), f)])[:-1], closed


def _oja(y: float) -> Pair:
    x = (np.arange(CELLS) < FIRING) / FIRING**0.5
    w = y * x + 0.1 * (x == 0)
    return changed(OJA, w, [(np.flatnonzero(x), 1.0)])[:-1], OJA.eta * y * (x - y * w)


def _bcm(y: float, theta: float) -> Pair:
    x = (np.arange(CELLS) < FIRING) / FIRING**0.5
    closed = np.append(BCM.eta * y * (y - theta) * x, (y**2 - theta) / BCM.tau_theta)
    return changed(BCM, y * x + 0.1 * (x == 0), [(np.flatnonzero(x), 1.0)], theta), closed


_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 3.5,
    "markerfacecolor": "none",
    "markeredgewidth": 0.7,
    "color": INK,
    "linestyle": "none",
    "zorder": 3,
}


@styled
def plot(data: Any) -> Figure:
    """Draw all windows: lines are what the laws change, rings the closed forms."""
    figure = Figure(figsize=(WIDTH, 7.6), layout="constrained")
    axes = figure.subplots(4, 2)
    for row, name in ((axes[0], "all"), (axes[2], "triplet")):
        rule = TIMED[name]
        window(rule, apart=APART, axes=list(row))
        _lines(row[0], LAGS, (_lone(rule, rule.w_max / 2, lag) for lag in LAGS), line=False)
        for lag in (APART, -APART):
            _lines(row[1], 1000 / PERIODS, (_train(name, p, lag) for p in PERIODS.tolist()), line=False)
    axes[0, 0].plot([], [], label="closed form", **_RING)
    _bounded(axes[1, 0])
    _nearest(axes[1, 1])
    _by_winners(axes[3, 0])
    _by_rates(axes[3, 1])
    for panel in (axes[1, 0], axes[1, 1], axes[3, 0], axes[3, 1]):
        panel.axhline(0, color=RULE, linewidth=0.6, zorder=0)
    for panel in (axes[0, 0], axes[1, 0], axes[1, 1], axes[3, 0], axes[3, 1]):
        panel.legend()
    for letter, panel in zip("abcdefgh", axes.flat, strict=True):
        panel.text(-0.1, 1.05, letter, transform=panel.transAxes, ha="right", weight="bold")
    return figure


def _bounded(axes: Any) -> None:
    for spec, style in ((SOFT, "-"), (MIXED, "--")):
        for share, color in SHARES.items():
            for lags in (LAGS[LAGS < 0], LAGS[LAGS >= 0]):
                pairs = (_lone(spec, share * spec.w_max, lag) for lag in lags)
                name = f"w = {share:g} w_max" if spec is SOFT and lags[0] < 0 else ""
                _lines(axes, lags, pairs, color=color, linestyle=style, label=name)
    axes.set_title("one pair: soft bounds; dashed, mixed ones", color=MUTED)
    axes.set(xlabel="t unit - t cell (steps)", ylabel="change of weight")


def _nearest(axes: Any) -> None:
    for rule, style in (("all", "-"), ("nearest", "--")):
        for lag, color, name in ((APART, OURS, "unit after cell"), (-APART, FIRE, "unit before cell")):
            pairs = (_train(rule, period, lag) for period in PERIODS.tolist())
            look = {"color": color, "linestyle": style, "label": name if rule == "all" else ""}
            _lines(axes, 1000 / PERIODS, pairs, **look)
    axes.set_title("trains: all pairs; dashed, nearest spikes alone", color=MUTED)
    axes.set(xlabel="pairs a second", ylabel=f"change by {PAIRS} pairs")


def _by_winners(axes: Any) -> None:
    for post, color in zip(WINNERS, LINES, strict=False):
        for cell, style in ((0, "-"), (CELLS - 1, "--")):
            pairs = ([part[cell] for part in _winners(post, f)] for f in RATES[1:])
            name = f"learns by its {post}" if cell == 0 else ""
            _lines(axes, RATES[1:], pairs, color=color, linestyle=style, label=name)
    axes.set_title("k winners; dashed, of a cell that does not fire", color=MUTED)
    axes.set(xlabel="activity of the unit", ylabel="change of weight")


def _by_rates(axes: Any) -> None:
    found = {"Oja": [_oja(y) for y in RATES]}
    found |= {f"BCM, theta = {theta:g}": [_bcm(y, theta) for y in RATES] for theta in THETAS}
    for (name, pairs), color in zip(found.items(), LINES, strict=False):
        _lines(axes, RATES, ([part[0] for part in pair] for pair in pairs), color=color, label=name)
    axes.set_title("Oja and BCM, of a cell that fires", color=MUTED)
    axes.set(xlabel="rate y of the unit", ylabel="change of weight")


def _lines(axes: Any, x: np.ndarray, pairs: Iterable[Any], *, line: bool = True, **look: Any) -> None:
    """Draw what was measured as a line, and closed forms as rings, not more than lie well side by side."""
    measured, closed = (np.ravel(part) for part in zip(*pairs, strict=True))
    if line:
        axes.plot(x, measured, **look)
    every = 1 + len(x) // 12
    axes.plot(x[::every], closed[::every], **_RING)


if __name__ == "__main__":
    main(__file__, run, plot)
