"""One network, two goals after another: sparse first, then a second task on the weights that are left."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from devnet.data import load_images
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
from devnet.tasks.continual import split_classes
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
    rate: float = 1e-3
    sparsity: float = 0.8


def _tasks(case: Case):
    """Return training and test part of both tasks, standardized, and the shape and number of classes."""
    images = load_images(case.images)
    mean, spread = images.x_train.mean(), images.x_train.std()
    train = split_classes((images.x_train - mean) / spread, images.y_train, per_task=5)
    test = split_classes((images.x_test - mean) / spread, images.y_test, per_task=5)
    return train, [(x[: case.test], y[: case.test]) for x, y in test], images.image_shape, images.classes


def _second_task(case: Case, sparse: nn.Module, train, seed: int) -> dict[str, nn.Module]:
    """Return the sparse network after the second task, by method; its zeros stay zeros but with low rank."""
    (x0, y0), (x1, y1) = train
    kept, kept_labels = x0[: case.stored], y0[: case.stored]
    zeros = {n: (p.detach() != 0).numpy() for n, p in sparse.named_parameters() if p.ndim >= 2}
    hold = Damage(zeros)
    half = case.batch // 2
    times = -(-len(x1) // case.stored)
    both = np.concatenate([x1, np.tile(kept, (times, *(1,) * (kept.ndim - 1)))[: len(x1)]])
    labels = np.concatenate([y1, np.tile(kept_labels, times)[: len(y1)]])
    plan = {"training": baselines.Training(case.steps, case.batch, case.rate), "rng": seed}
    path = traverse(
        sparse,
        Problem(
            inputs=kept,
            objective=Sum(NewTask(x1, y1, half, replay=Replay(kept, kept_labels, half)), hold),
            metric=Euclidean(),
            direction=PenalizedGradient(half, penalty=20.0),
            step=Adam(case.rate),
            stop=StopWhen(steps=case.steps),
        ),
        rng=seed,
    )
    return {
        "path": path.module(),
        "replay": baselines.fine_tuning(sparse, both, labels, damage=hold, **plan),
        "fine-tuning": baselines.fine_tuning(sparse, x1, y1, damage=hold, **plan),
        "low rank": baselines.low_rank_tuning(sparse, x1, y1, rank=4, **plan),
    }


def run_case(case: Case) -> Found:
    """Train on the first task, sparsify without labels, learn the second task with a few stored examples."""
    torch.set_num_threads(1)
    began = perf_counter()
    train, test, shape, classes = _tasks(case)
    values: dict[str, list[float]] = {"dense": [], "lost_sparse": [], "path": [], "ahead": []}
    tables: dict[str, list[tuple[float, float]]] = {}
    for seed in range(case.seeds):
        plan = {"batch": case.batch, "rate": case.rate, "rng": seed}
        start = train_classifier(
            build(case.network, shape, classes, rng=seed), *train[0], steps=case.training, **plan
        )
        path = sparsify(start, train[0][0], sparsity=case.sparsity, steps=case.steps, **plan)
        sparse = path.module()
        whole = 100 * accuracy(start, *test[0])
        values["dense"].append(whole)
        values["lost_sparse"].append(whole - 100 * accuracy(sparse, *test[0]))
        after = {
            name: tuple(100 * accuracy(module, *part) for part in test)
            for name, module in _second_task(case, sparse, train, seed).items()
        }
        mean = {name: sum(both) / 2 for name, both in after.items()}
        values["path"].append(mean["path"])
        values["ahead"].append(mean["path"] - max(v for n, v in mean.items() if n != "path"))
        for name, both in after.items():
            tables.setdefault(name, []).append(both)
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
