"""Frames: who fires in each of some consecutive steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from devnet._core.errors import ConfigError


@dataclass(frozen=True)
class Frames:
    """Who fires in each of some consecutive steps.

    Attributes:
        first: (steps + 1,), where a step's cells begin in ``cells``; the last entry is their number.
        cells: (K,), cells in order of step, then cell.
    """

    first: Int[np.ndarray, " steps_plus_1"]
    cells: Int[np.ndarray, " K"]

    @classmethod
    def of(cls, time: Int[np.ndarray, " K"], cell: Int[np.ndarray, " K"], steps: int) -> Frames:
        """Return spikes, given by step and cell in order of steps, as frames."""
        first = np.searchsorted(time, np.arange(steps + 1)).astype(np.int64)
        return cls(first, np.asarray(cell, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.first) - 1

    def __iter__(self) -> Iterator[Int[np.ndarray, " k"]]:
        return (self.cells[a:b] for a, b in zip(self.first[:-1], self.first[1:], strict=True))

    def time(self) -> Int[np.ndarray, " K"]:
        """Return the step of each spike."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def dense(self, units: int) -> Float[np.ndarray, "steps M"]:
        """Return a row of zeros and ones a step.

        Args:
            units: Cells or units M of the layer.

        Returns:
            (steps, M), 1 where a unit fires.

        Raises:
            ConfigError: A unit beyond the last one fires.
        """
        if (least := int(self.cells.max(initial=-1)) + 1) > units:
            raise ConfigError("units", units, f"at least {least}: so many the frames speak of")
        found = np.zeros((len(self), units))
        found[self.time(), self.cells] = 1.0
        return found

    def compact(self, places: Float[np.ndarray, "n 2"], cell_area: float, limit: float) -> Frames:
        """Return the same steps, those empty in which the firing cells lie farther apart than those of one bump.

        Args:
            places: Where the cells lie.
            cell_area: Area of the sheet a cell.
            limit: Largest rms distance of k cells to their middle, over that of a disc of k cells, sqrt(k area / 2 pi).

        Returns:
            As many steps.
        """
        counts, time = np.diff(self.first), self.time()
        at = places[self.cells]
        sums = np.stack([np.bincount(time, values, len(counts)) for values in (*at.T, (at**2).sum(axis=1))])
        x, y, square = sums / np.maximum(counts, 1)
        kept = square - x**2 - y**2 <= limit**2 * counts * cell_area / (2.0 * np.pi)
        first = np.concatenate([[0], np.cumsum(counts * kept)]).astype(np.int64)
        return Frames(first, self.cells[kept[time]])

    def held(self, steps: int) -> Frames:
        """Return as many steps, a cell in those within which it fired ``steps`` - 1 steps ago or later."""
        reach = int(self.cells.max(initial=0)) + 1
        keys = np.unique(((self.time() * reach + self.cells)[:, None] + reach * np.arange(steps)).ravel())
        keys = keys[keys < reach * len(self)]
        return Frames.of(keys // reach, keys % reach, len(self))

    def part(self, begin: int, end: int) -> Frames:
        """Return steps ``begin`` to ``end - 1``."""
        first, last = self.first[begin], self.first[end]
        return Frames(self.first[begin : end + 1] - first, self.cells[first:last])

    @classmethod
    def join(cls, parts: Sequence[Frames]) -> Frames:
        """Return consecutive parts as one."""
        counts = np.concatenate([np.diff(part.first) for part in parts])
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(first, np.concatenate([part.cells for part in parts]))

    def ordered(self, order: Int[np.ndarray, " steps"]) -> Frames:
        """Return the same steps in another order."""
        return Frames.join([self.part(t, t + 1) for t in order])
