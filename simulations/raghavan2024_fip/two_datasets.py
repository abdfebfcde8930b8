"""MNIST, then Fashion-MNIST: one convolutional network with a 20-way head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import final

import numpy as np
from _runs import Candidate, candidates, learned
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from devnet.data import ImageSet, load_images
from devnet.fip import Fisher
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.study.tuning import tuned
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


FAMILIES: dict[str, tuple[Method, ...]] = {
    "joint": (Naive(),),
    "path": (InvariantReplay(0.3), InvariantReplay(0.1)),
    "ER": (er(),),
    "released loss": (Released(),),
    "fine-tuning": (Naive(),),
}
CANDIDATES = candidates(FAMILIES, (0.2, 0.05, 0.1, 0.3, 0.4, 0.6)) | candidates(
    {"released loss": FAMILIES["released loss"]}, (0.01, 0.003, 0.006, 0.02, 0.04, 0.08)
)
"""Of the released form the rate is the length of its steps in weight space."""


def seen(x):
    """Return images of either set as the network sees them."""
    return (x - 0.2) / 0.33


def score(
    sets: Sequence[ImageSet], name: str, candidate: Candidate, seed: int, steps: int, stored: int, few: int
) -> np.ndarray:
    """Return the accuracy on both sets at the end, %; joint training sees both at once, as many steps in all."""
    train = [(seen(s.x_train), s.y_train + 10 * k) for k, s in enumerate(sets)]
    test = [(seen(s.x_test[:few]), s.y_test[:few] + 10 * k) for k, s in enumerate(sets)]
    (method, rate), plan = candidate, {}
    if name == "joint":
        train, steps = [tuple(np.concatenate(parts) for parts in zip(*train, strict=True))], 2 * steps
    if name == "released loss":
        # A clip so small that every gradient is longer makes every step as long as the released form's.
        rate, plan = rate / 1e-4, {"clip": 1e-4, "final": 1.0}
    return learned(
        lambda s: build("small-cnn", sets[0].image_shape, 20, rng=s),
        train,
        test,
        method,
        seed,
        steps=steps,
        batch=64,
        stored=stored,
        rate=rate,
        **plan,
    )


def run(effort: Effort) -> Found:
    """Learn both sets one after the other with every method, and both at once for comparison."""
    names = effort.pick(("digits", "digits"), ("mnist", "fashion-mnist"), ("mnist", "fashion-mnist"))
    sets = [load_images(name) for name in names]
    sizes = effort.pick((4, 20, 100), (300, 500, 5000), (2000, 500, 10_000))
    began = perf_counter()
    scores = {
        name: [score(sets, name, method, seed, *sizes) for seed in range(effort.pick(1, 1, 5))]
        for name, method in tuned(__file__, "two_datasets", CANDIDATES).items()
    }
    seconds = perf_counter() - began
    got = {name: np.array(v) for name, v in scores.items()}
    behind = got["joint"] - got["path"]
    values = {
        "mnist": got["path"][:, 0],
        "fashion": got["path"][:, 1],
        "behind_joint": behind.max(1),
        "ahead": got["path"].mean(1)
        - max((got[n].mean(1) for n in ("ER", "released loss", "fine-tuning")), key=np.mean),
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
    axes.set_xticks(places, [name.replace(" ", "\n") for name in data])
    axes.set(ylabel="test accuracy, %", ylim=(0, 122))
    axes.legend(loc="upper center", ncols=2)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
