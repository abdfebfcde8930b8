"""Break-down along damage: which units a network can lose is read off the metric before any is lost."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from _lenet import dense, images, seen
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from devnet.fip import Damage, Euclidean, Network
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.tasks import accuracy
from devnet.viz.style import MUTED, OURS, PATCHES, styled

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)


def _single(module, layer: str, unit: int) -> Damage:
    """Return the loss of one unit's incoming weights and bias."""
    intact = {}
    for kind in ("weight", "bias"):
        mask = np.ones(tuple(module.get_parameter(f"{layer}.{kind}").shape), bool)
        mask[unit] = False
        intact[f"{layer}.{kind}"] = mask
    return Damage(intact)


def run(effort: Effort) -> Found:
    """Cut single units and growing shares of them; compare the outputs' change with the metric's prediction."""
    data = images(effort)
    x = torch.from_numpy(seen(data.x_test[: effort.pick(50, 200, 500)]))
    x_test = seen(data.x_test[: effort.pick(100, 5000, 10_000)])
    began = perf_counter()
    ranks: dict[str, list[float]] = {"1": [], "3": []}
    curves: dict[str, list[list[float]]] = {"units": [], "weights": []}
    kept = {}
    for seed in range(effort.pick(1, 1, 10)):
        start = dense(data, effort, seed)
        network = Network(start)
        local = Euclidean().at(network, x)
        for layer, mine in ranks.items():
            predicted, actual = [], []
            for unit in range(0, start.get_submodule(layer).out_features, effort.pick(10, 2, 1)):
                damaged = _single(start, layer, unit).apply(start)
                change = torch.cat([p.detach().reshape(-1) for p in damaged.parameters()]) - network.weights
                predicted.append(local.quadratic(change))
                with torch.no_grad():
                    moved = damaged(x)
                actual.append(2.0 * float(Euclidean().divergence(moved, local.outputs).mean()))
            mine.append(float(spearmanr(predicted, actual).statistic))
            kept.setdefault(layer, (np.array(predicted), np.array(actual)))
        for kind, make in (("units", Damage.units), ("weights", Damage.weights)):
            hurt = [make(start, share, rng=seed).apply(start) for share in SHARES]
            curves[kind].append([100 * accuracy(m, x_test, data.y_test[: len(x_test)]) for m in hurt])
    seconds = perf_counter() - began
    half = SHARES.index(0.5)
    answers = {
        "first_layer": Answer(ranks["1"], seconds),
        "second_layer": Answer(ranks["3"], seconds),
        "half_of_the_units": Answer([c[half] for c in curves["units"]], seconds),
    }
    return Found(answers, {"units": kept, "curves": curves})


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(6.4, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (layer, (predicted, actual)), color in zip(data["units"].items(), (OURS, PATCHES[3]), strict=True):
        name = "first hidden layer" if layer == "1" else "second hidden layer"
        left.loglog(predicted + 1e-9, actual + 1e-9, ".", color=color, markersize=4, label=name)
    left.axline((1.0, 1.0), (10.0, 10.0), color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
    left.set(xlabel="change of the outputs by one unit's loss, predicted", ylabel="measured")
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
