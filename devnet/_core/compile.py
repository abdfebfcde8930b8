"""numba's compiler with a cache that neither goes stale nor needs a writable installation.

numba notices a changed kernel only in the file that holds it, not in the files it calls into, and keeps its cache
beside the sources. Here all kernels share one folder of the user's cache, named by a digest of every source that
can be compiled in, so an edit anywhere starts a fresh folder and a read-only installation does no harm.
``NUMBA_CACHE_DIR`` overrides the place.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba import njit
from numba.core import config as _config

_COMPILED_FROM = (
    "_core/random.py",
    "_core/compile.py",
    "backends/mesh.py",
    "backends/numba_",
    "dynamics",
    "growth",
    "measure/_wave_kernel.py",
)


@cache
def cache_folder() -> Path:
    """Return the folder of compiled kernels that belongs to these sources and this numba."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256(numba.__version__.encode())
    for place in _COMPILED_FROM:
        path = root / place
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    for parent in (
        platformdirs.user_cache_path("devnet"),
        Path(tempfile.gettempdir()) / f"devnet-{os.getuid()}",
    ):
        folder = parent / "kernels" / digest.hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    return Path(tempfile.mkdtemp(prefix="devnet-kernels-"))


def jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel: cached, without the interpreter lock, floats as IEEE 754 has them (no fastmath).

    Args:
        **options: Further options of ``numba.njit``.

    Returns:
        The decorator.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        config: Any = _config
        given = config.CACHE_DIR
        config.CACHE_DIR = given or str(cache_folder())
        try:
            return njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        finally:
            config.CACHE_DIR = given

    return decorate
