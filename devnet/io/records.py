"""Records: small JSON objects that devnet wrote, read back with care.

What later work rests on holds a SHA-256 of itself under ``sha256``, over its other entries as canonical JSON, and is
written in one way only: a changed byte that means the same is still a changed byte.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from devnet._core.checkpoint import fingerprint
from devnet._core.errors import CorruptFileError
from devnet._core.reading import read_bounded
from devnet.io.writer import json_text, write_json

_MOST_JSON = 64 << 20


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is no JSON object.
    """
    return _object(path, read_bounded(path, _MOST_JSON))


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise CorruptFileError(f"{path}: no valid JSON") from None
    if not isinstance(value, dict):
        raise CorruptFileError(f"{path}: no JSON object")
    return cast("dict[str, Any]", value)


def write_record(path: Path, value: dict[str, Any]) -> None:
    """Write an object together with its digest; errors as ``write_json``."""
    plain = json.loads(json.dumps(value))  # names as text, as they come back
    write_json(path, plain | {"sha256": fingerprint(plain)})


def read_record(path: Path) -> dict[str, Any]:
    """Read an object that ``write_record`` wrote, and check every byte of it.

    Args:
        path: The file.

    Returns:
        The object, without its digest.

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged.
    """
    data = read_bounded(path, _MOST_JSON)
    value = _object(path, data)
    try:
        same = json_text(value).encode("utf-8") == data and value.pop("sha256", None) == fingerprint(value)
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise CorruptFileError(f"{path}: does not match its SHA-256")
    return value
