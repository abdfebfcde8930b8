"""On what machine and with which versions numbers were made."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from devnet.study.plan import cores

_LIBRARIES = (
    "numpy",
    "scipy",
    "numba",
    "torch",
    "scikit-learn",
    "shapely",
    "pydantic",
    "safetensors",
    "matplotlib",
)


def machine() -> dict[str, object]:
    """Return what kind of machine this is: system, architecture, processor model, cores this process may use."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": cores(),
    }


def _processor(listing: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's model name, as far as the system tells it."""
    with suppress(OSError):
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results can depend on, those that are installed."""
    found = {"python": ".".join(str(n) for n in sys.version_info[:3])}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def available_memory() -> int:
    """Return how many bytes a new process can take: what is free, and what a container's or job's limit leaves."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = 1024 * int(line.split()[1])
    return min(free, _limit())


def _limit(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many bytes the control groups of this process leave it."""
    left = sys.maxsize
    with suppress(OSError):
        group = own.read_text(encoding="utf-8").partition("::")[2].strip().strip("/")
        for folder in [root / group, *(root / group).parents]:
            if not folder.is_relative_to(root):
                break
            with suppress(OSError, ValueError):  # "max" is no number and no limit
                limit = int((folder / "memory.max").read_text(encoding="ascii"))
                left = min(left, limit - int((folder / "memory.current").read_text(encoding="ascii")))
    return max(0, left)


def resident() -> int:
    """Return how many bytes of memory this process holds at this moment, as far as the system tells; else 0."""
    with suppress(OSError, ValueError, IndexError):
        return os.sysconf("SC_PAGE_SIZE") * int(
            Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        )
    return 0
