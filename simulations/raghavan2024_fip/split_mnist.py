"""Split MNIST, class-incremental: five tasks of two digits, few stored inputs, one head."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _runs import Candidate, candidates, learned
from matplotlib.figure import Figure

from devnet.data import ImageSet, load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.tuning import tuned
from devnet.tasks.continual import (
    AGEM,
    EWC,
    Affine,
    InvariantReplay,
    LwF,
    Method,
    Naive,
    ProjectedReplay,
    Replay,
    er,
    split_classes,
)
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, styled

FEW, MANY = 20, 200
PANELS = ((FEW, False), (MANY, False), (FEW, True), (MANY, True))
"""Stored a task; whether stored images are turned and shifted a little whenever they are recalled."""
FAMILIES: dict[str, tuple[Method, ...]] = {
    "path": (InvariantReplay(0.3), InvariantReplay(1.0)),
    "DER++": (Replay(0.5, 0.5), Replay(0.2, 1.0)),
    "path, no labels": (InvariantReplay(0.3, 0.0, 1.0), InvariantReplay(1.0, 0.0, 1.0)),
    "DER, no labels": (Replay(1.0, 0.0), Replay(0.3, 0.0)),
    "ER": (er(),),
    "A-GEM": (AGEM(),),
    "naive": (Naive(),),
    "EWC": (EWC(100.0), EWC(10.0)),
    "LwF": (LwF(1.0), LwF(3.0)),
    "DER++, projected": tuple(ProjectedReplay(damping=d, enough=MANY + 1) for d in (1.0, 0.3)),
}
STORELESS = ("naive", "EWC", "LwF")
RATES = {
    (FEW, False): (0.01, 0.03, 0.02, 0.1, 0.05, 0.4, 0.15, 0.8),
    (MANY, False): (0.15, 0.1, 0.4, 0.25, 0.6, 0.8, 1.0, 1.5),
    (FEW, True): (0.15, 0.1, 0.05, 0.25, 0.4, 0.6),
    (MANY, True): (0.15, 0.1, 0.05, 0.25, 0.4, 0.6),
}
"""By panel; methods of two strengths try every second one with each. Few images shown as they are ask for low ones."""
QUICK = ("path", "DER++", "path, no labels", "DER, no labels")


def section(stored: int, changed: bool) -> str:
    """Return a panel's name in ``tuned.json``."""
    return f"split_mnist, {stored} stored{', changed' if changed else ''}"


def tried(stored: int, changed: bool) -> dict[str, dict[str, Candidate]]:
    """Return the candidates of a panel."""
    names = ("path", "DER++", "ER", "A-GEM") if changed else FAMILIES
    held = {n: FAMILIES[n] for n in names if stored == FEW or n not in STORELESS}
    return candidates(held, RATES[stored, changed])


def score(
    images: ImageSet, candidate: Candidate, seed: int, stored: int, changed: bool, steps: int = 300
) -> float:
    """Return the mean accuracy on all tasks after the last, %: 64 new and 64 stored images a step."""
    size = "-".join(map(str, (images.x_train[0].size, 100, 100, 10)))
    after = learned(
        lambda s: build(f"mlp:{size}", images.image_shape, 10, rng=s),
        split_classes(images.x_train, images.y_train),
        split_classes(images.x_test, images.y_test),
        candidate[0],
        seed,
        rate=candidate[1],
        steps=steps,
        batch=64,
        stored=stored,
        augment=Affine(images.image_shape) if changed else None,
    )
    return float(after.mean())


def run(effort: Effort) -> Found:
    """Learn five tasks, 300 steps each, with every method."""
    images = load_images(effort.pick("digits", "mnist", "mnist"))
    began = perf_counter()
    scores: dict[tuple[int, bool], dict[str, list[float]]] = {}
    for stored, changed in PANELS:
        chosen = tuned(__file__, section(stored, changed), tried(stored, changed))
        scores[stored, changed] = {
            name: [
                score(images, chosen[name], seed, stored, changed, effort.pick(10, 300, 300))
                for seed in range(effort.pick(1, 2, 10))
            ]
            for name in chosen
            if effort is Effort.FULL or name in QUICK
        }
    for name in STORELESS:
        if name in scores[FEW, False]:
            scores[MANY, False][name] = scores[FEW, False][name]
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
        names = [name for name in reversed(FAMILIES) if name in data[stored, False]]
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
