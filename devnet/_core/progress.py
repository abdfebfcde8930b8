"""Nested progress that costs nothing until somebody listens.

Library code announces ``with task("organize", steps) as tick: ... tick(n)``. By default nothing happens; the
command line installs a listener that draws bars. Listeners nest because tasks do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Tick = Callable[..., None]
"""``tick()`` or ``tick(n)``: so many more units of the task are done; ``tick(n, note)`` also says how it stands."""


class Listener(Protocol):
    """Shows tasks as they open, advance and close."""

    def open(self, label: str, total: int | None) -> AbstractContextManager[Tick]:
        """Open a task of ``total`` units and yield the function that advances it."""
        ...


def _no_tick(amount: int = 1, note: str = "") -> None:
    """Advance nothing."""


_listener: Listener | None = None


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Send all tasks of this process to ``listener`` while the block runs."""
    global _listener  # noqa: PLW0603  # one listener a process; `task` must be free without one
    previous, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = previous


@contextmanager
def task(label: str, total: int | None = None) -> Generator[Tick]:
    """Announce a task.

    Args:
        label: What is done, in a word or two.
        total: How many units it has, or None where that is unknown.

    Yields:
        The function that reports units as done.
    """
    if _listener is None:
        yield _no_tick
        return
    with _listener.open(label, total) as tick:
        yield tick
