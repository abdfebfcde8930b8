"""Directions: how the metric and the objective are joined into one vector to move along."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from devnet._core.checks import whole, within
from devnet.fip._network import seeded
from devnet.fip._walk import Walk


class Direction(ABC):
    """Proposes where to go from the live weights.

    Attributes:
        penalty: Multiple of the objective that is descended beside the functional distance; 0 leaves the objective to
            its proximal map.
        by_shards: Whether it works where a process holds only a part of every vector.
    """

    penalty: float = 0.0
    by_shards: ClassVar[bool] = False

    @abstractmethod
    def propose(self, walk: Walk) -> Tensor:
        """Return a direction of descent.

        Args:
            walk: The walk; what is to be remembered goes into ``walk.memory``, what can be made again into
                ``walk.scratch``.

        Returns:
            Vector ``[P]``, valid until the next call; zero where no further improvement is possible.
        """

    def accepted(self, walk: Walk, size: float) -> None:  # noqa: B027  (a hook)
        """Learn which multiple of the proposal was taken (0: none); by default nothing."""


@final
@dataclass(frozen=True)
class PenalizedGradient(Direction):
    r"""Gradient of the functional distance on a mini-batch, plus a multiple of the objective's gradient (F24).

    :math:`-\nabla \frac1B \sum_i d(z_i, z_{0,i}) - \lambda \nabla O(w)`. The reference outputs are cached, so it
    costs one forward and one backward pass. With penalty 0 the objective acts through its proximal map only.

    Attributes:
        batch: Examples a step, B.
        penalty: The multiple, lambda.
    """

    batch: int = 128
    penalty: float = 0.0
    by_shards = True

    def __post_init__(self) -> None:
        whole("direction.batch", self.batch)
        within("direction.penalty", self.penalty, 0.0, math.inf)

    def propose(self, walk: Walk) -> Tensor:
        """Return the negative gradient on the mini-batch of this step."""
        if "gradient" not in walk.scratch:
            batches = walk.reference.batches("batches", self.batch)
            walk.scratch["gradient"] = batches, walk.weights.new_empty(len(walk.weights) + 1)
        batches, vector = walk.scratch["gradient"]
        inputs, outputs = walk.reference.take(batches[walk.step])

        def descent(rows: slice) -> Tensor:
            live = walk.network(inputs[rows])
            # The seed of the backward pass in closed form: minus the derivative of the mean divergence.
            seed = walk.metric.residual(live.detach(), outputs[rows]).div_(-len(inputs))
            return seeded(live, seed)

        direction = walk.network.slope(len(inputs), descent, vector)[1]
        if self.penalty:
            direction.sub_(walk.objective.value_and_grad(walk)[1], alpha=self.penalty)
        return direction
