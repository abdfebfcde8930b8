"""Objectives: where a path shall lead while the network's function stays as it is.

An objective acts in up to two ways: through its gradient, which a direction may add as a penalty, and through its
proximal map (``constrain``), which is applied in place after every step. A hard constraint, such as a mask, is a
proximal map alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from devnet.fip._walk import Walk


class Objective(ABC):
    """The secondary goal of a path."""

    @property
    def by_gradient(self) -> bool:
        """Whether it acts through its gradient alone, so that a direction without a penalty would never reach it."""
        return False

    @property
    def by_shards(self) -> bool:
        """Whether it works where a process holds only a part of every vector."""
        return False

    def begin(self, walk: Walk) -> None:  # noqa: B027  (a hook)
        """Prepare the walk before its first way-point; by default nothing.

        Raises:
            ConfigError: The objective does not fit the network.
        """

    def update(self, walk: Walk) -> None:  # noqa: B027  (a hook)
        """Renew what depends on the live weights (a mask, a target) before a step; by default nothing."""

    @abstractmethod
    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return the objective at the live weights and its gradient.

        Args:
            walk: The walk.

        Returns:
            A scalar of at least 0, which is 0 where the goal is reached, and a vector ``[P]``.
        """

    def constrain(self, walk: Walk) -> None:  # noqa: B027  (a hook)
        """Apply the proximal map to the live weights in place; by default nothing."""

    def hold(self, walk: Walk) -> None:  # noqa: B027  (a hook)
        """Set to zero, in place, what is cut for good by now, after others moved the weights; by default nothing."""

    def finish(self, walk: Walk) -> None:  # noqa: B027  (a hook)
        """Make the goal hold exactly at the end of the path, where it is a constraint; by default nothing."""


def off_mask_energy(walk: Walk, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    r"""Return :math:`\frac12 \|w_{off}\|^2` and its gradient :math:`w_{off}`, the part of the weights off a mask.

    Args:
        walk: The walk.
        mask: True where weights may stay; None means everywhere.

    Returns:
        Scalar and vector.
    """
    off = torch.zeros_like(walk.weights) if mask is None else walk.weights * ~mask
    return 0.5 * walk.network.layout.dot(off, off), off


@final
class Stay(Objective):
    """No secondary goal: the path only reduces the functional distance."""

    @property
    def by_shards(self) -> bool:
        """True."""
        return True

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return 0 and the zero vector."""
        return walk.weights.new_zeros(()), torch.zeros_like(walk.weights)
