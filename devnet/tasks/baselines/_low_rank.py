"""Low-rank tuning: every weight matrix moves by a product of two thin ones, all else stays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import Network
from devnet.tasks._examples import labels_of, one_tensor
from devnet.tasks._training import Training, with_weights

LOW_RANK = Training()


def low_rank_tuning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    rank: int = 4,
    training: Training = LOW_RANK,
    rng: Any = None,
) -> nn.Module:
    r"""Learn a task by :math:`W + B A` with labels, B zero and A random at the start (Hu et al. 2022).

    A kernel counts as a matrix, output channels by all else. In the network that is returned the products are added.

    Args:
        module: The network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        rank: Columns of B; fewer where a matrix has fewer rows or columns.
        training: Its steps.
        rng: Seed, generator or key.

    Returns:
        The tuned network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    whole("rank", rank)
    network, key = Network(module), as_key(rng)
    x = one_tensor("inputs", inputs, network.weights)
    y = labels_of(network, x, labels)
    start = {n: v.clone() for n, v in network.layout.split(network.weights).items()}
    sizes: dict[str, tuple[int, int, int]] = {}
    pieces: list[Tensor] = []
    for name, value in start.items():
        if value.ndim < 2:
            continue
        out, into = len(value), value[0].numel()
        inner = min(rank, out, into)
        sizes[name] = (out, inner, into)
        drawn = torch.from_numpy(key.stream(f"low rank {name}").normal(0, inner * into)).to(value)
        pieces += [value.new_zeros(out * inner), drawn / into**0.5]
    if not sizes:
        raise ConfigError("module", type(module).__name__, "a module with a weight matrix")
    thin = torch.cat(pieces)

    def moved(thin: Tensor) -> dict[str, Tensor]:
        found, place = dict(start), 0
        for name, (out, inner, into) in sizes.items():
            b, a = thin[place : place + inner * (out + into)].split((out * inner, inner * into))
            found[name] = start[name] + (b.view(out, inner) @ a.view(inner, into)).view_as(start[name])
            place += inner * (out + into)
        return found

    def slope(step: int, index: Tensor) -> Tensor:
        live = thin.detach().requires_grad_()
        outputs = functional_call(network.module, moved(live), (x.index_select(0, index),))
        return torch.autograd.grad(cross_entropy(outputs, y.index_select(0, index)), live)[0]

    training.descend(thin, len(x), slope, key)
    with torch.no_grad():
        return with_weights(module, network.layout, network.layout.join(moved(thin)))
