"""Optimal brain surgery in blocks: cut at once what costs least, and let the others make up for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from devnet._core.checks import positive, whole, within
from devnet._core.random import as_key
from devnet.fip import Network
from devnet.tasks._examples import labels_of, one_tensor
from devnet.tasks._training import Training, trained, with_weights
from devnet.tasks.baselines._pruning import PRUNING, smallest

_TOGETHER = 32  # examples whose gradients are held at once


def obs_pruning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    sparsity: float,
    training: Training | None = PRUNING,
    examples: int = 512,
    block: int = 100,
    damping: float = 1e-4,
    rng: Any = None,
) -> nn.Module:
    r"""Cut by :math:`w_q^2 / (2 [F^{-1}]_{qq})` at once, correct what stays, then fine-tune with labels.

    F is the empirical Fisher matrix :math:`\frac1N \sum_i g_i g_i^T + \mu 1` of the labelled examples in diagonal
    blocks (Hassibi and Stork 1993; Singh and Alistarh 2020). The weights K that stay in a block take the minimum of
    the quadratic model, :math:`w_K + F_{KK}^{-1} F_{KQ} w_Q`, for all of its cuts Q together.

    Args:
        module: The dense network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        sparsity: Share of the weights to cut, 0 <= sparsity < 1.
        training: The fine-tuning; None for none.
        examples: Labelled examples that make F.
        block: Consecutive weights that share a block.
        damping: mu.
        rng: Seed, generator or key.

    Returns:
        The sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    within("sparsity", sparsity, 0.0, 1.0)
    whole("examples", examples)
    whole("block", block)
    positive("damping", damping)
    network, key = Network(module), as_key(rng)
    x = one_tensor("inputs", inputs, network.weights)
    y = labels_of(network, x, labels)
    chosen = torch.from_numpy(key.stream("fisher").permutation(0, len(x))[:examples]).to(x.device)
    fisher = _blocks(network, x.index_select(0, chosen), y[chosen], block, damping)
    inverse = torch.linalg.inv(fisher).diagonal(dim1=1, dim2=2).reshape(-1)[: len(network.weights)]
    off = smallest(network, network.weights.square() / inverse.clamp_min(1e-30), sparsity)
    network.weights.copy_(_corrected(network.weights, off, fisher, block))
    cut = with_weights(module, network.layout, network.weights)
    if training is None:
        return cut

    def constrain(network: Network, step: int) -> None:
        network.weights.masked_fill_(off, 0.0)

    return trained(cut, inputs, labels, training, key, constrain)


def _blocks(network: Network, x: Tensor, y: Tensor, block: int, damping: float) -> Tensor:
    """Return the damped empirical Fisher matrix in diagonal blocks, ``[blocks, block, block]``."""
    count = -(-len(network.weights) // block)

    def loss(flat: Tensor, one: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(network.function(one[None])(flat), label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    total = network.weights.new_zeros(count, block, block)
    for first in range(0, len(y), _TOGETHER):
        rows = slice(first, first + _TOGETHER)
        slopes = each(network.weights.detach(), x[rows], y[rows])
        slopes = nn.functional.pad(slopes, (0, count * block - len(network.weights)))
        slopes = slopes.view(len(slopes), count, block).permute(1, 2, 0)
        total.baddbmm_(slopes, slopes.transpose(1, 2))
    total.div_(len(y)).diagonal(dim1=1, dim2=2).add_(damping)
    return total


def _corrected(weights: Tensor, off: Tensor, fisher: Tensor, block: int) -> Tensor:
    """Return the weights with some cut and the others of their block at the minimum of the quadratic model."""
    pad = (0, len(fisher) * block - len(weights))
    held = nn.functional.pad(weights, pad).view(-1, block, 1)
    cut = nn.functional.pad(off, pad).view(-1, block, 1).to(weights)
    kept = 1.0 - cut
    inside = kept * fisher * kept.transpose(1, 2) + torch.diag_embed(cut.squeeze(2))
    change = torch.linalg.solve(inside, kept * (fisher @ (cut * held)))
    return (kept * (held + change)).view(-1)[: len(weights)]
