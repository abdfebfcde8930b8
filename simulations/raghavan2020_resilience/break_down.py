"""Break-down along damage: which units a network can lose is read off the metric before any is lost.

The loss of one unit before a linear read-out is predicted exactly, since rectified units are homogeneous; so sets of units of
both layers are cut at once.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from devnet.fip import Damage, Euclidean, Network
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import dense, images, seen
from devnet.tasks import accuracy
from devnet.viz.style import MUTED, OURS, PATCHES, styled

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)


def run(effort: Effort) -> Found:
    """Cut random sets of units; compare the outputs' change with what the metric of the whole network predicts."""
    data = images(effort)
    x = torch.from_numpy(seen(data.x_test[: effort.pick(50, 200, 500)]))
    x_test = seen(data.x_test[: effort.pick(100, 5000, 10_000)])
    began = perf_counter()
    ranks: dict[float, list[float]] = {0.1: [], 0.3: []}
    curves: dict[str, list[list[float]]] = {"units": [], "weights": []}
    kept = {}
    for seed in range(effort.pick(1, 1, 5)):
        start = dense(data, effort, seed)
        network = Network(start)
        local = Euclidean().at(network, x)
        for share, mine in ranks.items():
            predicted, actual = [], []
            for draw in range(effort.pick(5, 60, 200)):
                damaged = Damage.units(start, share, rng=(seed, draw)).apply(start)
                change = torch.cat([p.detach().reshape(-1) for p in damaged.parameters()]) - network.weights
                predicted.append(local.quadratic(change))
                with torch.no_grad():
                    moved = damaged(x)
                actual.append(2.0 * float(Euclidean().divergence(moved, local.outputs).mean()))
            mine.append(float(spearmanr(predicted, actual).statistic))
            kept.setdefault(share, (np.array(predicted), np.array(actual)))
        for kind, make in (("units", Damage.units), ("weights", Damage.weights)):
            hurt = [make(start, share, rng=seed).apply(start) for share in SHARES]
            curves[kind].append([100 * accuracy(m, x_test, data.y_test[: len(x_test)]) for m in hurt])
    seconds = perf_counter() - began
    half = SHARES.index(0.5)
    answers = {
        "tenth": Answer(ranks[0.1], seconds),
        "third": Answer(ranks[0.3], seconds),
        "half_of_the_units": Answer([c[half] for c in curves["units"]], seconds),
    }
    return Found(answers, {"units": kept, "curves": curves})


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(6.4, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (share, (predicted, actual)), color in zip(data["units"].items(), (OURS, PATCHES[3]), strict=True):
        name = f"{100 * share:g} % of the units cut"
        left.loglog(predicted, actual, ".", color=color, markersize=4, label=name)
    left.axline((10.0, 10.0), (100.0, 100.0), color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
    left.set(xlabel="change of the outputs, predicted", ylabel="measured")
    left.legend(loc="upper left")
    for (kind, runs), color, mark in zip(data["curves"].items(), (OURS, PATCHES[3]), "os", strict=True):
        mean, spread = np.mean(runs, 0), np.std(runs, 0)
        right.errorbar(
            100 * np.array(SHARES),
            mean,
            spread,
            color=color,
            marker=mark,
            markersize=3.5,
            label=f"{kind} cut",
        )
    right.set(xlabel="share cut, %", ylabel="test accuracy, %", ylim=(0, 102))
    right.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
