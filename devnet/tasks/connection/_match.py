"""Two networks that do the same need not number their units alike: find the order in which they agree most."""

from __future__ import annotations

import copy
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet.fip._inputs import as_inputs
from devnet.fip._running import evaluating

_BETWEEN = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.ELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout)


def match_weights(reference: nn.Module, module: nn.Module, *, rounds: int = 50) -> nn.Module:
    r"""Reorder the hidden units of a network so that its weights agree most with those of another one.

    Coordinate ascent on :math:`\sum_l \langle W^{ref}_l, P_l W_l P_{l-1}^T \rangle`, each layer's permutation found
    by the Hungarian method while its neighbours stand still (Ainsworth et al. 2023).

    Args:
        reference: The network that stays.
        module: The network to reorder, of the same shape; it is not touched.
        rounds: At most so many passes over the layers; it ends earlier where nothing changes.

    Returns:
        A reordered copy, which computes the same function.

    Raises:
        ConfigError: Not two chains of linear layers of the same shapes.
    """
    fixed, matched = _chain("reference", reference), copy.deepcopy(module)
    moving = _chain("module", matched)
    _same(fixed, moving)
    for _ in range(rounds):
        changed = False
        for number in range(len(moving) - 1):
            gain = _rows(fixed[number]) @ _rows(moving[number]).T
            gain += fixed[number + 1].weight.detach().double().T @ moving[number + 1].weight.detach().double()
            changed |= _permute(moving, number, gain)
        if not changed:
            break
    return matched


def match_activations(reference: nn.Module, module: nn.Module, inputs: Any) -> nn.Module:
    """Reorder the hidden units of a network so that they answer most like those of another one.

    Each layer's permutation maximizes the sum of the correlations of paired units over the inputs; no labels.

    Args:
        reference: The network that stays.
        module: The network to reorder, of the same shape; it is not touched.
        inputs: ``[N, ...]``, at least two.

    Returns:
        A reordered copy, which computes the same function.

    Raises:
        ConfigError: Not two chains of linear layers of the same shapes, or bad inputs.
    """
    fixed, matched = _chain("reference", reference), copy.deepcopy(module)
    moving = _chain("module", matched)
    _same(fixed, moving)
    x = as_inputs("inputs", inputs, fixed[0].weight.detach())
    if not isinstance(x, Tensor) or len(x) < 2:
        raise ConfigError("inputs", len(x), "one tensor of at least two examples")
    ours, theirs = _answers(reference, fixed, x), _answers(module, _chain("module", module), x)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        _permute(moving, number, a.T @ b)
    return matched


def _chain(field: str, module: nn.Module) -> list[nn.Linear]:
    """Return the linear layers of a chain in order."""
    leaves = [m for m in module.modules() if not list(m.children())]
    holders = [m for m in module.modules() if list(m.children())]
    layers = [m for m in leaves if isinstance(m, nn.Linear)]
    odd = [m for m in leaves if not isinstance(m, (nn.Linear, nn.Flatten, *_BETWEEN))]
    odd += [m for m in holders if not isinstance(m, nn.Sequential)]
    if odd or len(layers) < 2:
        held = type(odd[0]).__name__ if odd else f"{len(layers)} linear layers"
        raise ConfigError(field, held, "an nn.Sequential of at least two linear layers and activations")
    return layers


def _same(fixed: list[nn.Linear], moving: list[nn.Linear]) -> None:
    """Refuse chains of different shapes."""
    shapes = [[(tuple(m.weight.shape), m.bias is None) for m in chain] for chain in (fixed, moving)]
    if shapes[0] != shapes[1]:
        raise ConfigError("module", [s for s, _ in shapes[1]], f"layers as in the reference, {shapes[0]}")


def _rows(layer: nn.Linear) -> Tensor:
    """Return incoming weights and bias of each unit, a row each."""
    bias = [] if layer.bias is None else [layer.bias.detach().double()[:, None]]
    return torch.cat([layer.weight.detach().double(), *bias], dim=1)


def _answers(module: nn.Module, chain: list[nn.Linear], x: Tensor) -> list[Tensor]:
    """Return what each hidden unit receives, standardized over the inputs, ``[N, units]`` a layer."""
    seen: list[Tensor] = []
    handles = [
        m.register_forward_hook(lambda _, __, out: seen.append(out.detach().double())) for m in chain[:-1]
    ]
    try:
        with evaluating(module), torch.no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    answers = []
    for values in seen:
        gaps = values.flatten(0, -2) - values.flatten(0, -2).mean(0)
        answers.append(gaps / gaps.norm(dim=0).clamp_min(1e-30))
    return answers


def _permute(chain: list[nn.Linear], number: int, gain: Tensor) -> bool:
    """Reorder the units of a layer to the largest total gain, in place; return whether anything moved."""
    order = torch.from_numpy(linear_sum_assignment(gain.cpu().numpy(), maximize=True)[1])
    if torch.equal(order, torch.arange(len(order))):
        return False
    layer, following = chain[number], chain[number + 1]
    with torch.no_grad():
        layer.weight.copy_(layer.weight[order].clone())
        if layer.bias is not None:
            layer.bias.copy_(layer.bias[order].clone())
        following.weight.copy_(following.weight[:, order].clone())
    return True
