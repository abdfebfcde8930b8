"""The one module that writes files: whole or not at all.

A file is written under a temporary name in its own folder, flushed to the device, renamed over the old one, and the
folder flushed. Whatever instant the process dies at, the old file or the new one is there, never a part of either.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from devnet._core.errors import ConfigError, StorageError
from devnet._core.reading import opened

_BLOCK = 1 << 20

TEMPORARY = ".tmp"
"""How the name of a file ends that is being written."""


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically and durably; an existing one is replaced.

    A symbolic link is followed: what it points to is replaced, the link stays.

    Args:
        path: Where; its folder must exist.
        data: All of its bytes.

    Raises:
        StorageError: There is something else than a regular file, or it could not be written; no temporary file is
            left.
    """
    place = regular(path)
    temporary = place.parent / f".{place.name[:100]}.{secrets.token_hex(6)}{TEMPORARY}"
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(place)
            _flush_folder(place.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: {len(data)} bytes could not be written ({reason})") from None


def regular(path: str | Path) -> Path:
    """Return where a file is or shall be, with links followed; refuse devices, pipes, sockets and folders.

    Renaming a new file over one of those would destroy it.

    Args:
        path: The file; it need not exist.

    Returns:
        Its place.

    Raises:
        StorageError: There is something else than a regular file, or it cannot be looked at.
    """
    place = Path(os.path.realpath(path))
    try:
        mode = place.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return place
    except OSError as error:
        raise StorageError(f"{path}: cannot be looked at ({error.strerror})") from None
    if not stat.S_ISREG(mode):
        raise StorageError(f"{path}: is not a regular file and is left alone; give another name")
    return place


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text as ``write_bytes`` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON, readable and in the order of its dicts, as ``write_bytes`` does; NaN and infinity are refused.

    Args:
        path: Where.
        value: What: dicts, lists, strings, numbers.

    Raises:
        StorageError: It could not be written.
        ValueError: A number is not finite.
    """
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return a value as ``write_json`` writes it."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def make_folder(path: str | Path) -> Path:
    """Make a folder and those above it, where they are missing.

    Args:
        path: The folder.

    Returns:
        The folder.

    Raises:
        StorageError: It could not be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: the folder could not be made ({error.strerror})") from None
    return path


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        StorageError: It could not be read.
    """
    sha = hashlib.sha256()
    try:
        with opened(path) as (file, _):
            while block := file.read(_BLOCK):
                sha.update(block)
    except ConfigError:
        raise StorageError(f"{path}: cannot be read (no such file, or no regular one)") from None
    return sha.hexdigest()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
