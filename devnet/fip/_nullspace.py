"""Null-space projection: the objective's gradient, less what would move the outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from devnet._core.checks import positive, whole, within
from devnet.fip._direction import Direction, PenalizedGradient
from devnet.fip._spectrum import Spectrum
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True)
class NullSpace(Direction):
    r"""Descend the objective in the directions in which the metric is small; the earlier form of FIP (F24, H21).

    With the leading eigenvectors :math:`g v_k = e_k v_k` on some reference inputs,

    .. math:: -a \nabla \frac1B \sum_i d(z_i, z_{0,i})
              - \lambda \Big(1 - \sum_k \frac{e_k}{e_k + \mu} v_k v_k^T\Big) \nabla O(w) .

    The eigenvectors are those at the live weights, found through the dual Gram matrix and renewed now and then.

    Attributes:
        count: Eigenvectors to project off.
        damping: mu in units of the largest eigenvalue; 0 projects them off entirely.
        examples: Reference inputs that make the metric.
        refresh: Steps between two spectra.
        pull: Factor a on the gradient of the functional distance; 0 saves its forward and backward pass.
        penalty: Factor lambda on the projected gradient of the objective.
        batch: Examples a step for the functional distance, B.
    """

    count: int = 50
    damping: float = 1e-3
    examples: int = 60
    refresh: int = 50
    pull: float = 1.0
    penalty: float = 1.0
    batch: int = 64

    def __post_init__(self) -> None:
        for name in ("count", "examples", "refresh", "batch"):
            whole("direction." + name, getattr(self, name))
        for name in ("damping", "pull"):
            within("direction." + name, getattr(self, name), 0.0, math.inf)
        positive("direction.penalty", self.penalty)

    def propose(self, walk: Walk) -> Tensor:
        """Return the descent along the projected gradient and back to the reference outputs."""
        slope = walk.objective.value_and_grad(walk)[1]
        if self._due(walk):
            inputs, _ = walk.reference.draw("null space", walk.step, self.examples)
            found = Spectrum.exact(walk.metric.at(walk.network, inputs), self.count)
            walk.memory["null space"] = {"values": found.values, "vectors": found.vectors}
        slope = Spectrum(**walk.memory["null space"]).less(slope, self.damping)
        if not self.pull:
            return slope.mul_(-self.penalty)
        direction = PenalizedGradient(self.batch).propose(walk)
        return direction.mul_(self.pull).sub_(slope, alpha=self.penalty)

    def _due(self, walk: Walk) -> bool:
        """Return whether the spectrum is to be renewed at this step."""
        return "null space" not in walk.memory or walk.step % self.refresh == 0
