"""Patterns: which sets of weights a sparse network may keep, given a score for each weight."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet.fip._layout import Layout, joined, share
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
    """All counted weights compete with each other.

    The rounded share of them is cut; of equal scores those that come first. Only scores of 0 all leave, however many:
    nothing is lost with them, and what is zero already stays so.
    """

    by_shards = True

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the smallest scores."""
        counted = layout.counted_mask(score.device)
        cut = share(sparsity, sum(s for s, c in zip(layout.sizes, layout.counted, strict=True) if c))
        if cut <= 0:
            return torch.ones_like(counted)
        score = torch.where(counted, score, math.inf)
        last = (threshold if layout.shard is None else layout.shard.threshold)(score, cut)
        kept = score > last
        left = layout.size - cut
        if kept.device.type == "cpu" and layout.shard is None and np.count_nonzero(kept.numpy()) == left:
            return kept
        # Elsewhere ties are looked for without asking whether there are any: nothing waits for the device.
        ties = (score == last) & (score > 0)
        spare = left - layout.total(kept)
        return kept | ties & (layout.ranks(ties) > layout.total(ties) - spare)


@final
@dataclass(frozen=True)
class PerLayer(Pattern):
    """The weights of each counted parameter compete among themselves: every layer gets the same sparsity.

    Shares are rounded to whole weights, of which a parameter keeps at least one.
    """

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the smallest scores of each parameter; exactly the rounded share of it."""
        kept = torch.ones_like(score, dtype=torch.bool)
        for name, piece in _counted(layout, score).items():
            _drop(layout.split(kept)[name].view(-1), piece.reshape(-1), share(sparsity, piece.numel()))
        return kept


@final
@dataclass(frozen=True)
class Units(Pattern):
    """Whole units of linear layers, output channels of convolutions: the share of each layer's, rounded.

    A unit leaves with its incoming weights and bias, by the sum of their scores; a layer keeps at least one. A cut unit
    is silent wherever the activation is 0 at 0 and no normalization follows. Only ``nn.Linear`` and ``nn.Conv1d`` to
    ``Conv3d`` have units here: embeddings, attention's projection of its inputs, transposed convolutions, recurrent
    layers and plain parameters are left whole.

    Attributes:
        layers: Names of the layers that lose units; None means all with counted weights but the last one.
    """

    layers: Sequence[str] | None = None

    def _names(self, layout: Layout) -> tuple[list[str], list[str]]:
        """Return the layers that may lose units, and those that do."""
        counted = {n for n, c in zip(layout.names, layout.counted, strict=True) if c}
        known = [n for n in layout.layers if joined(n, "weight") in counted]
        return known, known[:-1] if self.layers is None else list(self.layers)

    def check(self, layout: Layout, target: float) -> None:
        """Refuse unknown layers, and networks without a hidden layer.

        Raises:
            ConfigError: One of these.
        """
        known, chosen = self._names(layout)
        unknown = [n for n in chosen if n not in known]
        if unknown or not chosen:
            allowed = f"linear layers or convolutions among {known}"
            raise ConfigError("pattern.layers", unknown or chosen, allowed)

    def plane(self, layout: Layout, score: Tensor, sparsity: float) -> Tensor:
        """Cut the units of smallest score; exactly the rounded share of each layer's."""
        kept = torch.ones_like(score, dtype=torch.bool)
        masks, scores = layout.split(kept), layout.split(score)
        for layer in self._names(layout)[1]:
            parts = [n for n in (joined(layer, "weight"), joined(layer, "bias")) if n in scores]
            total = torch.stack(
                [scores[n].flatten(1).sum(1) if scores[n].ndim > 1 else scores[n] for n in parts]
            ).sum(0)
            units = torch.ones_like(total, dtype=torch.bool)
            _drop(units, total, share(sparsity, len(units)))
            for name in parts:
                masks[name][~units] = False
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
