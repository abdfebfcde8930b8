"""Split MNIST, class-incremental: five tasks of two digits, few stored inputs, one head."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _runs import learned
from matplotlib.figure import Figure

from devnet.data import load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.tasks.continual import (
    AGEM,
    EWC,
    Affine,
    InvariantReplay,
    LwF,
    Naive,
    ProjectedReplay,
    der,
    der_plus_plus,
    er,
    split_classes,
)
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, styled

FEW, MANY = 20, 200
OURS_BY = {
    (FEW, False): InvariantReplay(2.0, 1.0),
    (MANY, False): InvariantReplay(0.3, 1.0),
    (FEW, True): InvariantReplay(0.5, 1.0),
    (MANY, True): InvariantReplay(0.3, 1.0),
}
"""Chosen on 10 000 held-out training images, three seeds."""


def _methods(stored: int, changed: bool, effort: Effort) -> dict:
    """Return the methods of one panel; those that replay nothing see no changed images."""
    found = {"path": OURS_BY[stored, changed], "DER++": der_plus_plus()}
    if not changed:
        found |= {"path, no labels": InvariantReplay(0.3, 0.0, 1.0), "DER, no labels": der()}
    if effort is Effort.FULL:
        found |= {"ER": er(), "A-GEM": AGEM()}
        if not changed:
            found |= {"naive": Naive(), "EWC": EWC(), "LwF": LwF()}
            found |= {"DER++, projected": ProjectedReplay(enough=MANY + 1)}
    return found


def run(effort: Effort) -> Found:
    """Learn five tasks, 300 steps each of 64 new and 64 stored images, with every method."""
    images = load_images(effort.pick("digits", "mnist", "mnist"))
    train = split_classes(images.x_train, images.y_train)
    test = split_classes(images.x_test, images.y_test)
    size = "-".join(map(str, (images.x_train[0].size, 100, 100, 10)))
    began = perf_counter()
    scores: dict[tuple[int, bool], dict[str, list[float]]] = {}
    for stored, changed in OURS_BY:
        for name, method in _methods(stored, changed, effort).items():
            scores.setdefault((stored, changed), {})[name] = [
                float(
                    learned(
                        lambda s: build(f"mlp:{size}", images.image_shape, 10, rng=s),
                        train,
                        test,
                        method,
                        seed,
                        steps=effort.pick(10, 300, 300),
                        batch=64,
                        stored=stored,
                        augment=Affine(images.image_shape) if changed else None,
                    ).mean()
                )
                for seed in range(effort.pick(1, 2, 5))
            ]
    seconds = perf_counter() - began
    values: dict[str, np.ndarray] = {}
    for (stored, changed), found in scores.items():
        label = f"{'few' if stored == FEW else 'many'}{'_changed' if changed else ''}"
        values[label] = np.array(found["path"])
        rivals = [np.array(v) for n, v in found.items() if not n.startswith("path")]
        values[f"{label}_ahead"] = values[label] - max(rivals, key=np.mean)
        if not changed:
            values[f"{label}_no_labels"] = np.array(found["path, no labels"])
            values[f"{label}_no_labels_ahead"] = values[f"{label}_no_labels"] - found["DER, no labels"]
    return Found({name: Answer(list(v), seconds) for name, v in values.items()}, scores)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(6.8, 2.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, stored in zip(panels, (FEW, MANY), strict=True):
        names = list(reversed(data[stored, False]))
        for place, name in enumerate(names):
            color = OURS if name.startswith("path") else PATCHES[1]
            for changed, mark, face in ((False, "o", color), (True, "D", "none")):
                values = data[stored, changed].get(name, [])
                axes.plot(
                    values,
                    [place] * len(values),
                    mark,
                    color=color,
                    markerfacecolor=face,
                    markersize=3.5,
                    alpha=0.8,
                )
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="test accuracy, all tasks at the end, %", title=f"{stored} stored a task")
    figure.supxlabel(
        "filled: stored images as they are; open: turned and shifted a little whenever recalled", fontsize=7
    )
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
