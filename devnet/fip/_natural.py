"""Damped natural gradient: the Gauss-Newton step in the metric, with Levenberg-Marquardt control."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from devnet._core.checks import positive, whole, within
from devnet.fip._direction import Direction
from devnet.fip._walk import Walk


def conjugate_gradient(
    mv: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-4
) -> Tensor:
    """Solve ``A x = b`` approximately for a symmetric positive definite ``A``, starting from 0.

    Args:
        mv: The product with A.
        b: Right-hand side, ``[P]``.
        iterations: At most so many products.
        tolerance: Stop once the residual's norm is below this share of the norm of ``b``.

    Returns:
        ``x``, which has ``b . x >= 0`` however early it stops.
    """
    x = torch.zeros_like(b)
    r = b.clone()
    p = b.clone()
    rr = r.dot(r)
    enough = rr * tolerance**2
    for _ in range(iterations):
        if not bool(rr > enough):
            break
        ap = mv(p)
        curvature = p.dot(ap)
        if not bool(curvature > 0):
            break
        alpha = rr / curvature
        x.add_(alpha * p)
        r.sub_(alpha * ap)
        fresh = r.dot(r)
        p.mul_(fresh / rr).add_(r)
        rr = fresh
    return x


@final
@dataclass(frozen=True)
class DampedNatural(Direction):
    r"""Natural gradient on the free weights, damped as Levenberg and Marquardt do.

    Solves :math:`(m g m + \mu 1)\, \delta = -m \nabla \big(\frac1N \sum_i d(z_i, z_{0,i}) + \lambda O(w)\big)` by
    conjugate gradients on N fresh reference inputs, m being the mask of free weights and O the objective. The damping
    falls after an accepted full step and grows after a rejected one; without it severe damage diverges.

    Attributes:
        examples: Reference inputs a round, N.
        iterations: Products with the metric a round.
        damping: First value of mu, in units of the metric's curvature along the first gradient, g . g m g / g . g.
        ease: Factor on mu after a full step.
        strain: Factor on mu after a partial step.
        retreat: Factor on mu after a rejected step.
        penalty: Factor lambda on the objective's gradient; 0 leaves the objective to its proximal map.
    """

    examples: int = 1024
    iterations: int = 15
    damping: float = 0.01
    ease: float = 1 / 3
    strain: float = 1.5
    retreat: float = 4.0
    penalty: float = 1.0

    def __post_init__(self) -> None:
        for name in ("examples", "iterations"):
            whole("direction." + name, getattr(self, name))
        for name in ("damping", "ease", "strain", "retreat"):
            positive("direction." + name, getattr(self, name))
        within("direction.penalty", self.penalty, 0.0, math.inf)

    def propose(self, walk: Walk) -> Tensor:
        """Return the damped natural gradient on a fresh set of reference inputs."""
        memory = walk.memory.setdefault("natural", {})
        inputs, outputs = walk.reference.draw("round", walk.step, self.examples)
        local = walk.metric.at(walk.network, inputs)
        free = None if walk.mask is None else walk.mask.to(walk.weights)
        gradient = local.gradient(outputs)
        if self.penalty:
            gradient.add_(walk.objective.value_and_grad(walk)[1], alpha=self.penalty)
        if free is not None:
            gradient.mul_(free)
        square = gradient.dot(gradient)
        if not bool(square > 0):
            return torch.zeros_like(gradient)

        def projected(v: Tensor) -> Tensor:
            gv = local.mv(v)
            return gv if free is None else gv.mul_(free)

        if "mu" not in memory:
            curvature = float(gradient.dot(projected(gradient)) / square)
            memory["mu"] = self.damping * (curvature if curvature > 0 else 1.0)
        mu = memory["mu"]
        return conjugate_gradient(lambda v: projected(v).add_(v, alpha=mu), gradient.neg_(), self.iterations)

    def accepted(self, walk: Walk, size: float) -> None:
        """Adapt the damping to the step that was taken."""
        memory = walk.memory["natural"]
        if "mu" not in memory:
            return
        factor = self.ease if size >= 1 else self.strain if size > 0 else self.retreat
        memory["mu"] *= factor
