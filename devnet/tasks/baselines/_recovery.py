"""Textbook recovery from damage, which sees the labels."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from devnet._core.random import as_key
from devnet.fip import Damage, Network
from devnet.tasks._training import Training, trained

RECOVERY = Training(rate=3e-3)


def fine_tuning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    damage: Damage,
    training: Training = RECOVERY,
    rng: Any = None,
) -> nn.Module:
    """Train what a damage left with labels, the cut weights held at zero.

    Args:
        module: The undamaged network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        damage: What is cut.
        training: Its steps.
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

    return trained(damaged, inputs, labels, training, as_key(rng), constrain)
