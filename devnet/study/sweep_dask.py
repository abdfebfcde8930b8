"""Points of a study on Dask: workers on this machine, on a scheduler that is running, or on a SLURM cluster.

A worker that dies is replaced and its point goes on from its last checkpoint elsewhere. A point that kills four
workers is given up as failed; the others finish.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from devnet._core import stopping
from devnet._core.errors import ConfigError
from devnet._core.optional import require
from devnet.study.sweep import Point, Runner, Work

DEATHS = 3
"""Workers that a point may kill and still be tried again."""
_ANSWER = 20.0
"""Seconds in which a scheduler answers."""
_LOOK = 0.2
_RENEW = 10.0
"""Seconds between two looks for workers that are missing: a cluster does not replace one that came back too late."""
_LATE = "2 minutes"
"""A worker may take as long to come back. One that a cluster gives up and that comes back all the same takes a point,
is closed, and Dask blames that point for it."""


def on_dask(workers: int, scheduler: str | None = None) -> Runner:
    """Return a runner of points.

    Args:
        workers: How many points run at a time; a scheduler that is running has its own workers.
        scheduler: Address of a scheduler, ``"slurm"`` for jobs as dask-jobqueue is configured, or None for processes
            on this machine.

    Returns:
        The runner.

    Raises:
        ConfigError: The address is none, or nobody answers there.
        MissingDependencyError: Dask, or dask-jobqueue for SLURM, is not installed.
    """
    require("distributed", extra="sweep")
    if scheduler == "slurm":
        require("dask_jobqueue", extra="sweep,slurm")
    elif scheduler is not None:
        _call(scheduler)

    def run(points: Sequence[Point], folder: str, work: Work) -> Iterator[tuple[Point, str]]:
        from dask import config
        from distributed import Client

        with ExitStack() as stack:
            stack.enter_context(
                config.set(
                    {
                        "distributed.scheduler.allowed-failures": DEATHS,
                        "distributed.worker.memory.terminate": False,
                        "distributed.deploy.lost-worker-timeout": _LATE,
                    }
                )
            )
            cluster = None
            try:
                if scheduler in (None, "slurm"):
                    cluster = stack.enter_context(_cluster(workers, scheduler))
                where = scheduler if cluster is None else cluster
                client = stack.enter_context(Client(where, set_as_default=False, timeout=_ANSWER))
            except (OSError, ValueError, TimeoutError) as error:
                raise ConfigError(
                    "scheduler", scheduler, f"the address of a Dask scheduler ({error})"
                ) from None
            renew = None if cluster is None else (lambda: cluster.scale(workers))
            yield from _gathered(client, points, folder, work, renew)

    return run


def _call(scheduler: str) -> None:
    """Refuse what is no address, and one where nobody answers, before anything is written for it."""
    allowed = "the address of a Dask scheduler that is running, as tcp://HOST:PORT, or slurm"
    found = re.fullmatch(r"(?:tcp|tls|wss?)://(?:\[([\da-fA-F:]+)\]|([\w.-]+)):(\d{1,5})", scheduler)
    if found is None:
        raise ConfigError("scheduler", scheduler, allowed)
    try:
        socket.create_connection((found[1] or found[2], int(found[3])), timeout=_ANSWER).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError("scheduler", scheduler, f"{allowed} ({error})") from None


def _cluster(workers: int, scheduler: str | None) -> Any:
    if scheduler == "slurm":
        from dask_jobqueue import SLURMCluster  # pyright: ignore[reportMissingImports]

        cluster: Any = SLURMCluster()
        cluster.scale(workers)
        return cluster
    from distributed import LocalCluster

    options: dict[str, Any] = {"dashboard_address": None}  # no page is served
    return LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, memory_limit=0, **options)


def _gathered(
    client: Any, points: Sequence[Point], folder: str, work: Work, renew: Callable[[], Any] | None
) -> Iterator[tuple[Point, str]]:
    """Yield points as they end; a point whose workers died too often comes with the reason."""
    from distributed import KilledWorker

    left, running = list(points), dict[Any, Point]()
    renewed = time.monotonic()
    while left or running:
        # No more at a time than there are threads: who waits behind a point that kills its worker is blamed as well. Workers
        # of a cluster come when its queue lets them.
        room = max(1, sum(client.nthreads().values()))
        while left and len(running) < room:
            point = left.pop(0)
            running[client.submit(work, point, folder, key=point.name, pure=False)] = point
        for future in [future for future in running if future.done()]:
            point, error = running.pop(future), future.exception()
            if error is not None and not isinstance(error, KilledWorker):
                raise error  # as in turn: no failure of the point's own, which is told
            told = future.result() if error is None else f"KilledWorker: {DEATHS + 1} workers died"
            future.release()  # else Dask does it again when its worker dies, and blames it for the next death
            yield point, told
        stopping.check()
        if renew is not None and time.monotonic() - renewed > _RENEW:
            renew()
            renewed = time.monotonic()
        time.sleep(_LOOK)
