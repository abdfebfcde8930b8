"""Mini-batches as a function of the step, so that batch ``t`` is the same wherever a walk is taken up."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from devnet._core.random import Stream

_BLOCK = 1 << 15  # examples whose order is drawn at once, where an epoch is shorter


@final
class Batches:
    """Every epoch in a fresh random order without replacement; a rest smaller than a batch is left out.

    Args:
        stream: Where the orders come from.
        count: Number of examples, N.
        size: Examples a batch; at most N.
        device: Where the index tensors shall lie.
    """

    def __init__(self, stream: Stream, count: int, size: int, device: torch.device | str = "cpu") -> None:
        self._stream = stream
        self._count = count
        self._size = min(size, count)
        self._each = count // self._size
        self._epochs = max(1, _BLOCK // count)
        self._device = device
        self._block = -1
        self._orders = torch.empty(0, dtype=torch.int64)

    def __getitem__(self, step: int) -> Tensor:
        """Return the numbers of the examples in batch ``step``, int64."""
        epoch, place = divmod(step, self._each)
        block, row = divmod(epoch, self._epochs)
        if block != self._block:
            words = self._stream.words(block, self._epochs * self._count).reshape(self._epochs, self._count)
            self._orders = torch.from_numpy(np.argsort(words, axis=1, kind="stable")).to(self._device)
            self._block = block
        return self._orders[row, place * self._size : (place + 1) * self._size]
