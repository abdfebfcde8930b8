"""Records: small JSON objects that devnet wrote, read back with care.

What later work rests on holds a SHA-256 of itself under ``sha256``, over its other entries as canonical JSON, and is
written in one way only: a changed byte that means the same is still a changed byte.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from devnet._core.checkpoint import fingerprint
from devnet._core.errors import ConfigError, CorruptFileError, StorageError
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
    try:
        if path.stat().st_size > _MOST_JSON:
            raise CorruptFileError(f"{path}: larger than {_MOST_JSON} bytes")
        value: Any = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError("path", str(path), "a file that exists") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror})") from None
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
    value = read_json(path)
    try:
        same = json_text(value).encode("utf-8") == path.read_bytes()
    except (ValueError, OSError):
        same = False
    if not same or value.pop("sha256", None) != fingerprint(value):
        raise CorruptFileError(f"{path}: does not match its SHA-256")
    return value
