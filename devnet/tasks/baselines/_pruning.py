"""Textbook pruning, which sees the labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from devnet._core.checks import positive, whole, within
from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import Fisher, Network
from devnet.fip._inputs import as_inputs
from devnet.fip._saliency import threshold
from devnet.tasks._training import Training, trained

PRUNING = Training(rate=6e-3)
"""The rate that was best for most of them on LeNet-300-100 (see ``simulations/raghavan2020_sparsify/_tuning.py``)."""


def smallest(network: Network, score: Tensor, sparsity: float) -> Tensor:
    """Return where the counted weights of the smallest scores are.

    Args:
        network: Tells which weights count.
        score: Of every weight, ``[P]``; changed.
        sparsity: Share of the counted weights.

    Returns:
        Bool vector ``[P]``.
    """
    counted = network.layout.counted_mask(network.weights.device)
    cut = round(sparsity * int(counted.sum()))
    if not cut:
        return torch.zeros_like(counted)
    score.masked_fill_(~counted, math.inf)
    return score <= threshold(score, cut)


def magnitude_pruning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    sparsity: float,
    training: Training = PRUNING,
    rng: Any = None,
) -> nn.Module:
    """Cut the globally smallest weights at once, then fine-tune the others with labels (Han et al. 2015).

    Args:
        module: The dense network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        sparsity: Share of the weights to cut, 0 <= sparsity < 1.
        training: The fine-tuning.
        rng: Seed, generator or key.

    Returns:
        The sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    within("sparsity", sparsity, 0.0, 1.0)
    network = Network(module)
    off = smallest(network, network.weights.abs(), sparsity)

    def constrain(network: Network, step: int) -> None:
        network.weights.masked_fill_(off, 0.0)

    return trained(module, inputs, labels, training, as_key(rng), constrain)


def gradual_magnitude_pruning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    sparsity: float,
    training: Training = PRUNING,
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
        training: Its T steps.
        approach: Share of the steps in which the sparsity grows.
        refresh: Steps between two choices of the weights to cut.
        rng: Seed, generator or key.

    Returns:
        The sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """

    def score(network: Network) -> Tensor:
        return network.weights.abs()

    constrain = _gradual(score, sparsity, training.steps, approach, refresh)
    return trained(module, inputs, labels, training, as_key(rng), constrain)


def gradual_fisher_pruning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    sparsity: float,
    training: Training = PRUNING,
    approach: float = 0.6,
    refresh: int = 20,
    examples: int = 128,
    floor: float = 1e-3,
    rng: Any = None,
) -> nn.Module:
    r"""Gradual pruning by :math:`w^2 (F_{ii} + floor)` in place of the magnitude (Theis et al. 2018).

    The diagonal of the Fisher metric is estimated as FIP's saliency does, on fresh examples at every choice and
    averaged over choices, here of four times as many. FIP differs by its soft contraction, and sees no label.

    Args:
        module: The dense network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        sparsity: Share of the weights to cut, 0 <= sparsity < 1.
        training: Its steps.
        approach: Share of the steps in which the sparsity grows.
        refresh: Steps between two choices of the weights to cut.
        examples: Inputs of an estimate.
        floor: Added to the diagonal.
        rng: Seed, generator or key.

    Returns:
        The sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    whole("examples", examples)
    within("floor", floor, 0.0, math.inf)
    key = as_key(rng)
    held: dict[str, Any] = {"choices": 0}

    def score(network: Network) -> Tensor:
        x = as_inputs("inputs", inputs, network.weights)
        chosen = key.stream("saliency").permutation(held["choices"], len(x))[:examples]
        with torch.enable_grad():
            local = Fisher().at(network, x.index_select(0, torch.from_numpy(chosen).to(x.device)))
            fresh = local.diagonal(local.signs(key.stream("signs"), held["choices"]))
        held["choices"] += 1
        held["diagonal"] = held["diagonal"].lerp(fresh, 0.2) if "diagonal" in held else fresh
        return network.weights.square() * (held["diagonal"] + floor)

    constrain = _gradual(score, sparsity, training.steps, approach, refresh)
    return trained(module, inputs, labels, training, key, constrain)


def _gradual(
    score: Callable[[Network], Tensor], sparsity: float, steps: int, approach: float, refresh: int
) -> Callable[[Network, int], None]:
    """Return what cuts, along the cubic schedule, the weights that a score puts last."""
    within("sparsity", sparsity, 0.0, 1.0)
    whole("refresh", refresh)
    positive("approach", approach)
    if approach > 1:
        raise ConfigError("approach", approach, "a share of the steps, at most 1")
    off: list[Tensor] = []

    def constrain(network: Network, step: int) -> None:
        tau = min(1.0, step / (steps * approach))
        last = step == steps
        if (tau < 1.0 and step % refresh == 0) or (tau >= 1.0 and len(off) < 2) or last:
            fresh = smallest(network, score(network), sparsity * (1.0 - (1.0 - tau) ** 3))
            off[:] = [fresh, fresh] if tau >= 1.0 else [fresh]
        if off:
            network.weights.masked_fill_(off[0], 0.0)

    return constrain
