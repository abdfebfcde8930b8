"""Half of the units cut, then recovered on the rest: without labels, beside fine-tuning that sees them."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.fip import Damage
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import dense, images, seen
from devnet.study.tuning import tuned
from devnet.tasks import accuracy, baselines, recover
from devnet.tasks.baselines import Training
from devnet.viz.style import INK, OURS, PATCHES, styled

COUNTS = (1000, 200)
CANDIDATES = {
    count: {
        f"{steps} steps, rate {rate:g}": Training(steps, rate=rate)
        for steps in (50, 200, 1000)
        for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    }
    for count in (*map(str, COUNTS), "all")
}
"""Steps and rate of fine-tuning, by number of images."""


def run(effort: Effort) -> Found:
    """Damage one dense network a seed; recover it on 1000 and on 200 images with every method."""
    data = images(effort)
    x, x_test = seen(data.x_train), seen(data.x_test)
    chosen = tuned(__file__, "recovery", CANDIDATES)
    most = effort.pick(2, 20, 20)
    training = effort.pick(dict.fromkeys(chosen, Training(20)), chosen, chosen)
    began = perf_counter()
    scores: dict[str, list[float]] = {}
    rounds = []
    for seed in range(effort.pick(1, 2, 5)):
        start = dense(data, effort, seed)
        damage = Damage.units(start, 0.5, rng=seed)
        order = Key(seed).stream("images").permutation(0, len(x))
        found = {"whole": start, "damaged": damage.apply(start)}
        for count in COUNTS:
            some = order[:count]
            path = recover(
                start, x[some], damage=damage, rounds=most, keep=most + 1, examples=count, rng=seed
            )
            found[f"path {count}"] = path.module()
            if count == COUNTS[0]:
                back = path.steps[path.distance <= 0.05 * path.distance[0]]
                rounds.append(float(back[0]) if len(back) else most + 1.0)
            found[f"tuned {count}"] = baselines.fine_tuning(
                start, x[some], data.y_train[some], damage=damage, training=training[str(count)], rng=seed
            )
        found["tuned all"] = baselines.fine_tuning(
            start, x, data.y_train, damage=damage, training=training["all"], rng=seed
        )
        for name, module in found.items():
            scores.setdefault(name, []).append(100 * accuracy(module, x_test, data.y_test))
    seconds = perf_counter() - began
    got = {name: np.array(v) for name, v in scores.items()}
    values = {
        "with_1000": got["path 1000"],
        "with_200": got["path 200"],
        "ahead_1000": got["path 1000"] - got["tuned 1000"],
        "ahead_200": got["path 200"] - got["tuned 200"],
        "behind_all": got["tuned all"] - got["path 1000"],
        "rounds": np.array(rounds),
    }
    return Found({name: Answer(list(v), seconds) for name, v in values.items()}, scores)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(4.4, 2.4), layout="constrained")
    axes = figure.subplots()
    names = {
        "damaged": "damaged",
        "tuned 200": "labels, 200",
        "path 200": "no labels, 200",
        "tuned 1000": "labels, 1000",
        "path 1000": "no labels, 1000",
        "tuned all": "labels, all",
    }
    for place, name in enumerate(names):
        color = OURS if name.startswith("path") else PATCHES[1]
        values = data[name]
        axes.plot(values, [place] * len(values), "o", color=color, markersize=3.5, alpha=0.6)
        axes.plot([np.mean(values)], [place], "|", color=INK, markersize=10)
        axes.annotate(
            f"{np.mean(values):.1f}",
            (np.mean(values), place),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    axes.axvline(np.mean(data["whole"]), color=INK, linewidth=0.6, linestyle=":")
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.set(xlabel="test accuracy, % (dotted: the whole network)", ylim=(-0.5, len(names) - 0.3))
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
