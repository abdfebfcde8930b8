"""What the jobs are compared with: textbook methods that see the labels, on an explicit budget of steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from devnet._core.random import as_key
from devnet.fip import Damage, Network
from devnet.fip._checks import within
from devnet.fip._saliency import threshold
from devnet.tasks._training import descend


def _largest(network: Network, sparsity: float) -> Tensor:
    """Return a bool vector: all but the smallest counted weights (global magnitude)."""
    counted = network.layout.counted_mask(network.weights.device)
    cut = round(sparsity * int(counted.sum()))
    mask = torch.ones_like(counted)
    if cut > 0:
        score = network.weights.abs().masked_fill_(~counted, math.inf)
        mask = (score > threshold(score, cut)) | ~counted
    return mask


def magnitude_pruning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    sparsity: float,
    steps: int = 1000,
    batch: int = 128,
    rate: float = 6e-3,
    rng: Any = None,
) -> nn.Module:
    """Cut the globally smallest weights at once, then fine-tune the others with labels (Han et al. 2015).

    Args:
        module: The dense network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        sparsity: Share of the weights to cut, 0 <= sparsity < 1.
        steps: Mini-batch steps of fine-tuning.
        batch: Examples a step.
        rate: First learning rate of Adam; falls to 0 along half a cosine.
        rng: Seed, generator or key.

    Returns:
        The sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    within("sparsity", sparsity, 0.0, 1.0)
    off = ~_largest(Network(module), sparsity)

    def constrain(network: Network, step: int) -> None:
        network.weights.masked_fill_(off, 0.0)

    return descend(
        module, inputs, labels, steps=steps, batch=batch, rate=rate, key=as_key(rng), constrain=constrain
    )


def gradual_magnitude_pruning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    sparsity: float,
    steps: int = 1000,
    batch: int = 128,
    rate: float = 6e-3,
    approach: float = 0.6,
    refresh: int = 20,
    rng: Any = None,
) -> nn.Module:
    r"""Cut ever more of the smallest weights along a cubic schedule while training with labels (Zhu and Gupta 2017).

    The sparsity at step t is :math:`s (1 - (1 - t / (T \cdot approach))^3)`, then s; a cut weight stays at zero.

    Args:
        module: The dense network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        sparsity: Share s of the weights to cut, 0 <= s < 1.
        steps: Mini-batch steps T.
        batch: Examples a step.
        rate: First learning rate of Adam; falls to 0 along half a cosine.
        approach: Share of the steps in which the sparsity grows.
        refresh: Steps between two choices of the weights to cut.
        rng: Seed, generator or key.

    Returns:
        The sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    within("sparsity", sparsity, 0.0, 1.0)
    off: list[Tensor] = []

    def constrain(network: Network, step: int) -> None:
        tau = min(1.0, step / (steps * approach))
        last = step == steps
        if (tau < 1.0 and step % refresh == 0) or (tau >= 1.0 and len(off) < 2) or last:
            fresh = ~_largest(network, sparsity * (1.0 - (1.0 - tau) ** 3))
            off[:] = [fresh, fresh] if tau >= 1.0 else [fresh]
        if off:
            network.weights.masked_fill_(off[0], 0.0)

    return descend(
        module, inputs, labels, steps=steps, batch=batch, rate=rate, key=as_key(rng), constrain=constrain
    )


def fine_tuning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    damage: Damage,
    steps: int = 1000,
    batch: int = 128,
    rate: float = 3e-3,
    rng: Any = None,
) -> nn.Module:
    """Train what a damage left with labels, the cut weights held at zero.

    Args:
        module: The undamaged network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        damage: What is cut.
        steps: Mini-batch steps.
        batch: Examples a step.
        rate: First learning rate of Adam; falls to 0 along half a cosine.
        rng: Seed, generator or key.

    Returns:
        The retrained, still damaged network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    damaged = damage.apply(module)
    masks: list[Tensor] = []

    def constrain(network: Network, step: int) -> None:
        if not masks:
            masks.append(~damage.mask(network.layout).to(network.weights.device))
        network.weights.masked_fill_(masks[0], 0.0)

    return descend(
        damaged, inputs, labels, steps=steps, batch=batch, rate=rate, key=as_key(rng), constrain=constrain
    )
