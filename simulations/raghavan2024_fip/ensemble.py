"""Ten networks along a path from one LeNet, at a fifth of the cost of ten independent ones."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from devnet.data import ImageSet, load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.tuning import tuned
from devnet.tasks import train_classifier
from devnet.tasks.ensemble import calibration_error, diversify, mean_probabilities, perturbed
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, THEIRS, styled

COUNT = 10
ATTACK = {"radius": 0.1, "steps": 10, "bounds": (0.0, 1.0)}
"""How ensembles are attacked."""
CANDIDATES = {
    "path": {
        f"share {share:g}, radius {radius:g}": {"share": share, "radius": radius}
        for share in (0.1, 0.25)
        for radius in (0.05, 0.1)
    },
    "snapshots": {f"rate {rate:g}": {"rate": rate, "share": 0.0} for rate in (3e-3, 1e-3, 2e-3, 6e-3)},
}


def trained(images: ImageSet, length: int, rng: tuple[int, int]) -> nn.Module:
    """Return one network, trained for so many steps."""
    start = build("lenet-300-100", images.image_shape, images.classes, rng=rng)
    return train_classifier(start, images.x_train, images.y_train, steps=length, rng=rng)


def collected(images: ImageSet, first: nn.Module, plan: dict, length: int, seed: int) -> list[nn.Module]:
    """Return networks behind a first one that cost together as much as it; a changed example costs two passes."""
    steps = round(length / COUNT / (1 + plan["share"]))
    return diversify(
        first, images.x_train, images.y_train, count=COUNT, steps=steps, bounds=(0.0, 1.0), rng=seed, **plan
    )


def right(p: Tensor, y: Tensor) -> float:
    """Return the accuracy, %."""
    return 100 * float((p.argmax(1) == y[: len(p)]).float().mean())


def run(effort: Effort) -> Found:
    """Train; collect by path, by snapshots and independently; measure accuracy, calibration, attacks."""
    torch.set_num_threads(1)
    images = load_images(effort.pick("digits", "mnist", "mnist"))
    x_test, y_test = torch.from_numpy(images.x_test.copy()), torch.from_numpy(images.y_test.copy())
    few, length = effort.pick(50, 500, 2000), effort.pick(20, 600, 3750)
    chosen = tuned(__file__, "ensemble", CANDIDATES)
    began = perf_counter()
    scores: dict[str, list[list[float]]] = {}
    for seed in range(effort.pick(1, 1, 5)):
        independent = [trained(images, length, (seed, number)) for number in range(COUNT)]
        first, surrogate = independent[0], trained(images, length, (seed, COUNT))
        ensembles = {name: collected(images, first, plan, length, seed) for name, plan in chosen.items()}
        carried = perturbed(surrogate, x_test[:few], y_test[:few], **ATTACK)
        for name, members in (ensembles | {"independent": independent, "one network": [first]}).items():
            p = mean_probabilities(members, x_test)
            direct = perturbed(members, x_test[:few], y_test[:few], **ATTACK)
            numbers = [right(p, y_test), 100 * calibration_error(p, y_test)]
            numbers += [right(mean_probabilities(members, moved), y_test) for moved in (carried, direct)]
            scores.setdefault(name, []).append(numbers)
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
