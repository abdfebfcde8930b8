"""Low-rank tuning: every weight matrix moves by a product of two thin ones, all else stays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import Adam, Network
from devnet.fip._batches import Batches
from devnet.fip._checks import whole
from devnet.fip._inputs import as_inputs
from devnet.fip._reference import as_labels
from devnet.tasks._training import with_weights


def low_rank_tuning(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    rank: int = 4,
    steps: int = 1000,
    batch: int = 128,
    rate: float = 1e-3,
    rng: Any = None,
) -> nn.Module:
    r"""Learn a task by :math:`W + B A` with labels, B zero and A random at the start (Hu et al. 2022).

    A kernel counts as a matrix, output channels by all else. In the network that is returned the products are added.

    Args:
        module: The network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        rank: Columns of B; fewer where a matrix has fewer rows or columns.
        steps: Mini-batch steps.
        batch: Examples a step.
        rate: First learning rate of Adam; falls to 0 along half a cosine.
        rng: Seed, generator or key.

    Returns:
        The tuned network.

    Raises:
        ConfigError: An argument does not fit.
    """
    whole("rank", rank)
    whole("steps", steps)
    whole("batch", batch)
    network, key = Network(module), as_key(rng)
    x = as_inputs("inputs", inputs, network.weights)
    if not isinstance(x, Tensor):
        raise ConfigError("inputs", "several tensors", "one tensor")
    y = as_labels("labels", labels, x)
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

    order, optimizer = Batches(key.stream("batches"), len(x), batch, x.device), Adam(rate)
    state = optimizer.state(thin)
    for step in range(steps):
        index = order[step]
        live = thin.detach().requires_grad_()
        outputs = functional_call(network.module, moved(live), (x.index_select(0, index),))
        slope = torch.autograd.grad(cross_entropy(outputs, y.index_select(0, index)), live)[0]
        with torch.no_grad():
            optimizer.move(thin, slope.neg_(), state, step / steps)
    with torch.no_grad():
        return with_weights(module, network.layout, network.layout.join(moved(thin)))
