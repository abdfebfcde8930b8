"""LeNet-300-100 made sparse without labels, beside pruning that sees them: 1000 steps of batch 128 each."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.lenet import dense, images, seen
from devnet.study.tuning import tuned
from devnet.tasks import accuracy, baselines, sparsify
from devnet.tasks.baselines import Training
from devnet.viz.style import INK, OURS, PATCHES, styled

LEVELS = (0.8, 0.95, 0.98, 0.99)
PATH = "path, no labels"
RIVALS = {
    "magnitude + fine-tuning": baselines.magnitude_pruning,
    "gradual magnitude": baselines.gradual_magnitude_pruning,
    "gradual, Fisher saliency": baselines.gradual_fisher_pruning,
    "surgery in blocks + fine-tuning": baselines.obs_pruning,
}
CANDIDATES = {name: {f"rate {rate:g}": rate for rate in (6e-3, 3e-3, 1.2e-2)} for name in (PATH, *RIVALS)}
"""First rate of Adam by method."""


def sparse(name: str, start: nn.Module, x, y, level: float, steps: int, rate: float, seed: int) -> nn.Module:
    """Return a sparse network by one of the methods; the path does not see the labels."""
    if name == PATH:
        return sparsify(start, x, sparsity=level, steps=steps, rate=rate, rng=seed).module()
    return RIVALS[name](start, x, y, sparsity=level, training=Training(steps, rate=rate), rng=seed)


def run(effort: Effort) -> Found:
    """Sparsify one dense network a seed with every method, and measure the test accuracy."""
    data, rates = images(effort), tuned(__file__, "lenet", CANDIDATES)
    x, x_test = seen(data.x_train), seen(data.x_test)
    steps = effort.pick(10, 1000, 1000)
    levels = effort.pick(LEVELS[1:3], LEVELS, LEVELS)
    began = perf_counter()
    scores: dict[str, dict[float, list[float]]] = {}
    whole = []
    for seed in range(effort.pick(1, 1, 5)):
        start = dense(data, effort, seed)
        whole.append(100 * accuracy(start, x_test, data.y_test))
        for level in levels:
            for name in rates if level > LEVELS[0] else (PATH,):
                module = sparse(name, start, x, data.y_train, level, steps, rates[name], seed)
                mine = scores.setdefault(name, {}).setdefault(level, [])
                mine.append(100 * accuracy(module, x_test, data.y_test))
    seconds = perf_counter() - began
    ours = {level: np.array(v) for level, v in scores[PATH].items()}
    nothing = np.zeros(1)

    def ahead(level: float, *names: str) -> np.ndarray:
        best = max((np.array(scores[n][level]) for n in names), key=np.mean) if level in ours else nothing
        return ours.get(level, nothing) - best

    textbook = ("magnitude + fine-tuning", "gradual magnitude")
    values = {
        "dense": np.array(whole),
        "lost_at_80": np.array(whole) - ours.get(0.8, nothing),
        "at_95": ours[0.95],
        "at_98": ours[0.98],
        "at_99": ours.get(0.99, nothing),
        "textbook_98": ahead(0.98, *textbook),
        "textbook_99": ahead(0.99, *textbook),
        "all_98": ahead(0.98, *RIVALS),
        "all_99": ahead(0.99, *RIVALS),
    }
    answers = {name: Answer(list(v), seconds) for name, v in values.items()}
    return Found(answers, {"whole": whole, "scores": scores})


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(3.6, 2.6), layout="constrained")
    axes = figure.subplots()
    colors = dict(zip(data["scores"], (OURS, *PATCHES[1:5]), strict=True))
    places = {0.8: 0.0, 0.95: 1.0, 0.98: 2.0, 0.99: 3.0}
    axes.axhline(np.mean(data["whole"]), color=INK, linewidth=0.6, linestyle=":")
    axes.annotate(
        "dense", (0.0, np.mean(data["whole"])), xytext=(0, 2), textcoords="offset points", fontsize=7
    )
    for number, (name, levels) in enumerate(data["scores"].items()):
        x = [places[level] + 0.04 * (number - 2) for level in levels]
        y = [np.mean(v) for v in levels.values()]
        e = [np.std(v) for v in levels.values()]
        axes.errorbar(
            x, y, e, color=colors[name], marker="osD^v"[number], markersize=3.5, linewidth=1.0, label=name
        )
    axes.set(xlabel="weights at zero, %", ylabel="test accuracy, %")
    axes.set_xticks(list(places.values()), [f"{100 * level:g}" for level in places])
    axes.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
