"""Channels of a small convolutional network cut: fresh statistics alone, and recovery without labels."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

from devnet.fip import Damage, recalibrate
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import images, seen
from devnet.tasks import accuracy, recover, train_classifier
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, styled


def run(effort: Effort) -> Found:
    """Cut half of the channels, then measure batch statistics anew, recover, or both."""
    data = images(effort)
    x, x_test = seen(data.x_train), seen(data.x_test)
    some = x[: effort.pick(64, 500, 1000)]
    began = perf_counter()
    scores: dict[str, list[float]] = {}
    for seed in range(effort.pick(1, 1, 5)):
        start = build("small-cnn", data.image_shape, data.classes, rng=seed)
        steps = effort.pick(20, 200, 1500)
        start = train_classifier(
            start, x, data.y_train, steps=steps, batch=64, rate=3e-3, statistics="batch", rng=seed
        )
        damage = Damage.channels(start, 0.5, rng=seed)
        path = recover(start, some, damage=damage, rounds=effort.pick(1, 6, 20), examples=len(some), rng=seed)
        found = {
            "whole": start,
            "damaged": damage.apply(start),
            "fresh statistics": recalibrate(damage.apply(start), some),
            "recovered": path.module(),
        }
        for name, module in found.items():
            scores.setdefault(name, []).append(100 * accuracy(module, x_test, data.y_test))
    seconds = perf_counter() - began
    got = {name: np.array(v) for name, v in scores.items()}
    answers = {
        "lost": Answer(list(got["whole"] - got["recovered"]), seconds),
        "ahead": Answer(list(got["recovered"] - got["fresh statistics"]), seconds),
    }
    return Found(answers, scores)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(3.4, 2.0), layout="constrained")
    axes = figure.subplots()
    means = [np.mean(v) for v in data.values()]
    colors = [OURS if name == "recovered" else PATCHES[1] for name in data]
    axes.barh(range(len(data)), means, color=colors, height=0.6)
    for place, mean in enumerate(means):
        axes.annotate(
            f"{mean:.1f}", (mean, place), xytext=(2, 0), textcoords="offset points", va="center", fontsize=7
        )
    axes.set_yticks(range(len(data)), list(data))
    axes.set(xlabel="test accuracy, %", xlim=(0, 109))
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
