"""Steps: how far to go along a proposed direction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet.fip._checks import positive, whole, within
from devnet.fip._walk import Walk


class Step(ABC):
    """Moves the live weights along a direction."""

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

    def __post_init__(self) -> None:
        positive("step.length", self.length)

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Add the direction scaled to the length; a zero direction moves nothing."""
        # No value leaves the device here: the norm is used where it is.
        walk.weights.addcmul_(direction, self.length / direction.norm().clamp_min(1e-30))
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

    def __post_init__(self) -> None:
        positive("step.rate", self.rate)
        positive("step.epsilon", self.epsilon)
        within("step.beta1", self.beta1, 0.0, 1.0)
        within("step.beta2", self.beta2, 0.0, 1.0)

    def state(self, like: Tensor) -> dict[str, Any]:
        """Return the moments before the first step, for a vector like this one."""
        return {"count": 0, **{name: torch.zeros_like(like) for name in ("first", "second", "root")}}

    def move(self, weights: Tensor, direction: Tensor, state: dict[str, Any], progress: float) -> None:
        """Take one step in place.

        Args:
            weights: What moves, ``[P]``.
            direction: Negative gradient, ``[P]``.
            state: The moments; changed in place.
            progress: Share of the schedule behind us, 0 to 1.
        """
        state["count"] += 1
        count = state["count"]
        first = state["first"].lerp_(direction, 1.0 - self.beta1)
        second = state["second"].mul_(self.beta2).addcmul_(direction, direction, value=1.0 - self.beta2)
        correction = math.sqrt(1.0 - self.beta2**count)
        rate = self.rate * 0.5 * (1.0 + math.cos(math.pi * progress))
        root = torch.sqrt(second, out=state["root"]).add_(self.epsilon * correction)
        weights.addcdiv_(first, root, value=rate * correction / (1.0 - self.beta1**count))

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Take one Adam step along the direction."""
        if "adam" not in walk.memory:
            walk.memory["adam"] = self.state(direction)
        self.move(walk.weights, direction, walk.memory["adam"], walk.progress)
        return 1.0


@final
@dataclass(frozen=True)
class Backtrack(Step):
    """The first of several multiples that lowers the functional distance on a fixed set of reference inputs.

    Attributes:
        sizes: Multiples to try, in this order.
        examples: Reference inputs in that set, drawn once; all of them where there are no more.
    """

    sizes: tuple[float, ...] = (1.0, 0.5, 0.25)
    examples: int = 1024

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
        before = walk.distance(inputs, outputs)
        for size in self.sizes:
            torch.add(origin, direction, alpha=size, out=walk.weights)
            if walk.distance(inputs, outputs) < before:
                return size
        walk.weights.copy_(origin)
        return 0.0


@final
@dataclass(frozen=True)
class FunctionalBudget(Step):
    """The longest of a falling series of multiples by which the outputs move no more than a budget.

    They are halved until the mean divergence of the outputs after the step from those before it, on a fixed set of
    reference inputs, is within the budget; the next search starts from twice the multiple that was found.

    Attributes:
        delta: The budget of one step, in units of the metric's divergence.
        size: Largest multiple.
        tries: Multiples to try before the step is given up.
        examples: Reference inputs in that set, drawn once; all of them where there are no more.
    """

    delta: float
    size: float = 1.0
    tries: int = 20
    examples: int = 256

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
