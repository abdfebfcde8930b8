"""The metric of the weights: its spectrum, and how well it predicts what a step does to the outputs."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.fip import Euclidean, Fisher, Network, Spectrum, predict_change
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import dense, images, seen
from devnet.viz.style import OURS, PATCHES, styled

SIZES = (0.03, 0.1, 0.3, 1.0)


def run(effort: Effort) -> Found:
    """Diagonalize the metric on test images, and step along random directions and eigenvectors."""
    data = images(effort)
    count = effort.pick(10, 100, 200)
    began = perf_counter()
    found: dict[str, list[float]] = {n: [] for n in ("random_euclidean", "random_fisher", "rank", "top_ten")}
    kept = {}
    for seed in range(effort.pick(1, 1, 5)):
        network = Network(dense(data, effort, seed).double())
        x = torch.from_numpy(seen(data.x_test[:count])).double()
        drawn = Key(seed).stream("directions").normal(0, 20 * len(network.weights))
        directions = torch.from_numpy(drawn).double().view(20, -1)
        directions /= directions.norm(dim=1, keepdim=True)
        spectra = {}
        for name, metric in (("euclidean", Euclidean()), ("fisher", Fisher())):
            local = metric.at(network, x)
            spectra[name] = Spectrum.exact(local, 1)
            told = predict_change(local, directions, SIZES)
            worst = SIZES.index(0.3)
            found[f"random_{name}"].append(float(told.r_squared[: worst + 1].min()))
            kept.setdefault(name, (spectra[name].values.numpy(), told.predicted.numpy(), told.actual.numpy()))
        values = spectra["fisher"].values
        found["top_ten"].append(float(values[:10].sum() / values.sum()))
        found["rank"].append(spectra["euclidean"].effective_rank / spectra["fisher"].effective_rank)
    seconds = perf_counter() - began
    return Found({name: Answer(values, seconds) for name, values in found.items()}, kept)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(6.4, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    looks = {"euclidean": (OURS, "Euclidean, JᵀJ"), "fisher": (PATCHES[3], "Fisher, JᵀFJ")}
    for name, (color, label) in looks.items():
        values, predicted, actual = data[name]
        left.loglog(np.arange(1, len(values) + 1), values, color=color, label=label)
        right.loglog(predicted.ravel(), actual.ravel(), ".", color=color, markersize=4, label=label)
    low, high = right.get_xlim()
    right.loglog([low, high], [low, high], color="#5c6670", linewidth=0.6, linestyle=":", zorder=0)
    left.set(xlabel="number of the eigenvalue", ylabel="eigenvalue", ylim=(1e-8, None))
    right.set(xlabel="change of the outputs, predicted", ylabel="measured")
    left.legend(loc="lower left")
    right.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
