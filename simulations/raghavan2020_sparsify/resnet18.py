"""ResNet-18 on CIFAR-10 made sparse without labels: in full on a GPU; in a form that shows that it runs on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from devnet._core.random import Key
from devnet.data import load_images
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.tasks import accuracy, sparsify
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, styled

LEVELS = (0.95, 0.98)


@dataclass(frozen=True)
class Plan:
    """How much is run.

    Attributes:
        training: Steps of training.
        steps: Steps of a path.
        batch: Examples a step.
        seeds: Networks.
        test: Test images.
    """

    training: int
    steps: int
    batch: int
    seeds: int
    test: int


ON_GPU = Plan(12_000, 4000, 128, 5, 10_000)
ON_CPU = Plan(150, 100, 32, 2, 2000)


def trained(start: nn.Module, x: torch.Tensor, y: torch.Tensor, plan: Plan, key: Key) -> nn.Module:
    """Train in the usual way: batch norm in training mode, mirrored images, Nesterov momentum, one cycle of the rate."""
    optimizer = torch.optim.SGD(start.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=plan.training)
    order = key.stream("batches")
    start.train()
    for step in range(plan.training):
        index = torch.from_numpy(order.permutation(step, len(x))[: plan.batch]).to(x.device)
        batch = x[index].flip(-1) if step % 2 else x[index]
        optimizer.zero_grad()
        nn.functional.cross_entropy(start(batch), y[index]).backward()
        optimizer.step()
        cycle.step()
    return start.eval()


def run(effort: Effort) -> Found:
    """Train, make 95 and 98 % of the weights zero along paths, and measure what is lost."""
    gpu = torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"
    plan = effort.pick(Plan(3, 2, 8, 1, 20), Plan(20, 10, 16, 1, 200), ON_GPU if gpu else ON_CPU)
    if not gpu:
        torch.set_num_threads(1)
    images = load_images(effort.pick("digits", "cifar10", "cifar10"))
    mean, spread = images.x_train.mean(), images.x_train.std()
    x, x_test = (torch.from_numpy((v - mean) / spread).to(device) for v in (images.x_train, images.x_test))
    y, y_test = (torch.from_numpy(v.copy()).to(device) for v in (images.y_train, images.y_test))
    x_test, y_test = x_test[: plan.test], y_test[: plan.test]
    began = perf_counter()
    found: dict[str, list[float]] = {"dense": [], "lost_at_95": [], "lost_at_98": []}
    for seed in range(plan.seeds):
        start = build(
            effort.pick("small-cnn", "small-cnn", "resnet-18"), images.image_shape, images.classes, rng=seed
        ).to(device)
        dense = trained(start, x, y, plan, Key(seed))
        whole = 100 * accuracy(dense, x_test, y_test)
        found["dense"].append(whole)
        for level in LEVELS:
            path = sparsify(
                dense,
                x[: plan.steps * plan.batch],
                sparsity=level,
                steps=plan.steps,
                batch=plan.batch,
                rng=seed,
            )
            found[f"lost_at_{100 * level:.0f}"].append(whole - 100 * accuracy(path.module(), x_test, y_test))
    seconds = perf_counter() - began
    return Found({name: Answer(values, seconds) for name, values in found.items()}, found)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(3.0, 2.2), layout="constrained")
    axes = figure.subplots()
    dense = np.array(data["dense"])
    held = [dense, *(dense - np.array(data[f"lost_at_{100 * level:.0f}"]) for level in LEVELS)]
    for place, (values, color) in enumerate(zip(held, (PATCHES[1], OURS, OURS), strict=True)):
        axes.plot([place] * len(values), values, "o", color=color, markersize=4)
    axes.set_xticks(range(len(held)), ["dense", *(f"{100 * level:.0f} % zero" for level in LEVELS)])
    axes.set(ylabel="test accuracy, %", xlim=(-0.5, len(held) - 0.5))
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
