"""One network, two goals after another: sparse first, then a second task on the weights that are left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from devnet.data import ImageSet, load_images
from devnet.fip import (
    Adam,
    Damage,
    Euclidean,
    NewTask,
    PenalizedGradient,
    Problem,
    Replay,
    StopWhen,
    Sum,
    traverse,
)
from devnet.study.claims import Answer
from devnet.study.figure import Found
from devnet.tasks import accuracy, baselines, sparsify, train_classifier
from devnet.tasks.baselines import Training
from devnet.tasks.continual import Task, split_classes
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, styled


@dataclass(frozen=True)
class Case:
    """A network, an image set whose classes make two tasks with one head, and how long everything takes."""

    network: str
    images: str
    seeds: int
    training: int
    steps: int
    batch: int
    stored: int
    test: int
    sparsity: float = 0.8


CANDIDATES = {
    "path": {
        f"rate {rate:g}, penalty {penalty:g}": (rate, penalty)
        for rate, penalty in ((1e-3, 5.0), (1e-3, 20.0), (3e-3, 20.0))
    },
    **{
        name: {f"rate {rate:g}": (rate,) for rate in (3e-4, 1e-3, 3e-3)} for name in ("replay", "fine-tuning")
    },
    "low rank": {f"rate {rate:g}": (rate,) for rate in (1e-3, 3e-3, 1e-2)},
}
"""Rates of Adam, and what the tasks' loss weighs beside the distance."""


def halves(images: ImageSet) -> tuple[list[Task], list[Task]]:
    """Return training and test part of both tasks, standardized."""
    mean, spread = images.x_train.mean(), images.x_train.std()
    return (
        split_classes((images.x_train - mean) / spread, images.y_train, per_task=5),
        split_classes((images.x_test - mean) / spread, images.y_test, per_task=5),
    )


def first_task(case: Case, images: ImageSet, task: Task, seed: int) -> tuple[nn.Module, nn.Module]:
    """Return a network trained on the first task, and what is left of it when it was made sparse without labels."""
    plan = {"batch": case.batch, "rate": 1e-3, "rng": seed}
    start = build(case.network, images.image_shape, images.classes, rng=seed)
    start = train_classifier(start, *task, steps=case.training, statistics="batch", **plan)
    return start, sparsify(start, task[0], sparsity=case.sparsity, steps=case.steps, **plan).module()


def second_task(
    name: str, candidate: tuple[float, ...], case: Case, sparse: nn.Module, train: list[Task], seed: int
) -> nn.Module:
    """Return the sparse network after the second task, by one method; its zeros stay zeros but with low rank."""
    (x0, y0), (x1, y1) = train
    kept, kept_labels = x0[: case.stored], y0[: case.stored]
    hold = Damage({n: (p.detach() != 0).numpy() for n, p in sparse.named_parameters() if p.ndim >= 2})
    half, rate = case.batch // 2, candidate[0]
    plan = {"training": Training(case.steps, case.batch, rate), "rng": seed}
    if name == "path":
        goal = NewTask(x1, y1, half, replay=Replay(kept, kept_labels, half))
        problem = Problem(
            inputs=kept,
            objective=Sum(goal, hold),
            metric=Euclidean(),
            direction=PenalizedGradient(half, penalty=candidate[1]),
            step=Adam(rate),
            stop=StopWhen(steps=case.steps),
        )
        return traverse(sparse, problem, rng=seed).module()
    if name == "low rank":
        return baselines.low_rank_tuning(sparse, x1, y1, rank=4, **plan)
    if name == "replay":
        times = -(-len(x1) // case.stored)
        x1 = np.concatenate([x1, np.tile(kept, (times, *(1,) * (kept.ndim - 1)))[: len(x1)]])
        y1 = np.concatenate([y1, np.tile(kept_labels, times)[: len(y1)]])
    return baselines.fine_tuning(sparse, x1, y1, damage=hold, **plan)


def run_case(case: Case, chosen: Mapping[str, tuple[float, ...]]) -> Found:
    """Train on the first task, sparsify without labels, learn the second task with a few stored examples."""
    torch.set_num_threads(1)
    began = perf_counter()
    images = load_images(case.images)
    train, test = halves(images)
    test = [(x[: case.test], y[: case.test]) for x, y in test]
    values: dict[str, list[float]] = {"dense": [], "lost_sparse": [], "path": [], "ahead": []}
    tables: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(case.seeds):
        start, sparse = first_task(case, images, train[0], seed)
        whole = 100 * accuracy(start, *test[0])
        values["dense"].append(whole)
        values["lost_sparse"].append(whole - 100 * accuracy(sparse, *test[0]))
        mean = {}
        for name, candidate in chosen.items():
            module = second_task(name, candidate, case, sparse, train, seed)
            both = tuple(100 * accuracy(module, *part) for part in test)
            tables.setdefault(name, []).append(both)
            mean[name] = sum(both) / 2
        values["path"].append(mean["path"])
        values["ahead"].append(mean["path"] - max(v for n, v in mean.items() if n != "path"))
    seconds = perf_counter() - began
    return Found({name: Answer(v, seconds) for name, v in values.items()}, tables)


@styled
def plot(data) -> Figure:
    """Draw the accuracy on both tasks, by method."""
    figure = Figure(figsize=(3.6, 2.3), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(data))
    for task, (color, label) in enumerate(((OURS, "first task"), (PATCHES[1], "second task"))):
        means = [np.mean([both[task] for both in runs]) for runs in data.values()]
        axes.bar(places + 0.4 * task - 0.2, means, 0.38, color=color, label=label)
    axes.set_xticks(places, list(data))
    axes.set(ylabel="test accuracy, %", ylim=(0, 118))
    axes.legend(loc="upper center", ncols=2)
    return figure
