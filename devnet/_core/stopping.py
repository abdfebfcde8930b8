"""How a process that works for hours is asked to stop: one flag, which signals set and computations look at.

Signals are taken by a thread of their own, so that they are heard while compiled code runs. Whoever saves its state
looks at the flag after each save. A computation that does not look in time is left behind: what is on disk is whole
at every instant, so leaving without it loses no more than a kill would.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from devnet._core.errors import InterruptedRunError

_flag = threading.Event()
_also: list[Callable[[], bool]] = []


def ask() -> None:
    """Ask all computations of this process to save their state and stop."""
    _flag.set()


def asked() -> bool:
    """Say whether computations were asked to stop."""
    return _flag.is_set() or any(other() for other in _also)


def forget() -> None:
    """Withdraw the request: what was to stop has stopped."""
    _flag.clear()


def follow(other: Callable[[], bool]) -> None:
    """Let another flag, a parent process's for example, count as well."""
    _also.append(other)


def check() -> None:
    """Stop here if it was asked for.

    Raises:
        InterruptedRunError: It was.
    """
    if asked():
        raise InterruptedRunError("stopped, as asked")


def names() -> tuple[signal.Signals, ...]:
    """Return the signals that ask to stop: Ctrl-C, SIGTERM, and SIGUSR1 where there is one."""
    return signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])


@contextmanager
def on_signals(grace: float = 5.0) -> Generator[None]:
    """Let Ctrl-C, SIGTERM and SIGUSR1 ask to stop while the block runs; for a main program, in its main thread.

    Args:
        grace: Seconds after which the process leaves with code 75 whatever it is doing. A second Ctrl-C leaves at once.

    Yields:
        Nothing.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {one: signal.signal(one, _heard) for one in names()}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(reader, grace), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(old)
        for one, handler in before.items():
            signal.signal(one, handler)
        os.close(writer)  # the end of the pipe is the end of the thread
        thread.join()
        os.close(reader)
        forget()


def _heard(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the system has put the signal's number into the pipe already."""


def _watch(reader: int, grace: float) -> None:
    """Read the signals that the system writes into the pipe, until its end."""
    heard = frozenset(names())
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], left)[0]:
            _leave()
        got = os.read(reader, 64)
        if not got:
            return
        if deadline is not None and signal.SIGINT in got:
            _leave()
        if heard & set(got):
            ask()
            deadline = deadline or time.monotonic() + grace


def _leave() -> None:
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # a progress bar may have hidden the cursor
    os.write(2, b"devnet: stopped; what had been saved is kept\n")
    os._exit(InterruptedRunError.exit_code)
