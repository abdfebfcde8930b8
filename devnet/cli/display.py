"""Progress on a terminal as nested bars; elsewhere one plain line a stage."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from devnet._core.progress import Listener, Tick

_SHOWN = 4
"""Deepest level of tasks that gets a bar."""
_TOLD = 2
"""Deepest level whose end is told in a line that stays."""


class _Levels:
    """How deep tasks are nested. Tasks of worker threads lie below those of the main thread."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._main = 0

    @contextmanager
    def deeper(self) -> Generator[int]:
        """Go one level deeper and yield its number, from 1."""
        main = threading.current_thread() is threading.main_thread()
        level = (self._main if main else getattr(self._own, "level", self._main)) + 1
        self._set(main, level)
        try:
            yield level
        finally:
            self._set(main, level - 1)

    def _set(self, main: bool, level: int) -> None:
        if main:
            self._main = level
        else:
            self._own.level = level


class Lines:
    """Tells the end of each stage in a line on standard error."""

    def __init__(self) -> None:
        self._levels = _Levels()

    @contextmanager
    def open(self, label: str, total: int | None) -> Generator[Tick]:
        """Open a task; see ``devnet._core.progress``."""
        start = time.perf_counter()
        with self._levels.deeper() as level:
            yield lambda amount=1, note="": None
        if level == _TOLD:
            sys.stderr.write(f"{label:<20} {time.perf_counter() - start:7.1f} s\n")
            sys.stderr.flush()


class Bars:
    """Draws nested bars with steps and the time left; they vanish when their task ends."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._levels = _Levels()
        self._open = 0
        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[of]}", justify="right"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )

    @contextmanager
    def open(self, label: str, total: int | None) -> Generator[Tick]:
        """Open a task; see ``devnet._core.progress``."""
        start = time.perf_counter()
        with self._levels.deeper() as level:
            if level > _SHOWN:
                yield lambda amount=1, note="": None
                return
            self._enter()
            bar = self._bars.add_task("  " * (level - 1) + label, total=total, of=_of(0, total), note="")
            try:
                yield lambda amount=1, note="": self._advance(bar, amount, note)
                if level == _TOLD:
                    self._bars.console.print(
                        f"{label:<20} {time.perf_counter() - start:7.1f} s", highlight=False
                    )
            finally:
                self._bars.remove_task(bar)
                self._leave()

    def _advance(self, bar: Any, amount: int, note: str) -> None:
        with self._lock:
            task = next(task for task in self._bars.tasks if task.id == bar)
            done = int(task.completed) + amount
            of = "" if task.total is None else f"{done}/{int(task.total)}"
            self._bars.update(bar, completed=done, of=of, note=note or task.fields["note"])

    def _enter(self) -> None:
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._bars.start()

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._bars.stop()


def _of(done: int, total: float | None) -> str:
    return "" if total is None else f"{done}/{int(total)}"


def listener() -> Listener:
    """Return bars where standard error is a terminal, else plain lines."""
    return Bars() if sys.stderr.isatty() else Lines()
