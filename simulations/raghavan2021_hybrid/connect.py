"""Two independently trained networks joined by a curve on which neither loss nor accuracy suffers, without labels."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import dense, images, seen
from devnet.study.tuning import tuned
from devnet.tasks.connection import (
    Curve,
    barrier,
    connect,
    match_activations,
    match_weights,
    straight,
)
from devnet.viz.style import OURS, PATCHES, THEIRS, styled

LOOKS = {
    "straight": (THEIRS, ":"),
    "straight, weights matched": (PATCHES[1], "--"),
    "straight, activations matched": (PATCHES[7], "--"),
    "Bézier with labels, matched": (PATCHES[3], "-"),
    "Bézier, no labels, not matched": (PATCHES[4], "-"),
    "Bézier, no labels, matched": (OURS, "-"),
}


FREE, LABELED = "Bézier, no labels, matched", "Bézier with labels, matched"
CANDIDATES = {name: {f"rate {rate:g}": rate for rate in (3e-3, 1e-3, 1e-2)} for name in (FREE, LABELED)}
"""Rates of Adam."""


def heights(curve: Curve, x_test: Tensor, y_test: Tensor, points: int) -> np.ndarray:
    """Return loss and minus the accuracy, %, along a curve: ``[points, 2]``."""
    found = []
    for place in np.linspace(0.0, 1.0, points):
        with torch.no_grad():
            z = curve.module(float(place))(x_test)
        right = (z.argmax(1) == y_test).float().mean()
        found.append((float(cross_entropy(z, y_test)), -100 * float(right)))
    return np.array(found)


def run(effort: Effort) -> Found:
    """Join neighbours in a chain of networks; scan loss and accuracy between the ends."""
    data = images(effort)
    x, x_test = seen(data.x_train), torch.from_numpy(seen(data.x_test))
    y_test = torch.from_numpy(data.y_test.copy())
    steps, points = effort.pick(10, 1500, 3000), effort.pick(3, 17, 33)
    rates = tuned(__file__, "connect", CANDIDATES)
    free, labeled = ({"steps": steps, "rate": rates[name]} for name in (FREE, LABELED))
    began = perf_counter()
    chain = [dense(data, effort, seed) for seed in range(effort.pick(2, 2, 6))]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOOKS}
    kept = {}
    for number, (first, last) in enumerate(pairwise(chain)):
        matched = match_weights(first, last)
        curves = {
            "straight": straight(first, last),
            "straight, weights matched": straight(first, matched),
            "straight, activations matched": straight(first, match_activations(first, last, x[:5000])),
            LABELED: connect(first, matched, x, labels=data.y_train, rng=number, **labeled),
            FREE: connect(first, matched, x, rng=number, **free),
        }
        if effort is not Effort.QUICK:
            curves["Bézier, no labels, not matched"] = connect(first, last, x, rng=number, **free)
        for name, curve in curves.items():
            along = heights(curve, x_test, y_test, points)
            found[name].append((barrier(list(along[:, 0])), barrier(list(along[:, 1]))))
            kept.setdefault(name, along[:, 0])
    seconds = perf_counter() - began
    ours, labelled = np.array(found[FREE]), np.array(found[LABELED])
    lines = np.array([np.array(found[n])[:, 0] for n in LOOKS if n.startswith("straight, ")]).min(0)
    values = {
        "loss": ours[:, 0],
        "accuracy": ours[:, 1],
        "below_lines": lines - ours[:, 0],
        "behind_labels": ours[:, 0] - labelled[:, 0],
    }
    return Found({name: Answer(list(v), seconds) for name, v in values.items()}, (kept, found))


@styled
def plot(data) -> Figure:
    kept, found = data
    figure = Figure(figsize=(6.8, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [name for name in LOOKS if name in kept]
    for name in names:
        color, dash = LOOKS[name]
        left.semilogy(np.linspace(0, 1, len(kept[name])), kept[name], color=color, linestyle=dash, label=name)
    left.set(xlabel="place on the curve", ylabel="test loss")
    for place, name in enumerate(reversed(names)):
        heights = np.array(found[name])[:, 0] + 1e-5
        right.plot(heights, [place] * len(heights), "o", color=LOOKS[name][0], markersize=3.5, alpha=0.7)
    right.axvline(0.004, color=THEIRS, linewidth=0.6, linestyle=":")
    right.set_xscale("log")
    right.set_yticks(range(len(names)), list(reversed(names)))
    right.set(xlabel="barrier of the test loss + 0.00001 (dotted: bar)", ylim=(-0.5, len(names) - 0.5))
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
