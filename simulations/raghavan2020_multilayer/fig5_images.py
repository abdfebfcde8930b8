"""Images with 100 labels in all: what a stack learns from the others without labels, against untrained networks."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from _images import (
    Graded,
    answers,
    at_length_1,
    best_readout,
    features,
    generator,
    grown_pools,
    lasting,
    learned_units,
    moved,
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
LASTING = 50
"""Directions of the lower stage's answers that are learned from motion."""
LEADING = 150
"""Directions that are kept in their place where nothing moves: those of largest variance."""
UNTRAINED = ("pixels", "nearest", "random", "stored", "copies", "graded")
"""Networks that learned nothing from images without labels: a read-out of pixels; the nearest image with a label (winner
read-out of stored images); random filters; stored patches as filters; those with three moved copies of every image
with a label; those with graded answers of stored images."""
TAUGHT = ("ours", "same_readout", "still")
"""With images without labels: the stack; stored images in place of its units; the stack when nothing ever moves."""


def run(effort: Effort) -> Found:
    """Learn without labels, read out with 100, on both sets; the test images are asked once a seed."""
    rows: dict[str, list[dict[str, float]]] = {}
    spent = {}
    for name in effort.pick(("digits",), ("mnist", "fashion-mnist"), ("mnist", "fashion-mnist")):
        began = perf_counter()
        rows[name] = [accuracies(name, effort, seed) for seed in range(effort.pick(1, 2, 10))]
        spent[name] = perf_counter() - began
    answered: dict[str, Answer] = {}
    for short, name in (("mnist", "mnist"), ("fashion", "fashion-mnist")):
        found, seconds = (rows.get(name) or rows["digits"]), spent.get(name, 0.0)
        best = max(UNTRAINED, key=lambda kind: np.mean([row[kind] for row in found]))
        answered[f"{short}_gain"] = Answer([100 * (row["ours"] - row[best]) for row in found], seconds)
        for kind in (*TAUGHT, *UNTRAINED):
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

    found["stored"] = right(told(f_asked, best_readout((f[few], one_hot[y[few]]), (f_held, y_held))))
    near = (f_asked @ f[few].T).argmax(axis=1)
    found["nearest"] = float((y[few][near] == asked[1]).mean())
    motion = generator(key, "motion")
    copies = np.concatenate([f[few], *(features(moved(x[few], motion), stored, pools) for _ in range(3))])
    best = best_readout((copies, np.tile(one_hot[y[few]], (4, 1))), (f_held, y_held))
    found["copies"] = right(told(f_asked, best))

    units, center = effort.pick(60, 600, 1000), f.mean(axis=0)
    leading = np.linalg.eigh((f - center).T @ (f - center))[1][:, -LEADING:]
    p, p_held, p_asked = ((part - center) @ leading for part in (f, f_held, f_asked))
    graded = Graded.of(memory(p, units, key)[: units * 2 // 5])
    best = best_readout((graded(p[few]), one_hot[y[few]]), (graded(p_held), y_held))
    found["graded"] = right(told(graded(p_asked), best))

    axes = lasting(f, features(moved(x, motion), stored, pools), LASTING)
    s, s_asked = (at_length_1((part - center) @ axes) for part in (f, f_asked))
    learned = learned_units(s, units, generator(key, "stored"))
    found["ours"] = right(taught(s, learned, few, one_hot[y[few]])(s_asked))
    found["same_readout"] = right(taught(s, memory(s, units, key), few, one_hot[y[few]])(s_asked))
    learned = learned_units(p, units, generator(key, "stored"))
    found["still"] = right(taught(p, learned, few, one_hot[y[few]])(p_asked))
    return found


def memory(x: np.ndarray, count: int, key: Key) -> np.ndarray:
    """Return (count, d): stored images."""
    return x[generator(key, "stored").choice(len(x), count, replace=False)]


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
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    kinds = (*TAUGHT, *UNTRAINED)
    for panel, (name, rows) in zip(
        figure.subplots(1, len(data), squeeze=False)[0], data.items(), strict=True
    ):
        for place, kind in enumerate(kinds):
            values = [100 * row[kind] for row in rows]
            color = "#0b72b5" if kind == "ours" else "#7d8792"
            panel.plot(np.full(len(values), place), values, ".", color=color, alpha=0.6)
            panel.plot([place - 0.3, place + 0.3], [np.mean(values)] * 2, color=color)
        names = {
            "ours": "stack",
            "same_readout": "stored units",
            "still": "without motion",
            "graded": "graded images",
        }
        panel.set_xticks(
            range(len(kinds)),
            [names.get(k, k) for k in kinds],
            fontsize=7,
            rotation=35,
            ha="right",
            rotation_mode="anchor",
        )
        panel.set_title(f"{name}, {LABELS} labels a class")
        panel.set_ylabel("test accuracy (%)")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
