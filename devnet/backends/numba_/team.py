"""A few threads that share out one piece of work after another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Team:
    """Threads that work on parts of one thing at a time; the caller's own is one of them.

    Args:
        size: How many threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._others = ThreadPoolExecutor(size - 1) if size > 1 else None

    def share(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run ``work(part, *arguments)`` for each part 0, 1, ... size - 1; parts must not touch what others write.

        Args:
            work: What to run; should spend its time without the interpreter's lock.
            *arguments: Its other arguments.
        """
        if self._others is None:
            work(0, *arguments)
            return
        others = [self._others.submit(work, part, *arguments) for part in range(1, self.size)]
        work(0, *arguments)
        for other in others:
            other.result()

    def piece(self, part: int, length: int, multiple: int) -> tuple[int, int]:
        """Return first and end of a part of ``range(length)``; parts begin at multiples of ``multiple``."""
        first = length * part // self.size // multiple * multiple
        last = length * (part + 1) // self.size // multiple * multiple
        return first, length if part == self.size - 1 else last
