"""Sparsity: a path to the plane on which a share of the weights is exactly zero."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from torch import Tensor

from devnet._core.checks import whole, within
from devnet._core.errors import ConfigError
from devnet.fip._objective import Objective, off_mask_energy
from devnet.fip._pattern import Global, Pattern
from devnet.fip._saliency import MetricSaliency, Saliency
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True)
class Sparsity(Objective):
    r"""Annealed plane: cut more and more of the least salient weights, softly at first, then for good (S20, F24).

    With :math:`\tau = t / (T \cdot approach)`, the plane at step t has sparsity
    :math:`s (1 - (1 - \tau)^3)`; every step contracts the weights off it by
    :math:`\exp(-(0.02 + \tau^2))`. From :math:`\tau = 1` on the plane is fixed and its zeros are exact; the rest of
    the path stays inside it. The cubic schedule is Zhu and Gupta's (2017); the soft contraction is ours.

    Attributes:
        target: Share s that is zero at the end, 0 <= s < 1: of the counted weights, or of what the pattern cuts.
        saliency: Which weights go first.
        approach: Share of the path that leads to the plane.
        refresh: Steps between two choices of the plane.
        pattern: Which weights compete: all (``Global``), those of a layer (``PerLayer``), whole units (``Units``) or
            the members of small groups (``NofM``).
    """

    target: float
    saliency: Saliency = field(default_factory=MetricSaliency)
    approach: float = 0.6
    refresh: int = 20
    pattern: Pattern = field(default_factory=Global)

    def __post_init__(self) -> None:
        within("sparsity", self.target, 0.0, 1.0)
        if not 0 < self.approach <= 1:
            raise ConfigError("objective.approach", self.approach, "a share of the path in (0, 1]")
        whole("objective.refresh", self.refresh)
        if not isinstance(self.pattern, Pattern):
            raise ConfigError("objective.pattern", self.pattern, "a Pattern of devnet.fip")

    @property
    def by_shards(self) -> bool:
        """Whether saliency and pattern do."""
        return self.saliency.by_shards and self.pattern.by_shards

    def _tau(self, walk: Walk) -> float:
        """Return how far the plane has come, 0 to 1."""
        return min(1.0, walk.progress / self.approach)

    def begin(self, walk: Walk) -> None:
        """Make sure that the pattern fits the network."""
        self.pattern.check(walk.network.layout, self.target)

    def _plane(self, walk: Walk, score: Tensor, sparsity: float) -> Tensor:
        """Return True where weights stay on the plane of that sparsity, by a score."""
        return self.pattern.plane(walk.network.layout, score, sparsity)

    def _choose(self, walk: Walk, tau: float) -> Tensor:
        """Return the plane of the moment."""
        return self._plane(walk, self.saliency(walk), self.target * (1.0 - (1.0 - tau) ** 3))

    def update(self, walk: Walk) -> None:
        """Choose the plane anew every ``refresh`` steps until it is fixed."""
        memory = walk.memory.setdefault("sparsity", {})
        tau = self._tau(walk)
        if memory.get("fixed", False) or (tau < 1.0 and walk.step % self.refresh):
            return
        if tau >= 1.0:
            self._fix(walk)
        else:
            walk.mask = self._choose(walk, tau)
            memory["off"] = (~walk.mask).to(walk.weights)

    def _fix(self, walk: Walk) -> None:
        """Choose the plane for good, and make its zeros exact."""
        walk.mask = self._choose(walk, 1.0)
        walk.memory["sparsity"] = {"fixed": True, "kept": walk.mask.to(walk.weights)}
        self.hold(walk)

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return half the squared distance to the nearest network on a plane of the target sparsity, and its gradient."""
        return off_mask_energy(walk, self._plane(walk, walk.weights.square(), self.target))

    def constrain(self, walk: Walk) -> None:
        """Contract the weights off the plane; to zero once the plane is fixed."""
        memory = walk.memory["sparsity"]
        if memory.get("fixed", False):
            self.hold(walk)
        else:
            factor = math.exp(-(0.02 + self._tau(walk) ** 2))
            walk.weights.addcmul_(walk.weights, memory["off"], value=factor - 1.0)

    def hold(self, walk: Walk) -> None:
        """Hold the zeros of a fixed plane."""
        memory = walk.memory.get("sparsity", {})
        if memory.get("fixed", False):
            walk.weights.mul_(
                memory["kept"]
            )  # many times as fast as masked_fill_; a way-point's -0.0 becomes +0.0

    def finish(self, walk: Walk) -> None:
        """Fix the plane if the path ended before, and make its zeros exact."""
        if walk.memory.get("sparsity", {}).get("fixed", False):
            self.hold(walk)
        else:
            self._fix(walk)
