"""Records: small JSON objects that devnet wrote, read back with care."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from devnet._core.errors import ConfigError, CorruptFileError, StorageError

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
