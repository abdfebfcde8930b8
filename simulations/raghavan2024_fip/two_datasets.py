"""MNIST, then Fashion-MNIST: one convolutional network with a 20-way head."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import final

import numpy as np
from _runs import learned
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from devnet.data import load_images
from devnet.fip import Fisher
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.tasks.continual import InvariantReplay, Learner, Method, Naive, er
from devnet.tasks.models import build
from devnet.viz.style import OURS, PATCHES, styled


@final
@dataclass(frozen=True)
class Released(Method):
    """The released loss: cross-entropy of the new task and the summed Bhattacharyya distance on stored inputs."""

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of their sum."""
        loss = cross_entropy(learner.network(x), y)
        stored = learner.replay()
        if stored is not None:
            live = learner.network(learner.stored[stored])
            loss = loss + 0.25 * Fisher().divergence(live, learner.outputs[stored]).sum()
        return learner.network.gradient(loss)


METHODS = {
    "path": InvariantReplay(outputs=0.2),
    "ER": er(),
    "released loss": Released(),
    "fine-tuning": Naive(),
}
RATE = 0.3
LENGTH = 0.01
"""Length of the released form's steps in weight space."""


def seen(x):
    """Return images of either set as the network sees them."""
    return (x - 0.2) / 0.33


def run(effort: Effort) -> Found:
    """Learn both sets one after the other with every method, and both at once for comparison."""
    names = effort.pick(("digits", "digits"), ("mnist", "fashion-mnist"), ("mnist", "fashion-mnist"))
    sets = [load_images(name) for name in names]
    shape = sets[0].image_shape
    train = [(seen(s.x_train), s.y_train + 10 * k) for k, s in enumerate(sets)]
    few = effort.pick(100, 5000, 10_000)
    test = [(seen(s.x_test[:few]), s.y_test[:few] + 10 * k) for k, s in enumerate(sets)]
    steps = effort.pick(4, 300, 2000)
    joint = [tuple(np.concatenate(parts) for parts in zip(*train, strict=True))]
    began = perf_counter()
    scores: dict[str, list[np.ndarray]] = {}
    for seed in range(effort.pick(1, 1, 5)):

        def both(tasks, method, steps, rate=RATE, clip=2.0, seed=seed):
            plan = {
                "steps": steps,
                "batch": 64,
                "stored": effort.pick(20, 500, 500),
                "rate": rate,
                "final": 1.0,
                "clip": clip,
            }
            return learned(lambda s: build("small-cnn", shape, 20, rng=s), tasks, test, method, seed, **plan)

        scores.setdefault("joint", []).append(both(joint, Naive(), 2 * steps))
        for name, method in METHODS.items():
            # A clip so small that every gradient is longer makes every step as long as the released form's.
            exact = {"rate": LENGTH / 1e-4, "clip": 1e-4} if name == "released loss" else {}
            scores.setdefault(name, []).append(both(train, method, steps, **exact))
    seconds = perf_counter() - began
    got = {name: np.array(v) for name, v in scores.items()}
    behind = got["joint"] - got["path"]
    values = {
        "mnist": got["path"][:, 0],
        "fashion": got["path"][:, 1],
        "behind_joint": behind.max(1),
        "ahead": got["path"].mean(1) - max((got[n].mean(1) for n in METHODS if n != "path"), key=np.mean),
        "forgotten": got["fine-tuning"][:, 0],
    }
    return Found({name: Answer(list(v), seconds) for name, v in values.items()}, scores)


@styled
def plot(data) -> Figure:
    figure = Figure(figsize=(4.0, 2.3), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(data))
    for task, (color, label) in enumerate(
        ((OURS, "MNIST, learned first"), (PATCHES[1], "Fashion-MNIST, second"))
    ):
        means = [np.mean(runs, 0)[task] for runs in data.values()]
        axes.bar(places + 0.4 * task - 0.2, means, 0.38, color=color, label=label)
    axes.set_xticks(places, list(data))
    axes.set(ylabel="test accuracy, %", ylim=(0, 122))
    axes.legend(loc="upper center", ncols=2)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
