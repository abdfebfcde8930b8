"""Plain supervised training, for the networks that jobs start from and for the baselines beside them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from devnet._core import progress
from devnet._core.checks import positive, whole
from devnet._core.errors import ConfigError, HealthError
from devnet._core.random import Key, as_key
from devnet.fip import Adam, Layout, Network
from devnet.fip._batches import Batches
from devnet.fip._inputs import as_inputs, call
from devnet.fip._network import BATCH_NORMS
from devnet.fip._reference import as_labels
from devnet.fip._running import evaluating
from devnet.tasks._examples import classified, labels_of


@final
@dataclass(frozen=True)
class Training:
    """Steps of Adam on mini-batches, the rate falling to 0 along half a cosine: the budget of a method.

    Attributes:
        steps: Mini-batch steps.
        batch: Examples a step.
        rate: First learning rate.
    """

    steps: int = 1000
    batch: int = 128
    rate: float = 1e-3

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        whole("batch", self.batch)
        positive("rate", self.rate)

    def descend(
        self,
        weights: Tensor,
        count: int,
        slope: Callable[[int, Tensor], Tensor],
        key: Key,
        *,
        name: str = "train",
        after: Callable[[int], None] | None = None,
    ) -> None:
        """Descend a loss in place.

        Args:
            weights: What moves, ``[P]``.
            count: Number of examples.
            slope: Called with the number of the step and those of its examples; returns the gradient, ``[P]``, which
                may be overwritten.
            key: Source of the order of mini-batches.
            name: Of the job, for the progress bar.
            after: Called after every step with the steps taken; may change the weights in place.

        Raises:
            HealthError: The weights left the finite numbers.
        """
        batches = Batches(key.stream("batches"), count, self.batch, weights.device)
        optimizer = Adam(self.rate)
        state = optimizer.state(weights)
        with progress.task(name, self.steps) as tick:
            for step in range(self.steps):
                direction = slope(step, batches[step]).neg_()
                with torch.no_grad():
                    optimizer.move(weights, direction, state, step / self.steps)
                    if after is not None:
                        after(step + 1)
                tick()
        if not math.isfinite(float(weights.sum())):
            raise HealthError(
                f"{name}, step {self.steps}: the weights are not finite; take a lower rate than {self.rate}"
            )


def train_classifier(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    steps: int = 1000,
    batch: int = 128,
    rate: float = 1e-3,
    statistics: str = "frozen",
    rng: Any = None,
) -> nn.Module:
    """Train a copy of a classifier with cross-entropy, Adam and a rate that falls to 0 along half a cosine.

    Args:
        module: The untrained or trained network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        steps: Mini-batch steps.
        batch: Examples a step.
        rate: First learning rate.
        statistics: Of batch normalization: ``"frozen"`` leaves them as they are in the module, which fits a network that
            has them; ``"batch"`` normalizes by the mini-batch and keeps running averages, which fits one that is fresh.
        rng: Seed, generator or key for the order of the mini-batches.

    Returns:
        The trained copy, in training mode if the module was. It trains in evaluation mode, so dropout is off.

    Raises:
        ConfigError: Inputs, labels, a number or ``statistics`` do not fit.
        HealthError: The weights left the finite numbers.
    """
    if statistics not in {"frozen", "batch"}:
        raise ConfigError("statistics", statistics, "'frozen' or 'batch'")
    of_batch = statistics == "batch"
    return trained(module, inputs, labels, Training(steps, batch, rate), as_key(rng), of_batch=of_batch)


def trained(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    training: Training,
    key: Key,
    constrain: Callable[[Network, int], None] | None = None,
    *,
    of_batch: bool = False,
) -> nn.Module:
    """Train a copy of a classifier with cross-entropy, constraining its weights after every step.

    Args:
        module: Where to start.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        training: For how long, and how fast.
        key: Source of the order of mini-batches.
        constrain: Called with the network and the steps taken; may change the weights in place.
        of_batch: Batch normalization goes by the mini-batch and keeps running averages; else its statistics stay.

    Returns:
        The trained copy.

    Raises:
        ConfigError: Inputs or labels do not fit.
        HealthError: The weights left the finite numbers.
    """
    network = Network(module)
    x = as_inputs("inputs", inputs, network.weights)
    y = labels_of(network, x, labels)
    out = torch.empty_like(network.weights)
    for part in network.module.modules():
        if of_batch and isinstance(part, BATCH_NORMS):
            part.train()

    def slope(step: int, index: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(network(x.index_select(0, index)), y.index_select(0, index))
        return network.gradient(loss, out=out)

    after = None if constrain is None else (lambda step: constrain(network, step))
    training.descend(network.weights, len(x), slope, key, after=after)
    done = with_weights(module, network.layout, network.weights)
    for mine, learned in zip(done.buffers(), network.module.buffers(), strict=True):
        mine.copy_(learned)
    return done


def with_weights(module: nn.Module, layout: Layout, weights: Tensor) -> nn.Module:
    """Return a copy of a module with other weights.

    Args:
        module: Where all else comes from; it is not touched.
        layout: Names and shapes of the parameters.
        weights: Their values, ``[P]``.

    Returns:
        The copy.
    """
    loaded = copy.deepcopy(module)
    parameters = dict(loaded.named_parameters())
    with torch.no_grad():
        for name, value in layout.split(weights).items():
            parameters[name].copy_(value)
    return loaded


def accuracy(module: nn.Module, inputs: Any, labels: Any) -> float:
    """Return the share of inputs whose largest output is their label.

    Args:
        module: A classifier; it runs in evaluation mode, and all its parts are left in the mode they had.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.

    Returns:
        A number from 0 to 1.

    Raises:
        ConfigError: Inputs, labels and outputs ``[N, C]`` do not fit together.
    """
    like = next(module.parameters(), torch.zeros(0))
    x = as_inputs("inputs", inputs, like.detach())
    y = as_labels("labels", labels, x)
    right = 0
    with evaluating(module), torch.no_grad():
        for a in range(0, len(x), 2048):
            outputs = call(module, x[a : a + 2048])
            classified(outputs, y)
            right += int((outputs.argmax(1) == y[a : a + 2048]).sum())
    return right / len(x)
