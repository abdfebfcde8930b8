"""Steps: how far to go along a proposed direction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.optim.adam import adam

from devnet._core.checks import positive, whole, within
from devnet._core.errors import ConfigError
from devnet.fip._walk import Walk


class Step(ABC):
    """Moves the live weights along a direction.

    Attributes:
        by_shards: Whether it works where a process holds only a part of every vector.
    """

    by_shards: ClassVar[bool] = False

    @abstractmethod
    def take(self, walk: Walk, direction: Tensor) -> float:
        """Move ``walk.weights`` in place.

        Args:
            walk: The walk.
            direction: Vector ``[P]``; may be overwritten.

        Returns:
            The multiple of the direction that was taken; 0 where no step was good enough.
        """

    def remember(self, walk: Walk) -> None:  # noqa: B027  (a hook)
        """Put what only ``walk.scratch`` holds into ``walk.memory``, before the walk is saved; by default nothing."""


@final
@dataclass(frozen=True)
class Fixed(Step):
    """A fixed multiple of the direction: gradient descent.

    Attributes:
        size: The multiple.
    """

    size: float = 1.0
    by_shards = True

    def __post_init__(self) -> None:
        positive("step.size", self.size)

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Add ``size`` times the direction."""
        walk.weights.add_(direction, alpha=self.size)
        return self.size


@final
@dataclass(frozen=True)
class UnitLength(Step):
    """A step of exact length in weight space, as in the released programs (F24).

    Attributes:
        length: Euclidean length of every step, epsilon.
    """

    length: float = 0.01
    by_shards = True

    def __post_init__(self) -> None:
        positive("step.length", self.length)

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Add the direction scaled to the length; a zero direction moves nothing."""
        # No value leaves the device here: the norm is used where it is.
        length = walk.network.layout.norm(direction)
        walk.weights.addcmul_(direction, self.length / length.clamp_min(torch.finfo(length.dtype).tiny))
        return 1.0


@final
@dataclass(frozen=True)
class Adam(Step):
    """Adam on the flat vector, its rate falling to 0 along half a cosine (Kingma and Ba 2015).

    Attributes:
        rate: First learning rate.
        beta1: Decay of the mean of the gradient.
        beta2: Decay of the mean of its square.
        epsilon: Added to the root.
    """

    rate: float = 6e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    by_shards = True

    def __post_init__(self) -> None:
        positive("step.rate", self.rate)
        positive("step.epsilon", self.epsilon)
        within("step.beta1", self.beta1, 0.0, 1.0)
        within("step.beta2", self.beta2, 0.0, 1.0)

    def state(self, like: Tensor) -> dict[str, Tensor]:
        """Return the moments before the first step, for a vector like this one."""
        count = torch.zeros((), dtype=torch.float32, device=like.device)
        return {"count": count, "first": torch.zeros_like(like), "second": torch.zeros_like(like)}

    def move(self, weights: Tensor, direction: Tensor, state: dict[str, Tensor], progress: float) -> None:
        """Take one step in place: one fused pass over the flat vectors, and no number leaves the device.

        Args:
            weights: What moves, ``[P]``.
            direction: Negative gradient, ``[P]``.
            state: The moments; changed in place.
            progress: Share of the schedule behind us, 0 to 1.
        """
        adam(
            [weights],
            [direction],
            [state["first"]],
            [state["second"]],
            [],
            [state["count"]],
            fused=True,
            amsgrad=False,
            beta1=self.beta1,
            beta2=self.beta2,
            lr=self.rate * 0.5 * (1.0 + math.cos(math.pi * progress)),
            weight_decay=0.0,
            eps=self.epsilon,
            maximize=True,
        )

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Take one Adam step along the direction."""
        if "adam" not in walk.memory:
            walk.memory["adam"] = self.state(direction)
        self.move(walk.weights, direction, walk.memory["adam"], walk.progress)
        return 1.0


@final
@dataclass(frozen=True)
class Backtrack(Step):
    """The first of several multiples that lowers what the direction descends, on a fixed set of reference inputs.

    That is the functional distance, plus the objective where the direction has a penalty (see ``Walk.merit``).

    Attributes:
        sizes: Multiples to try, in this order.
        examples: Reference inputs in that set, drawn once; all of them where there are no more.
    """

    sizes: tuple[float, ...] = (1.0, 0.5, 0.25)
    examples: int = 1024
    by_shards = True

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ConfigError("step.sizes", self.sizes, "at least one multiple above 0")
        for size in self.sizes:
            positive("step.sizes", size)
        whole("step.examples", self.examples)

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Try the multiples; leave the weights as they were where none helps."""
        inputs, outputs = walk.reference.draw("check", 0, self.examples)
        origin = walk.weights.clone()
        before = walk.merit(inputs, outputs)
        for size in self.sizes:
            torch.add(origin, direction, alpha=size, out=walk.weights)
            if walk.merit(inputs, outputs) < before:
                return size
        walk.weights.copy_(origin)
        return 0.0


@final
@dataclass(frozen=True)
class FunctionalBudget(Step):
    """The longest of a falling series of multiples by which the outputs move no more than a budget.

    They are halved until the mean divergence of the outputs after the step from those before it, on a fixed set of
    reference inputs, is within the budget; the next search starts from twice the multiple that was found. The budget
    is that of the move along the direction: what the objective's proximal map does after it (a pull, a contraction, a
    cut) moves the outputs beside it, also where the step was given up. ``StopWhen.distance_above`` bounds it all.

    Attributes:
        delta: The budget of one move, in units of the metric's divergence.
        size: Largest multiple.
        tries: Multiples to try before the step is given up.
        examples: Reference inputs in that set, drawn once; all of them where there are no more.
    """

    delta: float
    size: float = 1.0
    tries: int = 20
    examples: int = 256
    by_shards = True

    def __post_init__(self) -> None:
        positive("step.delta", self.delta)
        positive("step.size", self.size)
        whole("step.tries", self.tries)
        whole("step.examples", self.examples)

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Halve the multiple until the outputs stay within the budget; else leave the weights as they were."""
        inputs, _ = walk.reference.draw("check", 0, self.examples)
        origin, outputs = walk.weights.clone(), walk.network.outputs(inputs)
        memory = walk.memory.setdefault("budget", {"size": self.size})
        size = memory["size"]
        for _ in range(self.tries):
            torch.add(origin, direction, alpha=size, out=walk.weights)
            if walk.distance(inputs, outputs) <= self.delta:
                memory["size"] = min(self.size, 2.0 * size)
                return size
            size *= 0.5
        walk.weights.copy_(origin)
        return 0.0
