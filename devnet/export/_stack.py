"""The PyTorch modules of a stack: masked layers, dense or sparse, as sums, as the settled law, or as spiking units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet.export._laws import LayerLaw


@final
class SparseLayer(nn.Module):
    """``y = x W`` of which only the present synapses are kept and computed.

    Attributes:
        weight: Parameter (k,), the synapses in order of unit, then cell. Frozen at first.
        cell: Buffer (k,), whence each comes.
        unit: Buffer (k,), where it goes.
        shape: (n, M).
    """

    weight: nn.Parameter
    cell: Tensor
    unit: Tensor

    def __init__(self, weight: Float[Tensor, "n M"]) -> None:
        super().__init__()
        unit, cell = weight.T.nonzero(as_tuple=True)
        self.shape = tuple(weight.shape)
        self.weight = nn.Parameter(weight.T[unit, cell].clone(), requires_grad=False)
        self.register_buffer("cell", cell)
        self.register_buffer("unit", unit)

    def forward(self, x: Float[Tensor, "N n"]) -> Float[Tensor, "N M"]:
        """Sum the inputs over each unit's synapses."""
        places = torch.stack([self.unit, self.cell])
        matrix = torch.sparse_coo_tensor(
            places, self.weight, self.shape[::-1], is_coalesced=True, check_invariants=False
        )
        return torch.sparse.mm(matrix, x.T).T

    def extra_repr(self) -> str:
        """Return sizes for the printed module."""
        return f"cells={self.shape[0]}, units={self.shape[1]}, connections={len(self.weight)}"


@final
class RelayLayer(nn.Module):
    """A layer's law at rest under a constant input, frame by frame; see ``devnet.export.LayerLaw``.

    Attributes:
        synapses: ``y = x W``.
        length: Buffer (M,), lengths of the units' weights.
        spread: Buffer (M, M), H.
        c: Buffer (M,), conscience.
    """

    length: Tensor
    spread: Tensor
    c: Tensor

    def __init__(self, law: LayerLaw, synapses: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.synapses = synapses
        self.min_active, self.winners = law.min_active, law.winners
        self.threshold, self.share = law.threshold, law.share
        for name in ("length", "spread", "c"):
            self.register_buffer(name, torch.tensor(getattr(law, name), dtype=dtype))

    def forward(self, x: Float[Tensor, "N n"]) -> Float[Tensor, "N M"]:
        """Return 1 for the units that fire for a frame of zeros and ones, else 0."""
        count = x.sum(dim=1, keepdim=True)
        z = self.synapses(x) / count.clamp(min=1) / self.length
        mean = z.mean(dim=1, keepdim=True)
        above = z.amax(dim=1, keepdim=True) - mean
        u = torch.where(above > 0, (z - mean) / torch.where(above > 0, above, 1) @ self.spread.T, 1)
        u = u / u.amax(dim=1, keepdim=True) - self.c
        best = u.argsort(dim=1, descending=True, stable=True)[:, : self.winners]  # ties go to the lowest
        bar = (self.share * u.amax(dim=1, keepdim=True)).clamp(min=self.threshold)
        fires = torch.zeros_like(u).scatter(1, best, 1) * (u > bar)
        return fires * ((count >= self.min_active) & (z.amax(dim=1, keepdim=True) > 0))


@final
class SpikingLayer(nn.Module):
    """Units that leak, x += (s W - x) / tau_x, and fire above their threshold; snnTorch's gradient at the spike.

    Attributes:
        synapses: ``y = x W``.
        cell: snnTorch's ``Leaky`` without reset.
    """

    def __init__(self, law: LayerLaw, synapses: nn.Module, snntorch: Any) -> None:
        super().__init__()
        self.synapses = synapses
        self.rate = 1.0 / law.tau_x
        self.cell = snntorch.Leaky(
            beta=1.0 - self.rate,
            threshold=law.threshold,
            spike_grad=snntorch.surrogate.fast_sigmoid(),
            reset_mechanism="none",
        )

    def forward(self, x: Float[Tensor, "N n"], held: Float[Tensor, "N M"]) -> tuple[Tensor, Tensor]:
        """Return who fires, and what the units then hold."""
        fired, held = self.cell(self.rate * self.synapses(x), held)
        return fired.to(x.dtype), held  # snnTorch answers in float32


Layers = Literal["dense", "sparse"]


@final
class StackNetwork(nn.Module):
    """A stack as a network: from values at the cells of its sheet to its top layer.

    Attributes:
        layers: From below.
        feeding: Number of the layer that feeds each; 1 is the input.
        positions: Buffers ``positions_2`` and so on hold the places of each layer's units.
    """

    def __init__(
        self,
        layers: list[nn.Module],
        feeding: Sequence[int],
        places: list[np.ndarray],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.layers, self.feeding = nn.ModuleList(layers), tuple(feeding)
        for number, at in enumerate(places, start=2):
            self.register_buffer(f"positions_{number}", torch.tensor(at, dtype=dtype))

    def each(self, x: Float[Tensor, "N n"]) -> list[Tensor]:
        """Return what every layer answers, from below."""
        found = [x]
        for layer, below in zip(self.layers, self.feeding, strict=True):
            found.append(layer(found[below - 1]))
        return found[1:]

    def forward(self, x: Float[Tensor, "N n"]) -> Float[Tensor, "N M"]:
        """Return what the top layer answers."""
        return self.each(x)[-1]


@final
class SpikingStack(nn.Module):
    """A stack as spiking units: from spikes over steps to the spikes of every layer."""

    def __init__(self, layers: list[SpikingLayer], feeding: Sequence[int]) -> None:
        super().__init__()
        self.layers, self.feeding = nn.ModuleList(layers), tuple(feeding)

    def forward(self, spikes: Float[Tensor, "steps N n"]) -> list[Float[Tensor, "steps N M"]]:
        """Return the spikes of each layer, from below; all start at rest, a layer hears the one below in the same step."""
        found = [spikes]
        for layer, below in zip(self.layers, self.feeding, strict=True):
            held, fired = torch.zeros(1, dtype=spikes.dtype, device=spikes.device), []
            for frame in found[below - 1]:
                now, held = layer(frame, held)
                fired.append(now)
            found.append(torch.stack(fired))
        return found[1:]


def synapses(weights: Float[np.ndarray, "n M"], layers: Layers, dtype: torch.dtype) -> nn.Module:
    """Return a projection as a module, frozen."""
    from devnet.export._network import PoolingLayer

    matrix = torch.tensor(weights, dtype=dtype)
    if layers == "sparse":
        return SparseLayer(matrix)
    if layers != "dense":
        raise ConfigError("layers", layers, "'dense' or 'sparse'")
    return PoolingLayer(matrix, matrix != 0)
