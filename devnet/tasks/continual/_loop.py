"""Continual learning: one task after the other in one shared loop; FIP and the methods it is compared with.

Every method is a gradient. The loop, the stored inputs, the optimizer (gradient descent with clipped norm) and the
budget are the same for all, so that what differs in a table is the method.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from devnet._core import progress
from devnet._core.checks import positive, whole, within
from devnet._core.errors import ConfigError, HealthError
from devnet._core.random import Key, as_key
from devnet.fip import Network
from devnet.fip._batches import Batches
from devnet.tasks._examples import labels_of, one_tensor
from devnet.tasks._training import with_weights
from devnet.tasks.continual._augment import Affine


@final
@dataclass
class Learner:
    """The state of the loop, which methods read.

    Attributes:
        network: The network that learns.
        key: Root of the randomness of this task.
        batch: Examples a step, of the new task and of the stored ones each.
        inputs: All inputs of the task that is being learned.
        answers: Their class numbers.
        stored: Stored inputs of earlier tasks ``[M, ...]``; empty in the first.
        labels: Their class numbers ``[M]``.
        outputs: What the network answered when they were stored ``[M, C]``.
        rate: Rate of gradient descent at this step.
        step: Step within the task.
        memory: What the method remembers.
        orders: Orders of the stored examples in this task, by stream.
        augment: How stored inputs are changed whenever they are recalled, or None.
    """

    network: Network
    key: Key
    batch: int
    inputs: Tensor
    answers: Tensor
    stored: Tensor
    labels: Tensor
    outputs: Tensor
    rate: float
    step: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    orders: dict[str, Batches] = field(default_factory=dict)
    augment: Affine | None = None

    def replay(self, stream: str = "replay") -> Tensor | None:
        """Return the numbers of the stored examples of this step, or None while nothing is stored."""
        if not len(self.stored):
            return None
        if stream not in self.orders:
            order = Batches(self.key.stream(stream), len(self.stored), self.batch, self.stored.device)
            self.orders[stream] = order
        return self.orders[stream][self.step]

    def recalled(self, numbers: Tensor, stream: str = "replay") -> Tensor:
        """Return stored inputs of these numbers, changed by the augmentation if there is one."""
        inputs = self.stored[numbers]
        if self.augment is None:
            return inputs
        return self.augment(inputs, self.key.stream(f"augment {stream}"), self.step)


class Method(ABC):
    """A way to learn a task after others."""

    def start(self, learner: Learner, inputs: Tensor) -> None:  # noqa: B027  (a hook)
        """Prepare for a new task before its first step; by default nothing."""

    @abstractmethod
    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return what is to be descended, ``[P]``.

        Args:
            learner: The state of the loop.
            index: Numbers of the examples within the task, ``[B]``.
            x: Examples of the new task, ``[B, ...]``.
            y: Their labels.
        """

    def settle(self, learner: Learner) -> None:  # noqa: B027  (a hook)
        """Move the weights after a step, without gradient; by default nothing."""

    def finish(self, learner: Learner, inputs: Tensor) -> None:  # noqa: B027  (a hook)
        """Remember a task after its last step; by default nothing."""


def learn_tasks(
    module: nn.Module,
    tasks: Sequence[tuple[Any, Any]],
    method: Method,
    *,
    steps: int = 300,
    batch: int = 64,
    stored: int = 20,
    rate: float = 0.1,
    final: float = 0.0,
    clip: float = 2.0,
    augment: Affine | None = None,
    rng: Any = None,
) -> list[nn.Module]:
    """Learn tasks one after the other.

    Args:
        module: The network, with outputs ``[N, C]`` for the classes of all tasks; it is not touched.
        tasks: Inputs and class numbers of each task.
        method: How it learns.
        steps: Mini-batch steps a task.
        batch: New examples a step; a method that replays takes as many stored ones.
        stored: Examples kept of every task, drawn at random.
        rate: Rate of gradient descent at the start of a task.
        final: Share of it to which it falls along half a cosine, 0 to 1; 1 keeps it.
        clip: Largest norm of the gradient.
        augment: How stored inputs are changed whenever a method recalls them; None leaves them as they are.
        rng: Seed, generator or key.

    Returns:
        The network after each task.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    for name, value in (("steps", steps), ("batch", batch), ("stored", stored)):
        whole(name, value)
    positive("rate", rate)
    positive("clip", clip)
    within("final", final, 0.0, 1.0 + 1e-9)
    if not isinstance(method, Method):
        raise ConfigError("method", type(method).__name__, "a Method of devnet.tasks.continual")
    network, key = Network(module), as_key(rng)
    given = _checked(tasks, network)
    if augment is not None:
        augment.check("tasks[0].inputs", given[0][0])
    (x, y), *_ = given
    outputs = network.outputs(x[:1])
    learner = Learner(network, key, batch, x, y, x[:0], y[:0], outputs[:0], rate, augment=augment)
    after = []
    with progress.task("tasks", steps * len(given)) as tick:
        for number, (x, y) in enumerate(given):
            learner.key, learner.orders = key.child("task", number), {}
            learner.inputs, learner.answers = x, y
            order = Batches(learner.key.stream("batches"), len(x), batch, x.device)
            method.start(learner, x)
            for learner.step in range(steps):
                fall = 0.5 * (1.0 - math.cos(math.pi * learner.step / steps))
                learner.rate = rate * (1.0 + (final - 1.0) * fall)
                index = order[learner.step]
                g = method.gradient(learner, index, x.index_select(0, index), y.index_select(0, index))
                with torch.no_grad():
                    short = (clip / g.norm().clamp_min(1e-30)).clamp_max(1.0)
                    network.weights.addcmul_(g, short, value=-learner.rate)
                    method.settle(learner)
                tick()
            if not math.isfinite(float(network.weights.sum())):
                raise HealthError(f"task {number}: the weights are not finite; take a lower rate than {rate}")
            method.finish(learner, x)
            _store(learner, x, y, stored)
            after.append(with_weights(module, network.layout, network.weights))
    return after


def _checked(tasks: Sequence[tuple[Any, Any]], network: Network) -> list[tuple[Tensor, Tensor]]:
    """Check the tasks."""
    if not len(tasks):
        raise ConfigError("tasks", tasks, "at least one task")
    given: list[tuple[Tensor, Tensor]] = []
    for number, (inputs, labels) in enumerate(tasks):
        field = f"tasks[{number}]"
        x = one_tensor(f"{field}.inputs", inputs, network.weights)
        if given and x.shape[1:] != given[0][0].shape[1:]:
            raise ConfigError(f"{field}.inputs", tuple(x.shape), "inputs of the first task's shape")
        given.append((x, labels_of(network, x, labels, f"{field}.labels")))
    return given


def _store(learner: Learner, x: Tensor, y: Tensor, count: int) -> None:
    """Keep some examples of a task and what the network answers to them now."""
    chosen = torch.from_numpy(learner.key.stream("stored").permutation(0, len(x))[:count]).to(x.device)
    fresh = x[chosen]
    learner.stored = torch.cat([learner.stored, fresh])
    learner.labels = torch.cat([learner.labels, y[chosen]])
    learner.outputs = torch.cat([learner.outputs, learner.network.outputs(fresh)])


def forgetting(accuracies: npt.ArrayLike) -> float:
    r"""Return the mean forgetting :math:`\frac{1}{T-1} \sum_{j<T} (\max_{i<T} a_{ij} - a_{Tj})`.

    Args:
        accuracies: ``[T, T]``: row i holds the accuracies on all tasks after task i.

    Returns:
        The mean over all tasks but the last; 0 where there is but one.
    """
    a = np.asarray(accuracies, dtype=np.float64)
    if len(a) < 2:
        return 0.0
    return float((a[:-1, :-1].max(axis=0) - a[-1, :-1]).mean())
