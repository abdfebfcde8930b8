"""Replicates side by side. Each is a function of its arguments alone, so their number changes nothing but the time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_EXCEPTION,
    BrokenExecutor,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from typing import Any, TypeVar

from devnet._core import stopping
from devnet._core.errors import ResourceError
from devnet._core.progress import task

_LOOK = 0.1
"""Seconds between two looks whether jobs shall stop."""

T = TypeVar("T")
R = TypeVar("R")


def in_threads(label: str, jobs: Sequence[Callable[[], R]], workers: int) -> list[R]:
    """Run compiled jobs, which hold no interpreter lock, in threads.

    Args:
        label: What they do, for the progress display.
        jobs: Functions without arguments.
        workers: How many run at a time.

    Returns:
        Their results, in order.
    """
    with (
        ThreadPoolExecutor(workers) as pool,
        task(label, len(jobs)) as tick,
        _stoppable(pool, stopping.ask),
    ):
        return _collect([pool.submit(job) for job in jobs], tick, stopping.ask)


def in_processes(label: str, function: Callable[[T], R], arguments: Iterable[T], workers: int) -> list[R]:
    """Run PyTorch jobs in processes of one thread each, so that sums do not depend on the number of threads.

    Args:
        label: What they do, for the progress display.
        function: A function of a module.
        arguments: One for each job; can be sent to another process.
        workers: How many run at a time; with 1 the jobs run here.

    Returns:
        The results, in order.

    Raises:
        ResourceError: A process was killed.
    """
    given = list(arguments)
    if workers == 1:
        with task(label, len(given)) as tick, one_thread():
            results: list[R] = []
            for argument in given:
                results.append(function(argument))
                tick()
            return results
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with (
        ProcessPoolExecutor(
            min(workers, len(given)), mp_context=context, initializer=_start, initargs=(stop,)
        ) as pool,
        task(label, len(given)) as tick,
        _stoppable(pool, stop.set),
    ):
        try:
            return _collect([pool.submit(function, argument) for argument in given], tick, stop.set)
        except BrokenExecutor:
            raise ResourceError(
                f"{label}: a worker was ended, most likely for want of memory; give fewer --workers; "
                "the same command, or devnet resume, goes on"
            ) from None


def _collect(futures: Sequence[Any], tick: Callable[..., None], stop: Callable[[], None]) -> list[Any]:
    for future in futures:
        future.add_done_callback(lambda _: tick())
    while wait(futures, _LOOK, FIRST_EXCEPTION).not_done:
        if stopping.asked():
            stop()
            stopping.check()
        if any(future.done() and future.exception() for future in futures):
            break
    stopping.check()  # a worker that a signal to the whole group has ended is no error
    return [future.result() for future in futures]


@contextmanager
def _stoppable(pool: Executor, stop: Callable[[], None]) -> Iterator[None]:
    """Start nothing more once one job failed; on Ctrl-C let those that run save their state and stop."""
    try:
        yield
    except KeyboardInterrupt:
        stop()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold PyTorch to one thread while the block runs, as in a worker."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _start(stop: Any) -> None:
    """Set up a worker: one thread; signals are the parent's to handle; with the parent it ends."""
    for one in stopping.names():
        signal.signal(one, signal.SIG_IGN)
    stopping.follow(stop.is_set)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Leave when the parent is gone, since then nobody holds the lock of the run folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
