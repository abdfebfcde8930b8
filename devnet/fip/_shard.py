"""A flat vector cut among processes: each holds consecutive entries of the weights and of all that is beside them.

What treats every entry by itself (moments, masks, contractions) is the same on a part. Sums run over blocks of ``BLOCK``
entries, whose sums every process gathers and adds in their order; a threshold is found by counting. Parts begin where
blocks do, so that a sum does not depend on the number of parts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet.fip._distributed import Team

BLOCK = 1024
"""Entries that one process adds up by itself; parts are cut at multiples of it."""


@final
class Shard:
    """The part of a flat vector that this process holds. Every process must come to each call, in the same order.

    Args:
        total: Length of the whole vector, P.
        mates: The processes.

    Attributes:
        bounds: First entry of every process's part, and P.
        first: First entry that this process holds.
        last: One after its last.

    Raises:
        ConfigError: There are fewer blocks than processes.
    """

    def __init__(self, total: int, mates: Team) -> None:
        blocks = -(-total // BLOCK)
        if blocks < mates.size:
            raise ConfigError(
                "torchrun", mates.size, f"at most {blocks} processes for {total} weights in parts"
            )
        cuts = [min(total, BLOCK * (blocks * rank // mates.size)) for rank in range(mates.size + 1)]
        self.bounds: tuple[int, ...] = tuple(cuts)
        self.first, self.last = cuts[mates.rank], cuts[mates.rank + 1]
        self._mates = mates

    def own(self, first: int, last: int) -> tuple[slice, slice]:
        """Return which of the entries from first to last of the whole vector are here: in the part, and among them."""
        a, b = self._spans(first, last)[self._mates.rank]
        return slice(a - self.first, b - self.first), slice(a - first, b - first)

    def sums(self, entries: Tensor) -> Tensor:
        """Return the sums of all blocks.

        Args:
            entries: This process's part of a vector.

        Returns:
            Vector of float64, the same on every process.
        """
        whole = len(entries) // BLOCK * BLOCK
        sums = entries[:whole].view(-1, BLOCK).sum(1)
        if whole < len(entries):
            sums = torch.cat([sums, entries[whole:].sum().reshape(1)])
        counts = [-(-(b - a) // BLOCK) for a, b in pairwise(self.bounds)]
        padded = sums.new_zeros(max(counts), dtype=torch.float64)
        padded[: len(sums)] = sums
        parts = self._mates.gathered(padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the inner product of two vectors."""
        return self.sums(a * b).sum().to(a.dtype)

    def norm(self, v: Tensor) -> Tensor:
        """Return the Euclidean length of a vector."""
        return self.sums(v.square()).sum().sqrt().to(v.dtype)

    def count(self, flags: Tensor) -> int:
        """Return how many entries of a bool vector are True."""
        return sum(int(part) for part in self._mates.gathered(flags.sum().reshape(1)))

    def before(self, flags: Tensor) -> int:
        """Return how many entries of a bool vector are True in the parts of the processes before this one."""
        counts = self._mates.gathered(flags.sum().reshape(1))
        return sum(int(count) for count in counts[: self._mates.rank])

    def threshold(self, score: Tensor, cut: int) -> Tensor:
        """Return the ``cut``-th smallest score of the whole vector.

        Numbers of at least 0 are in the order of their bits as integers. Of these the first eight are found by counting,
        then the next eight, and so on.

        Args:
            score: This process's part, at least 0 and without NaN.
            cut: From 1 to P.

        Returns:
            Scalar.
        """
        wide = score if score.element_size() >= 4 else score.float()
        kind = torch.int64 if wide.element_size() == 8 else torch.int32
        rest, found, left = wide.view(kind), 0, cut
        for shift in range(8 * wide.element_size() - 8, -1, -8):
            digits = (rest >> shift) & 255
            parts = self._mates.gathered(digits.bincount(minlength=256))
            upto = torch.stack(parts).sum(0).cumsum(0)
            digit = int((upto < left).sum())
            left -= int(upto[digit - 1]) if digit else 0
            rest, found = rest[digits == digit], found << 8 | digit
        return torch.tensor(found, dtype=kind, device=score.device).view(wide.dtype)

    def fetch(self, part: Tensor, first: int, last: int) -> Tensor:
        """Return some entries of the whole vector.

        Args:
            part: This process's part.
            first: The first of them.
            last: One after the last.

        Returns:
            A new vector, the same on every process.
        """
        found = part.new_empty(last - first)
        for rank, (a, b) in enumerate(self._spans(first, last)):
            if a == b:
                continue
            view = found[a - first : b - first]
            if rank == self._mates.rank:
                view.copy_(part[a - self.first : b - self.first])
            if self._mates.size > 1:
                dist.broadcast(view, src=rank)
        return found

    def add(self, total: Tensor, values: Tensor, first: int) -> None:
        """Add what every process has for some entries to a vector, in the order of the processes.

        Args:
            total: This process's part of the vector; changed in place.
            values: What this process has, for entries of the whole vector.
            first: The first of these.
        """
        spans = self._spans(first, first + len(values))
        own = total[self.own(first, first + len(values))[0]]
        parts = values.new_empty(self._mates.size * len(own))
        if self._mates.size == 1:
            parts = values
        else:
            sizes = [b - a for a, b in spans]
            dist.all_to_all_single(parts, values, [len(own)] * self._mates.size, sizes)
        for part in parts.view(self._mates.size, len(own)):
            own.add_(part)

    def _spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return what every process holds of the entries from first to last."""
        cut = [min(max(bound, first), last) for bound in self.bounds]
        return list(pairwise(cut))
