"""Which parameters move, and where each of them lies in the one flat vector that a walk moves."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from devnet._core.errors import ConfigError
from devnet.fip._shard import Shard

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS)
"""Modules whose weight has a row for each unit, and whose bias an entry."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the moving parameters, in the order in which they fill the flat vector.

    Attributes:
        names: Qualified parameter names, as in ``module.named_parameters()``.
        shapes: Shape of each.
        counted: Which of them count as weights when sparsity is measured or asked for.
        layers: Names of the linear and convolutional layers of the module, in its order.
        shard: Which entries of the flat vector this process holds, where it is cut among several; None means all.
            Vectors that the methods below take or return are of these entries.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    counted: tuple[bool, ...]
    layers: tuple[str, ...] = field(default=(), compare=False)
    shard: Shard | None = field(default=None, compare=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of entries of each parameter."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(self.sizes)

    @property
    def places(self) -> list[tuple[int, int]]:
        """First entry of each parameter, and one after its last."""
        return list(pairwise(accumulate(self.sizes, initial=0)))

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of a flat vector under the names and shapes of the parameters.

        Args:
            flat: Vector of length ``size``.

        Returns:
            One view a parameter; differentiable.
        """
        pieces = flat.split(self.sizes)
        return {n: piece.view(s) for n, piece, s in zip(self.names, pieces, self.shapes, strict=True)}

    def join(self, values: Mapping[str, Tensor]) -> Tensor:
        """Put tensors of the parameters' shapes into one flat vector.

        Args:
            values: One tensor for each name.

        Returns:
            The flat vector.
        """
        return torch.cat([values[n].reshape(-1) for n in self.names])

    def counted_mask(self, device: torch.device | str = "cpu") -> Tensor:
        """Return a bool vector that is True on entries which count as weights."""
        if self.shard is None:
            counts = torch.tensor(self.sizes, device=device)
            return torch.tensor(self.counted, device=device).repeat_interleave(counts)
        mask = torch.empty(self.shard.last - self.shard.first, dtype=torch.bool, device=device)
        for place, counts in zip(self.places, self.counted, strict=True):
            mask[self.shard.own(*place)[0]] = counts
        return mask

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the inner product of two flat vectors."""
        return a.dot(b) if self.shard is None else self.shard.dot(a, b)

    def norm(self, v: Tensor) -> Tensor:
        """Return the Euclidean length of a flat vector."""
        return v.norm() if self.shard is None else self.shard.norm(v)

    def count(self, flags: Tensor) -> int:
        """Return how many entries of a flat bool vector are True."""
        return int(self.total(flags))

    def total(self, flags: Tensor) -> Tensor | int:
        """Return the same without waiting for the device, where it need not."""
        return flags.count_nonzero() if self.shard is None else self.shard.count(flags)

    def ranks(self, flags: Tensor) -> Tensor:
        """Return, for each entry of a flat bool vector, how many are True up to it, itself included."""
        here = flags.cumsum(0)
        return here if self.shard is None else here + self.shard.before(flags)

    def metadata(self) -> dict[str, Any]:
        """Return the layout as plain JSON types."""
        return {
            "names": list(self.names),
            "shapes": [list(s) for s in self.shapes],
            "counted": list(self.counted),
        }


def joined(layer: str, kind: str) -> str:
    """Return the name of a layer's parameter; the module itself may be the layer."""
    return f"{layer}.{kind}" if layer else kind


def share(fraction: float, count: int) -> int:
    """Return a share of some things, rounded to whole ones; of several things one is always left."""
    return min(round(fraction * count), max(0, count - 1))


def copied(module: nn.Module) -> nn.Module:
    """Return a deep copy of a module.

    Args:
        module: The module.

    Returns:
        The copy.

    Raises:
        ConfigError: It holds a tensor that cannot be copied.
        RuntimeError: It fails otherwise.
    """
    try:
        return copy.deepcopy(module)
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        fix = (
            "a module that copy.deepcopy takes; make what torch.nn.utils.weight_norm, spectral_norm or prune computes "
            "a plain parameter (remove_weight_norm, remove_spectral_norm, prune.remove), or use "
            "torch.nn.utils.parametrizations"
        )
        raise ConfigError(
            "module", f"{type(module).__name__} with a tensor that autograd made", fix
        ) from error


def _chosen(field: str, given: Iterable[str], known: Sequence[str]) -> set[str]:
    """Return the given names as a set once each of them is known."""
    if isinstance(given, str):
        raise ConfigError(field, given, "a sequence of parameter names")
    names = list(given)
    unknown = [n for n in names if n not in known]
    if unknown or not names:
        raise ConfigError(field, unknown or names, "names among " + ", ".join(known))
    return set(names)


def layout_of(
    module: nn.Module, parameters: Sequence[str] | None = None, counted: Sequence[str] | None = None
) -> Layout:
    """Describe the moving parameters of a module.

    Args:
        module: The network.
        parameters: Names of the parameters that move; None means all that require a gradient.
        counted: Names of those that count as weights for sparsity; None means the moving ones with at least two
            dimensions (matrices and kernels, not biases or normalization).

    Returns:
        The layout, in the order of ``module.named_parameters()``.

    Raises:
        ConfigError: A lazy module that has no shapes yet, an unknown name, no moving parameter at all, or moving parameters of mixed type or device.
    """
    everything = dict(module.named_parameters())
    lazy = [n for n, t in (*everything.items(), *module.named_buffers()) if is_lazy(t)]
    if lazy:
        raise ConfigError(
            "module", f"{lazy[0]} without a shape", "a module that was called once before, on an example"
        )
    if parameters is None:
        moving = {n for n, p in everything.items() if p.requires_grad}
    else:
        moving = _chosen("parameters", parameters, list(everything))
    if not moving:
        raise ConfigError(
            "parameters", parameters, "a module with at least one parameter that requires a gradient"
        )
    names = tuple(n for n in everything if n in moving)
    kinds = {(everything[n].dtype, everything[n].device) for n in names}
    if len(kinds) > 1 or not next(iter(kinds))[0].is_floating_point:
        text = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ConfigError("parameters", text, "moving parameters of one floating-point type on one device")
    if counted is None:
        weights = {n for n in names if everything[n].ndim >= 2} or set(names)
    else:
        weights = _chosen("counted", counted, names)
    shapes = tuple(tuple(everything[n].shape) for n in names)
    layers = tuple(n for n, m in module.named_modules() if isinstance(m, LAYERS))
    return Layout(names, shapes, tuple(n in weights for n in names), layers)
