"""Where results go: checked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from devnet._core.errors import ConfigError, StorageError


def writable(out: Path | None, network: Path | None = None, *, name: str = "--out") -> None:
    """Refuse targets that cannot be written before any work is done.

    Args:
        out: The result, or None.
        network: The network beside it, or None.
        name: Option that gave the result.

    Raises:
        ConfigError: A folder, a file in a folder that does not exist, or twice the same file.
        StorageError: A device or pipe, or no permission to write in the folder.
    """
    from devnet.io import regular

    for option, target in ((name, out), ("--network", network)):
        if target is None:
            continue
        if target.is_dir() or not target.absolute().parent.is_dir():
            raise ConfigError(option, str(target), "a file, not a folder, in a folder that exists")
        folder = regular(target).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StorageError(f"{target}: cannot be written: no permission to write in {folder}")
    if out is not None and network is not None and regular(out) == regular(network):
        raise ConfigError("--network", str(network), "another file than --out")
