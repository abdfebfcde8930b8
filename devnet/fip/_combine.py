"""Objectives made of others, or of any function of the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from devnet._core.checks import within
from devnet._core.errors import ConfigError
from devnet.fip._objective import Objective
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True, init=False)
class Sum(Objective):
    r"""Several objectives at once: :math:`\sum_j a_j O_j`; what they cut stays cut.

    Every part keeps a memory and a mask of its own; a weight may differ from zero where all masks let it. Proximal maps
    are applied one after the other, and what a part has cut for good is set to zero after the last of them.

    Args:
        *parts: The objectives.
        factors: One factor :math:`a_j \ge 0` a part; None means 1 each. They scale values and gradients, not
            constraints.

    Attributes:
        parts: The objectives.
        factors: Their factors.
    """

    parts: tuple[Objective, ...]
    factors: tuple[float, ...]

    def __init__(self, *parts: Objective, factors: tuple[float, ...] | None = None) -> None:
        for part in parts:
            if not isinstance(part, Objective):
                raise ConfigError("objective.parts", type(part).__name__, "objectives of devnet.fip")
        given = (1.0,) * len(parts) if factors is None else tuple(factors)
        if not parts or len(given) != len(parts):
            raise ConfigError(
                "objective.factors", given, f"one number for each of {len(parts)} parts, at least 1"
            )
        for factor in given:
            within("objective.factors", factor, 0.0, math.inf)
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "factors", given)

    @property
    def by_gradient(self) -> bool:
        """Whether one of the parts does."""
        return any(part.by_gradient for part in self.parts)

    def _each(self, walk: Walk) -> Iterator[Objective]:
        """Yield the parts; while a part is out, the walk carries its memory and mask."""
        for number, part in enumerate(self.parts):
            with _own(walk, number):
                yield part
        masks = [own["mask"] for own in walk.memory["sum"].values() if own["mask"] is not None]
        walk.mask = None if not masks else masks[0] if len(masks) == 1 else torch.stack(masks).all(0)

    def begin(self, walk: Walk) -> None:
        """Prepare the walk for every part."""
        for part in self._each(walk):
            part.begin(walk)
        self.hold(walk)

    def update(self, walk: Walk) -> None:
        """Renew what the parts renew."""
        for part in self._each(walk):
            part.update(walk)

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of values and gradients."""
        total, gradient = walk.weights.new_zeros(()), torch.zeros_like(walk.weights)
        for factor, part in zip(self.factors, self._each(walk), strict=True):
            value, slope = part.value_and_grad(walk)
            total = total + factor * value
            gradient.add_(slope, alpha=factor)
        return total, gradient

    def constrain(self, walk: Walk) -> None:
        """Apply the proximal maps one after the other; cuts hold in the end."""
        for part in self._each(walk):
            part.constrain(walk)
        self.hold(walk)

    def hold(self, walk: Walk) -> None:
        """Set to zero what any part has cut for good."""
        for part in self._each(walk):
            part.hold(walk)

    def finish(self, walk: Walk) -> None:
        """Make every constraint hold exactly."""
        for part in self._each(walk):
            part.finish(walk)
        self.hold(walk)


@contextmanager
def _own(walk: Walk, number: int) -> Iterator[None]:
    """Give a walk the memory, scratch and mask of a part while the block runs."""
    outer, scratch, mask = walk.memory, walk.scratch, walk.mask
    own = outer.setdefault("sum", {}).setdefault(number, {"memory": {}, "mask": None})
    walk.memory, walk.mask = own["memory"], own["mask"]
    walk.scratch = scratch.setdefault("sum", {}).setdefault(number, {})
    try:
        yield
    finally:
        own["mask"] = walk.mask
        walk.memory, walk.scratch, walk.mask = outer, scratch, mask


@final
@dataclass(frozen=True)
class UserObjective(Objective):
    """Any differentiable function of the network.

    Attributes:
        function: Takes the live module, in evaluation mode, and returns a scalar of at least 0 that depends on its
            parameters through PyTorch operations. It must not draw random numbers, or paths cannot be repeated.
    """

    function: Callable[[nn.Module], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError("objective.function", self.function, "a function of the module")

    @property
    def by_gradient(self) -> bool:
        """True: only its gradient is known."""
        return True

    def begin(self, walk: Walk) -> None:
        """Make sure that the function returns a finite, differentiable scalar."""
        with torch.enable_grad():
            value = self.function(walk.network.module)
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            held = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError(
                "objective.function", held, "a function with a differentiable scalar as its value"
            )
        if not math.isfinite(float(value.detach())):
            raise ConfigError("objective.function", float(value.detach()), "a function with a finite value")

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return the function's value and gradient."""
        with torch.enable_grad():
            value = self.function(walk.network.module).reshape(())
        return value.detach(), walk.network.gradient(value)
