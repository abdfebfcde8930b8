"""Images with all labels: the stack's features under a linear and a winner read-out, beside networks that learned nothing."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from _images import (
    Graded,
    Ridge,
    distances,
    features,
    generator,
    grown_pools,
    learned_units,
    random_filters,
    sized,
    square_pools,
    stored_filters,
    told,
)
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.data import load_images
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import OURS, THEIRS, styled

LINEAR = ("ours", "stored_units", "no_units", "square_pools", "random_filters", "pixels")
"""Under the linear read-out: learned units above stored patches above pools that waves wired; images in place of learned
units; no units; square pools; random filters; nothing at all."""
WINNER = ("winner", "winner_stored")
"""Each unit is of the class that it wins most often, and the winner decides: learned units, and as many images."""
PUBLISHED = {"mnist": 97.61, "fashion": 85.84}
"""NALSM (astrocyte-modulated liquid, NeurIPS 2021)."""


def run(effort: Effort) -> Found:
    """Read both sets out with all labels; penalties are chosen on held-out images, the test images asked once a seed."""
    names = {"mnist": effort.pick("digits", "mnist", "mnist")}
    names["fashion"] = effort.pick("digits", "fashion-mnist", "fashion-mnist")
    found, answered = {}, {}
    for short, name in names.items():
        began = perf_counter()
        rows = [accuracies(name, effort, seed) for seed in range(effort.pick(1, 1, 3))]
        spent = perf_counter() - began
        found[short] = rows
        answered |= {f"{short}_{kind}": Answer([row[kind] for row in rows], 0.0) for kind in rows[0]}
        answered[f"{short}_ours"] = Answer([row["ours"] for row in rows], spent)
        best = max(LINEAR[1:], key=lambda kind, rows=rows: np.mean([row[kind] for row in rows]))
        answered[f"{short}_gain"] = Answer([row["ours"] - row[best] for row in rows], 0.0)
    return Found(answered, found)


def accuracies(name: str, effort: Effort, seed: int) -> dict[str, float]:
    """Return the test accuracy of every network on one set, %."""
    key = Key(seed).child(name)
    images = load_images(name)
    order = generator(key, "order").permutation(len(images.x_train))[: effort.pick(800, 6000, 60_000)]
    x, y = sized(images.x_train[order]), images.y_train[order]
    x_test, y_test = sized(images.x_test), images.y_test
    held = len(x) // 6
    one_hot = np.eye(images.classes)[y]

    def linear(seen: np.ndarray, asked: np.ndarray) -> float:
        ridge = Ridge.of(seen[held:], one_hot[held:])
        penalty = ridge.best(seen[:held], y[:held])
        ridge.add(seen[:held], one_hot[:held])
        return 100 * float((told(asked, ridge.weights(penalty)).argmax(1) == y_test).mean())

    side = effort.pick(3, 5, 5)
    sites = (x.shape[1] - 7) // 2 + 1
    pools = grown_pools(sites, side, effort.pick(2000, 150_000, 150_000), seed)
    count, units = effort.pick(16, 64, 64), effort.pick(60, 500, 500)
    filters = stored_filters(x, count, generator(key, "filters"))
    drawn = random_filters(count, generator(key, "filters"))
    f, f_test = (features(part, filters, pools) for part in (x, x_test))
    start = generator(key, "units")
    chosen = f[start.choice(len(f), units, replace=False)]
    learned = learned_units(f, units, generator(key, "units"))
    return {
        "ours": linear(*(Graded.of(learned)(part) for part in (f, f_test))),
        "stored_units": linear(*(Graded.of(chosen)(part) for part in (f, f_test))),
        "no_units": linear(f, f_test),
        "square_pools": linear(*(features(part, filters, square_pools(sites, side)) for part in (x, x_test))),
        "random_filters": linear(*(features(part, drawn, pools) for part in (x, x_test))),
        "pixels": linear(*(part.reshape(len(part), -1) for part in (x, x_test))),
        "winner": 100 * _winner(learned, (f, y), (f_test, y_test)),
        "winner_stored": 100 * _winner(chosen, (f, y), (f_test, y_test)),
    }


def _winner(units: np.ndarray, seen: tuple[np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray]):
    """Return the accuracy when the nearest unit decides, by the class that it wins most often."""
    won, classes = distances(seen[0], units).argmin(1), int(seen[1].max()) + 1
    counts = np.bincount(won * classes + seen[1], minlength=len(units) * classes).reshape(len(units), classes)
    return float((counts.argmax(1)[distances(asked[0], units).argmin(1)] == asked[1]).mean())


@styled
def plot(data: Any) -> Figure:
    """Draw all accuracies, a dot a seed, and the published figure."""
    figure = Figure(figsize=(6.8, 2.4), layout="constrained")
    kinds = (*LINEAR, *WINNER)
    for axes, (short, rows) in zip(figure.subplots(1, len(data), sharey=True), data.items(), strict=True):
        for place, kind in enumerate(reversed(kinds)):
            color = OURS if kind in ("ours", "winner") else THEIRS
            axes.plot([row[kind] for row in rows], [place] * len(rows), "o", color=color, markersize=3.5)
        axes.axvline(PUBLISHED[short], color=THEIRS, linewidth=0.7, linestyle=":")
        axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in reversed(kinds)])
        axes.set(xlabel="test accuracy, all labels, %", title=short)
    figure.supxlabel("dotted: NALSM; winner: no linear read-out", fontsize=7)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
