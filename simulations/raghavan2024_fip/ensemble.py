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
        for share in (0.1, 0.05, 0.2)
        for radius in (0.05, 0.1)
    },
    "snapshots": {
        f"rate {rate:g}": {"rate": rate, "share": 0.0} for rate in (3e-3, 1e-3, 2e-3, 6e-3, 1e-2, 1.6e-2)
    },
}
ONE, TEN, MOVED = "one network", "independent", "independent, changed images"


def trained(images: ImageSet, length: int, rng: tuple[int, int], share: float = 0.0, **moved) -> nn.Module:
    """Return one network, trained at the cost of so many steps; a share of its images may be changed ones."""
    start = build("lenet-300-100", images.image_shape, images.classes, rng=rng)
    if not share:
        return train_classifier(start, images.x_train, images.y_train, steps=length, rng=rng)
    return collected(images, start, moved | {"share": share, "rate": 1e-3}, length, rng, count=1)[0]


def collected(
    images: ImageSet, first: nn.Module, plan: dict, length: int, rng, count=COUNT
) -> list[nn.Module]:
    """Return networks behind a first one that cost together as much as it; a changed example costs two passes."""
    steps = round(length / count / (1 + plan["share"]))
    return diversify(
        first, images.x_train, images.y_train, count=count, steps=steps, bounds=(0.0, 1.0), rng=rng, **plan
    )


def ensembles(
    images: ImageSet, chosen: dict[str, dict], length: int, seed: int
) -> dict[str, list[nn.Module]]:
    """Return all ensembles of a seed by name: along paths, independent ones, the first network alone."""
    plain, changed = (
        [trained(images, length, (seed, number), **plan) for number in range(COUNT)]
        for plan in ({}, chosen["path"])
    )
    found = {name: collected(images, plain[0], plan, length, seed) for name, plan in chosen.items()}
    return found | {TEN: plain, MOVED: changed, ONE: plain[:1]}


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
        surrogate = trained(images, length, (seed, COUNT))
        carried = perturbed(surrogate, x_test[:few], y_test[:few], **ATTACK)
        for name, members in ensembles(images, chosen, length, seed).items():
            p = mean_probabilities(members, x_test)
            direct = perturbed(members, x_test[:few], y_test[:few], **ATTACK)
            numbers = [right(p, y_test), 100 * calibration_error(p, y_test)]
            numbers += [right(mean_probabilities(members, moved), y_test) for moved in (carried, direct)]
            scores.setdefault(name, []).append(numbers)
    seconds = perf_counter() - began
    got = {name: np.array(v).T for name, v in scores.items()}
    ours = got["path"]
    values = {
        "accuracy": ours[0] - got[TEN][0],
        "calibration": ours[1] - got[TEN][1],
        "transfer": ours[2] - got[TEN][2],
        "snapshots": ours[0] - got["snapshots"][0],
        "accuracy_changed": ours[0] - got[MOVED][0],
        "calibration_changed": ours[1] - got[MOVED][1],
        "transfer_changed": ours[2] - got[MOVED][2],
        "white_box": ours[3],
    }
    return Found({name: Answer(list(v), seconds) for name, v in values.items()}, got)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(6.8, 2.1), layout="constrained")
    titles = (
        "test\naccuracy, %",
        "calibration\nerror, %",
        "accuracy, attack\ncarried over, %",
        "accuracy,\nwhite-box PGD, %",
    )
    colors = dict(zip(data, (OURS, PATCHES[1], PATCHES[4], PATCHES[3], THEIRS), strict=True))
    panels = figure.subplots(1, len(titles), sharey=True)
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
