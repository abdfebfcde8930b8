"""On what machine and with which versions numbers were made."""

from __future__ import annotations

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
