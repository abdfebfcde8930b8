"""Permuted MNIST: the same digits under ten orders of their pixels, one head, 200 stored inputs in all."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np
from _runs import Candidate, candidates, learned
from matplotlib.figure import Figure

from devnet.data import ImageSet, load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.plan import cores
from devnet.study.tuning import tuned
from devnet.study.workers import in_processes
from devnet.tasks.continual import AGEM, EWC, GPM, Method, MetricAnchor, Replay, er, permute_inputs
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, THEIRS, styled

FAMILIES: dict[str, tuple[Method, ...]] = {
    "path": (MetricAnchor(strength=2.0), MetricAnchor(strength=1.0), MetricAnchor(strength=4.0)),
    "GPM": (GPM(), GPM((0.97, 0.99)), GPM((0.9, 0.98))),
    "DER++": (Replay(0.5, 0.5), Replay(0.2, 1.0), Replay(1.0, 0.5)),
    "ER": (er(),),
    "A-GEM": (AGEM(),),
    "EWC": (EWC(10.0), EWC(3.0), EWC(30.0)),
}
CANDIDATES = candidates(FAMILIES, (0.05, 0.02, 0.03, 0.1, 0.15, 0.2))


def score(images: ImageSet, candidate: Candidate, seed: int, count: int = 10) -> np.ndarray:
    """Return the accuracy on each task after the last one, %: five epochs a task in batches of 10."""
    size = "-".join(map(str, (images.x_train[0].size, 100, 100, 10)))
    return learned(
        lambda s: build(f"mlp:{size}", images.image_shape, 10, rng=s),
        permute_inputs(images.x_train, images.y_train, count=count, rng=7),
        permute_inputs(images.x_test, images.y_test, count=count, rng=7),
        candidate[0],
        seed,
        rate=candidate[1],
        steps=5 * len(images.x_train) // 10,
        batch=10,
        stored=20,
    )


def scored(job: tuple[Effort, Candidate, int]) -> np.ndarray:
    """Return the accuracies of one method and seed; the short form has 1/50 of the images."""
    effort, candidate, seed = job
    images = load_images(effort.pick("digits", "mnist", "mnist"))
    most = effort.pick(20, 1200, 60_000)
    images = replace(images, x_train=images.x_train[:most], y_train=images.y_train[:most])
    return score(images, candidate, seed, effort.pick(2, 10, 10))


def run(effort: Effort) -> Found:
    """Learn ten tasks with every method; in the full form, hours of small steps, on all cores."""
    chosen = tuned(__file__, "permuted_mnist", CANDIDATES)
    jobs = [(effort, method, seed) for seed in range(effort.pick(1, 1, 5)) for method in chosen.values()]
    began = perf_counter()
    found = in_processes("networks", scored, jobs, effort.pick(1, 1, cores()))
    seconds = perf_counter() - began
    scores = {name: found[number :: len(chosen)] for number, name in enumerate(chosen)}
    means = {name: np.array([v.mean() for v in runs]) for name, runs in scores.items()}
    best = max((v for n, v in means.items() if n != "path"), key=np.mean)
    answers = {
        "path": Answer(list(means["path"]), seconds),
        "ahead": Answer(list(means["path"] - best), seconds),
        "ahead_gpm": Answer(list(means["path"] - means["GPM"]), seconds),
    }
    return Found(answers, scores)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axes = figure.subplots()
    colors = (OURS, *PATCHES[1:5], THEIRS)
    for (name, runs), color, mark in zip(data.items(), colors, "osD^v<", strict=True):
        mean = np.mean(runs, 0)
        axes.plot(range(1, len(mean) + 1), mean, color=color, marker=mark, markersize=3, label=name)
    axes.set(xlabel="task", ylabel="test accuracy after the last task, %")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
