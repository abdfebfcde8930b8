"""Images with 100 labels in all: what a stack learns from the others without labels, against untrained networks."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
from _images import (
    Graded,
    answers,
    best_readout,
    features,
    generator,
    grown_pools,
    learned_units,
    random_filters,
    readout,
    sized,
    spread,
    stored_filters,
    told,
)
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.data import load_images
from devnet.study.figure import Answer, Effort, Found, main

LABELS = 10
"""A class."""
DIRECTIONS = 150
"""Leading directions that are kept of the lower stage's answers."""
UNTRAINED = ("pixels", "nearest", "random", "stored", "graded")
"""Networks that learned nothing from images without labels: a read-out of pixels; the nearest image with a label (winner
read-out of stored images); random filters; stored patches as filters; those with graded answers of stored images."""


def run(effort: Effort) -> Found:
    """Learn without labels, read out with 100, on both sets; the test images are asked once a seed."""
    rows: dict[str, list[dict[str, float]]] = {}
    spent = {}
    for name in effort.pick(("digits",), ("mnist", "fashion-mnist"), ("mnist", "fashion-mnist")):
        began = process_time()
        rows[name] = [accuracies(name, effort, seed) for seed in range(effort.pick(1, 2, 10))]
        spent[name] = process_time() - began
    answered: dict[str, Answer] = {}
    for short, name in (("mnist", "mnist"), ("fashion", "fashion-mnist")):
        found, seconds = (rows.get(name) or rows["digits"]), spent.get(name, 0.0)
        best = max(UNTRAINED, key=lambda kind: np.mean([row[kind] for row in found]))
        answered[f"{short}_gain"] = Answer([100 * (row["ours"] - row[best]) for row in found], seconds)
        for kind in ("ours", "same_readout", *UNTRAINED):
            answered[f"{short}_{kind}"] = Answer([100 * row[kind] for row in found], 0.0)
    return Found(answered, rows)


def accuracies(name: str, effort: Effort, seed: int, *, on: str = "test") -> dict[str, float]:
    """Return the accuracy of every network on one set.

    Args:
        name: The set.
        effort: How many images and units.
        seed: Draws labels, filters, units, and the pools' waves.
        on: ``"test"``, or ``"validation"`` for choosing constants.

    Returns:
        By network.
    """
    key = Key(seed).child(name)
    images = load_images(name)
    many, held = effort.pick(800, 6000, 15_000), effort.pick(200, 2000, 2000)
    order = generator(key, "order").permutation(len(images.x_train))
    seen, kept = order[:many], order[-held:]
    x, y = sized(images.x_train[seen]), images.y_train[seen]
    x_held, y_held = sized(images.x_train[kept]), images.y_train[kept]
    asked = (sized(images.x_test), images.y_test) if on == "test" else (x_held, y_held)
    draws = generator(key, "labels")
    few = np.concatenate(
        [draws.choice(np.flatnonzero(y == c), LABELS, replace=False) for c in range(images.classes)]
    )
    one_hot = np.eye(images.classes)

    def right(outputs: np.ndarray) -> float:
        return float((outputs.argmax(axis=1) == asked[1]).mean())

    def plain(make: Any) -> float:
        weights = best_readout((make(x[few]), one_hot[y[few]]), (make(x_held), y_held))
        return right(told(make(asked[0]), weights))

    sites = (x.shape[1] - 7) // 2 + 1
    pools = grown_pools(sites, effort.pick(3, 5, 5), effort.pick(2000, 150_000, 150_000), seed)
    count = effort.pick(16, 64, 64)
    drawn = random_filters(count, generator(key, "filters"))
    found = {
        "pixels": plain(lambda part: part.reshape(len(part), -1)),
        "random": plain(lambda part: features(part, drawn, pools)),
    }
    stored = stored_filters(x, count, generator(key, "filters"))
    f, f_held, f_asked = (features(part, stored, pools) for part in (x, x_held, asked[0]))

    def stage(*parts: np.ndarray) -> list[np.ndarray]:
        center = parts[0].mean(axis=0)
        axes = np.linalg.eigh((parts[0] - center).T @ (parts[0] - center))[1][:, -DIRECTIONS:]
        return [(part - center) @ axes for part in parts]

    pairs = {"few": f[few], "held": f_held, "asked": f_asked}
    found["stored"] = right(
        told(pairs["asked"], best_readout((pairs["few"], one_hot[y[few]]), (pairs["held"], y_held)))
    )
    near = (pairs["asked"] @ pairs["few"].T).argmax(axis=1)
    found["nearest"] = float((y[few][near] == asked[1]).mean())
    p, p_held, p_asked = stage(f, f_held, f_asked)
    units = effort.pick(60, 600, 1000)
    memory = p[generator(key, "stored").choice(len(p), units, replace=False)]
    graded = Graded.of(memory[: units * 2 // 5])
    best = best_readout((graded(p[few]), one_hot[y[few]]), (graded(p_held), y_held))
    found["graded"] = right(told(graded(p_asked), best))
    learned = learned_units(p, units, generator(key, "stored"))
    for kind, rows in (("ours", learned), ("same_readout", memory)):
        found[kind] = right(taught(p, rows, few, one_hot[y[few]])(p_asked))
    return found


def taught(x: np.ndarray, units: np.ndarray, few: np.ndarray, targets: np.ndarray) -> Any:
    """Return the read-out of units with few labels.

    Labels spread through the units' associations; with the outputs of a read-out of the labeled images alone they name
    every image; a linear read-out of the units' graded answers is fitted to these names.

    Args:
        x: (N, d), images without labels, and among them those with.
        units: (M, d).
        few: Which have labels.
        targets: (l, classes), these.

    Returns:
        A function of images.
    """
    graded = Graded.of(units[: len(units) * 2 // 5])
    z, g = answers(x, units), graded(x)
    through = z @ spread(z, few, targets)
    through = through / np.maximum(through.sum(axis=1, keepdims=True), 1e-9)
    alone = np.exp(4 * told(g, readout(g[few], targets, 1e-1)))
    names = (through + alone / alone.sum(axis=1, keepdims=True)).argmax(axis=1)
    names[few] = targets.argmax(axis=1)
    weights = readout(g, np.eye(targets.shape[1])[names], 1e-4)
    return lambda part: told(graded(part), weights)


def plot(data: Any) -> Figure:
    """Draw all accuracies, a dot a seed."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    kinds = ("ours", "same_readout", *UNTRAINED)
    for panel, (name, rows) in zip(
        figure.subplots(1, len(data), squeeze=False)[0], data.items(), strict=True
    ):
        for place, kind in enumerate(kinds):
            values = [100 * row[kind] for row in rows]
            color = "#0b72b5" if kind == "ours" else "#7d8792"
            panel.plot(np.full(len(values), place), values, ".", color=color, alpha=0.6)
            panel.plot([place - 0.3, place + 0.3], [np.mean(values)] * 2, color=color)
        panel.set_xticks(range(len(kinds)), [kind.replace("_", "\n") for kind in kinds], fontsize=7)
        panel.set_title(f"{name}, {LABELS} labels a class")
        panel.set_ylabel("test accuracy (%)")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
