"""Programs in fresh processes, for measures that what a process did before would spoil: peaks, first calls, imports."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent held when it forked
        line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def in_process(program: str, cache: str | None = None) -> list[list[float]]:
    """Run a program in a fresh process and return the numbers it printed, line by line.

    Args:
        program: Python source.
        cache: Folder for what Numba compiles, or None for the usual one.

    Returns:
        One list a line.
    """
    environment = dict(os.environ)
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = cache
    done = subprocess.run(  # noqa: S603  # our own program, no shell
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]
