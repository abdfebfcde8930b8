"""Ten networks along a path from one LeNet, at a fifth of the cost of ten independent ones."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure

from devnet.data import load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.tasks import train_classifier
from devnet.tasks.ensemble import calibration_error, diversify, mean_probabilities, perturbed
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, THEIRS, styled

COUNT, RADIUS, SHARE = 10, 0.1, 0.5


def run(effort: Effort) -> Found:
    """Train; collect by path, by snapshots and independently; measure accuracy, calibration, attacks."""
    torch.set_num_threads(1)
    images = load_images(effort.pick("digits", "mnist", "mnist"))
    x, y = images.x_train, images.y_train
    x_test, y_test = torch.from_numpy(images.x_test.copy()), torch.from_numpy(images.y_test.copy())
    few = effort.pick(50, 500, 2000)
    length = effort.pick(20, 600, 3750)
    # The path's share of the cost is one training more; a changed example costs two passes.
    steps, short = round(length / COUNT / (1 + SHARE)), round(length / COUNT)
    began = perf_counter()
    scores: dict[str, list[list[float]]] = {}
    for seed in range(effort.pick(1, 1, 5)):

        def trained(number: int, seed: int = seed):
            start = build("lenet-300-100", images.image_shape, images.classes, rng=(seed, number))
            return train_classifier(start, x, y, steps=length, rng=(seed, number))

        independent = [trained(number) for number in range(COUNT)]
        first = independent[0]
        ensembles = {
            "path": diversify(
                first, x, y, count=COUNT, steps=steps, radius=RADIUS, share=SHARE, bounds=(0.0, 1.0), rng=seed
            ),
            "snapshots": diversify(first, x, y, count=COUNT, steps=short, share=0.0, rng=seed),
            "independent": independent,
            "one network": [first],
        }
        surrogate = trained(COUNT)
        carried = perturbed(surrogate, x_test[:few], y_test[:few], RADIUS, steps=10, bounds=(0.0, 1.0))
        for name, members in ensembles.items():
            p = mean_probabilities(members, x_test)
            direct = perturbed(members, x_test[:few], y_test[:few], RADIUS, steps=10, bounds=(0.0, 1.0))

            def right(p, y=y_test) -> float:
                return 100 * float((p.argmax(1) == y[: len(p)]).float().mean())

            scores.setdefault(name, []).append(
                [
                    right(p),
                    100 * calibration_error(p, y_test),
                    right(mean_probabilities(members, carried)),
                    right(mean_probabilities(members, direct)),
                ]
            )
    seconds = perf_counter() - began
    got = {name: np.array(v).T for name, v in scores.items()}
    values = {
        "accuracy": got["path"][0] - got["independent"][0],
        "calibration": got["path"][1] - got["independent"][1],
        "transfer": got["path"][2] - got["independent"][2],
        "snapshots": got["path"][0] - got["snapshots"][0],
        "white_box": got["path"][3],
    }
    return Found({name: Answer(list(v), seconds) for name, v in values.items()}, got)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(6.8, 2.0), layout="constrained")
    titles = (
        "test accuracy, %",
        "calibration error, %",
        "accuracy, attack carried over, %",
        "accuracy, white-box PGD, %",
    )
    colors = dict(zip(data, (OURS, PATCHES[1], PATCHES[4], THEIRS), strict=True))
    panels = figure.subplots(1, 4, sharey=True)
    for number, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        for place, name in enumerate(data):
            values = data[name][number]
            axes.plot(values, [place] * len(values), "o", color=colors[name], markersize=4)
        axes.set_xlabel(title, fontsize=7)
        axes.set_ylim(-0.5, len(data) - 0.5)
        axes.margins(x=0.2)
    panels[0].set_yticks(range(len(data)), list(data))
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
