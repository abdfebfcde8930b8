"""A small convolutional network with batch norm, made sparse without labels."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import images, seen
from devnet.tasks import accuracy, sparsify, train_classifier
from devnet.tasks.models import build
from devnet.viz.style import OURS, THEIRS, styled


def run(effort: Effort) -> Found:
    """Train, make 95 % of the weights zero along a path, and measure the test accuracy along it."""
    data = images(effort)
    x, x_test = seen(data.x_train), seen(data.x_test)
    steps = effort.pick(5, 250, 1000)
    began = perf_counter()
    lost, along = [], None
    for seed in range(effort.pick(1, 1, 5)):
        start = build("small-cnn", data.image_shape, data.classes, rng=seed)
        length = effort.pick(20, 300, 2000)
        trained = train_classifier(
            start, x, data.y_train, steps=length, batch=64, rate=3e-3, statistics="batch", rng=seed
        )
        path = sparsify(trained, x, sparsity=0.95, steps=steps, batch=64, rate=3e-3, rng=seed)
        whole = accuracy(trained, x_test, data.y_test)
        lost.append(100 * (whole - accuracy(path.module(), x_test, data.y_test)))
        if along is None:
            rates = [100 * accuracy(path.module(i), x_test, data.y_test) for i in range(len(path))]
            along = (path.sparsity, np.array(rates))
    return Found({"lost_at_95": Answer(lost, perf_counter() - began)}, along)


@styled
def plot(data) -> Figure:
    zero, rates = data
    figure = Figure(figsize=(3.4, 2.4), layout="constrained")
    axes = figure.subplots()
    steps = np.linspace(0, 1, len(rates))
    axes.plot(steps, rates, color=OURS, marker="o", markersize=3, label="test accuracy")
    axes.plot(steps, 100 * zero, color=THEIRS, linestyle="--", label="weights at zero")
    axes.set(xlabel="share of the path", ylabel="%", ylim=(0, 101))
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
