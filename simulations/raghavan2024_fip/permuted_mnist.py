"""Permuted MNIST: the same digits under ten orders of their pixels, one head, 200 stored inputs in all."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _runs import learned
from matplotlib.figure import Figure

from devnet.data import load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.tasks.continual import AGEM, EWC, GPM, MetricAnchor, der_plus_plus, er, permute_inputs
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, THEIRS, styled

METHODS = {
    "path": MetricAnchor(strength=2.0),
    "GPM": GPM(),
    "DER++": der_plus_plus(),
    "ER": er(),
    "A-GEM": AGEM(),
    "EWC": EWC(strength=10.0),
}
"""Chosen on 10 000 held-out training images, 3 000 others, one seed."""


def run(effort: Effort) -> Found:
    """Learn ten tasks, five epochs each in batches of 10, with every method; the short form has 1/50 of the images."""
    images = load_images(effort.pick("digits", "mnist", "mnist"))
    most = effort.pick(20, 1200, 60_000)
    count = effort.pick(2, 10, 10)
    train = permute_inputs(images.x_train[:most], images.y_train[:most], count=count, rng=7)
    test = permute_inputs(images.x_test, images.y_test, count=count, rng=7)
    size = "-".join(map(str, (images.x_train[0].size, 100, 100, 10)))
    began = perf_counter()
    scores = {
        name: [
            learned(
                lambda s: build(f"mlp:{size}", images.image_shape, 10, rng=s),
                train,
                test,
                method,
                seed,
                steps=5 * most // 10,
                batch=10,
                stored=20,
                rate=0.05,
            )
            for seed in range(effort.pick(1, 1, 3))
        ]
        for name, method in METHODS.items()
    }
    seconds = perf_counter() - began
    means = {name: np.array([v.mean() for v in runs]) for name, runs in scores.items()}
    best = max((v for n, v in means.items() if n != "path"), key=np.mean)
    answers = {
        "path": Answer(list(means["path"]), seconds),
        "ahead": Answer(list(means["path"] - best), seconds),
        "ahead_gpm": Answer(list(means["path"] - means["GPM"]), seconds),
    }
    return Found(answers, scores)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(3.6, 2.5), layout="constrained")
    axes = figure.subplots()
    colors = (OURS, *PATCHES[1:5], THEIRS)
    for (name, runs), color, mark in zip(data.items(), colors, "osD^v<", strict=True):
        mean = np.mean(runs, 0)
        axes.plot(range(1, len(mean) + 1), mean, color=color, marker=mark, markersize=3, label=name)
    axes.set(xlabel="task", ylabel="test accuracy after the last task, %")
    axes.legend(loc="lower right", ncols=2)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
