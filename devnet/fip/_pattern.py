"""Patterns: which sets of weights a sparse network may keep, given a score for each weight."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet.fip._layout import Layout
from devnet.fip._saliency import threshold


class Pattern(ABC):
    """A rule that turns scores and a sparsity into a mask.

    Attributes:
        by_shards: Whether it works where a process holds only a part of every vector.
    """

    by_shards: ClassVar[bool] = False

    @abstractmethod
    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Return the weights that may stay.

        Args:
            layout: The parameters that move; only counted ones may be cut.
            score: Vector ``[P]``; the smallest leave first.
            sparsity: Share to cut, 0 to 1.

        Returns:
            Bool vector ``[P]``, True where a weight may stay.
        """

    def check(self, layout: Layout, target: float) -> None:  # noqa: B027  (a hook)
        """Refuse a network or target the pattern does not fit; by default nothing.

        Raises:
            ConfigError: It does not fit.
        """


@final
@dataclass(frozen=True)
class Global(Pattern):
    """All counted weights compete with each other."""

    by_shards = True

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the smallest scores; those equal to the last one to go leave with it, so the target is reached."""
        counted = layout.counted_mask(score.device)
        cut = round(sparsity * sum(s for s, c in zip(layout.sizes, layout.counted, strict=True) if c))
        if cut == 0:
            return torch.ones_like(counted)
        score = torch.where(counted, score, math.inf)
        return score > (threshold if layout.shard is None else layout.shard.threshold)(score, cut)


@final
@dataclass(frozen=True)
class PerLayer(Pattern):
    """The weights of each counted parameter compete among themselves: every layer gets the same sparsity."""

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the smallest scores of each parameter; exactly the rounded share of it."""
        kept = torch.ones_like(score, dtype=torch.bool)
        for name, piece in _counted(layout, score).items():
            _drop(layout.split(kept)[name].view(-1), piece.reshape(-1), round(sparsity * piece.numel()))
        return kept


@final
@dataclass(frozen=True)
class Units(Pattern):
    """Whole units (output channels, in a convolution): incoming weights and bias, the share of each layer's units.

    A unit's score is the mean score of its incoming weights. A cut unit is silent wherever the activation is 0 at 0
    and no normalization follows.

    Attributes:
        layers: Names of the layers that lose units; None means all with counted weights but the last one.
    """

    layers: Sequence[str] | None = None

    def _chosen(self, layout: Layout) -> list[str]:
        owners = [n.rpartition(".")[0] for n, c in zip(layout.names, layout.counted, strict=True) if c]
        return list(dict.fromkeys(owners))[:-1] if self.layers is None else list(self.layers)

    def check(self, layout: Layout, target: float) -> None:
        """Refuse unknown layers, and networks without a hidden layer.

        Raises:
            ConfigError: One of these.
        """
        counted = [n.rpartition(".")[0] for n, c in zip(layout.names, layout.counted, strict=True) if c]
        chosen = self._chosen(layout)
        unknown = [n for n in chosen if n not in counted]
        if unknown or not chosen:
            raise ConfigError("pattern.layers", unknown or chosen, f"layers with weights among {counted}")

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the units of smallest mean score; exactly the rounded share of each layer's."""
        kept = torch.ones_like(score, dtype=torch.bool)
        masks, chosen = layout.split(kept), self._chosen(layout)
        for name, piece in _counted(layout, score).items():
            owner = name.rpartition(".")[0]
            if owner not in chosen:
                continue
            units = torch.ones(len(piece), dtype=torch.bool, device=score.device)
            _drop(units, piece.reshape(len(piece), -1).mean(1), round(sparsity * len(piece)))
            masks[name][~units] = False
            bias = f"{owner}.bias" if owner else "bias"
            if bias in masks and masks[bias].shape == units.shape:
                masks[bias].copy_(units)
        return kept


@final
@dataclass(frozen=True)
class NofM(Pattern):
    """N:M sparsity: of every M weights in a row, along the inputs of a unit, N stay; ``Sparsity(0.5)`` of 4 is 2:4.

    Parameters whose number of inputs is no multiple of M are not cut.

    Attributes:
        m: Weights a group.
    """

    m: int = 4

    def __post_init__(self) -> None:
        whole("pattern.m", self.m, 2)

    def check(self, layout: Layout, target: float) -> None:
        """Refuse a target that no whole number of a group makes, and networks without a fitting parameter.

        Raises:
            ConfigError: One of these.
        """
        if abs(target * self.m - round(target * self.m)) > 1e-9:
            raise ConfigError("sparsity", target, f"a multiple of 1/{self.m}, so that N:{self.m} is whole")
        fitting = [s for s, c in zip(layout.shapes, layout.counted, strict=True) if c and self._fits(s)]
        if not fitting:
            raise ConfigError("pattern.m", self.m, "a divisor of the number of inputs of at least one layer")

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) >= 2 and shape[1] % self.m == 0

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the same number of smallest scores from every group."""
        kept = torch.ones_like(score, dtype=torch.bool)
        masks, cut = layout.split(kept), round(sparsity * self.m)
        for name, piece in _counted(layout, score).items():
            if not self._fits(tuple(piece.shape)):
                continue
            rows = piece.movedim(1, -1)
            groups = rows.reshape(-1, self.m)
            inside = torch.ones_like(groups, dtype=torch.bool)
            inside.scatter_(1, groups.argsort(dim=1, stable=True)[:, :cut], False)
            masks[name].copy_(inside.view(rows.shape).movedim(-1, 1))
        return kept


def _counted(layout: Layout, score: Tensor) -> dict[str, Tensor]:
    """Return the pieces of a vector that belong to counted parameters."""
    pieces = layout.split(score)
    return {n: pieces[n] for n, c in zip(layout.names, layout.counted, strict=True) if c}


def _drop(kept: Tensor, score: Tensor, cut: int) -> None:
    """Set a bool vector to False at the ``cut`` smallest scores; the first of equals leave first."""
    kept[score.argsort(stable=True)[:cut]] = False
