"""A new task: the network learns something else while it keeps doing what it did (F24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.fip._batches import Batches
from devnet.fip._inputs import Batch, as_inputs
from devnet.fip._network import Network
from devnet.fip._objective import Objective
from devnet.fip._reference import as_labels
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True, eq=False)
class Replay:
    """Stored examples of earlier tasks that go into every mini-batch beside the new ones.

    Attributes:
        inputs: Stored inputs ``[M, ...]``.
        labels: Their class numbers ``[M]``.
        batch: Stored examples a step.
    """

    inputs: Any
    labels: Any
    batch: int = 64

    def __post_init__(self) -> None:
        whole("replay.batch", self.batch)


@final
@dataclass(frozen=True, eq=False)
class NewTask(Objective):
    r"""Cross-entropy of labelled examples of a new task: :math:`-\frac1B \sum_i \log p_{y_i}(x_i)` (F24).

    It acts through its gradient: use it with ``PenalizedGradient(penalty=...)`` or ``NullSpace``. Value and gradient
    are those of the mini-batch of the step.

    Attributes:
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        batch: Examples a step, B.
        replay: Labelled examples of earlier tasks; their cross-entropy is added. None means no label of the past.
    """

    inputs: Any
    labels: Any
    batch: int = 64
    replay: Replay | None = None

    def __post_init__(self) -> None:
        whole("objective.batch", self.batch)
        if self.replay is not None and not isinstance(self.replay, Replay):
            raise ConfigError("objective.replay", type(self.replay).__name__, "a devnet.fip.Replay or None")

    @property
    def by_gradient(self) -> bool:
        """True: a loss has no proximal map of its own."""
        return True

    @property
    def by_shards(self) -> bool:
        """True: a gradient can be cut."""
        return True

    def begin(self, walk: Walk) -> None:
        """Bring the examples to the network's device."""
        walk.scratch["task"] = [_source("objective", self.inputs, self.labels, self.batch, walk, "new task")]
        if self.replay is not None:
            r = self.replay
            walk.scratch["task"].append(_source("replay", r.inputs, r.labels, r.batch, walk, "replay"))

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy on the mini-batch of this step, and its gradient."""
        total, gradient = walk.weights.new_zeros(()), torch.zeros_like(walk.weights)
        for x, y, batches in walk.scratch["task"]:
            index = batches[walk.step]
            value, slope = _cross_entropy(walk.network, x.index_select(0, index), y.index_select(0, index))
            total, gradient = total + value, gradient.add_(slope)
        return total, gradient


def _cross_entropy(network: Network, x: Batch, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy and its gradient."""

    def loss(rows: slice) -> Tensor:
        return nn.functional.cross_entropy(network(x[rows]), y[rows], reduction="sum") / len(x)

    return network.slope(len(x), loss)


def _source(
    what: str, inputs: Any, labels: Any, batch: int, walk: Walk, stream: str
) -> tuple[Batch, Tensor, Batches]:
    """Check labelled examples and return them with the order of their mini-batches."""
    x = as_inputs(f"{what}.inputs", inputs, walk.weights)
    shape = walk.reference.outputs.shape
    if x.shape[1:] != walk.reference.inputs.shape[1:] or len(shape) != 2:
        raise ConfigError(
            f"{what}.inputs", tuple(x.shape), "inputs of the reference's shape, for outputs [N, C]"
        )
    y = as_labels(f"{what}.labels", labels, x, shape[-1])
    key: Key = walk.key
    return x, y, Batches(key.stream(stream), len(x), batch, x.device)
