"""Files that others may have written: opened without waiting, regular ones only, and never more read than is allowed."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from devnet._core.errors import ConfigError, CorruptFileError, StorageError

MOST_TOML = 1 << 19
"""Bytes of a TOML file: a model has ten thousand."""
_DEEPEST = 16
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){16}""")


@contextmanager
def opened(path: str | Path) -> Generator[tuple[BinaryIO, int]]:
    """Open a regular file; a pipe or device could block or never end, and is refused without a byte read.

    Args:
        path: The file.

    Yields:
        The file, and how many bytes it has.

    Raises:
        ConfigError: There is no such file, or something else than a regular one.
        StorageError: It cannot be read.
    """
    try:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except ValueError:  # NUL in its name
            raise ConfigError("path", str(path), "the name of a file") from None
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise ConfigError("path", str(path), "a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield file, info.st_size
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError("path", str(path), "a file that exists") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_bounded(path: str | Path, most: int) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: The file.
        most: How many there may be.

    Returns:
        All of them.

    Raises:
        ConfigError: As ``opened``.
        StorageError: As ``opened``.
        CorruptFileError: There are more.
    """
    with opened(path) as (file, size):
        if size <= most:
            return file.read(size)
    raise CorruptFileError(f"{path}: {size} bytes are more than the {most} that are read")


def read_toml(path: str | Path, *, where: str = "") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        where: What errors call it; its path where empty.

    Returns:
        Its tables.

    Raises:
        ConfigError: There is no such file, or it is no TOML in UTF-8.
        StorageError: It cannot be read.
        CorruptFileError: It has more than ``MOST_TOML`` bytes.
    """
    try:
        source = read_bounded(path, MOST_TOML).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(where or str(path), str(error), "a TOML file in UTF-8") from None
    return parse_toml(source, where=where or str(path))


def parse_toml(source: str, *, where: str) -> dict[str, Any]:
    """Read TOML text.

    Args:
        source: The text.
        where: What errors call it.

    Returns:
        Its tables.

    Raises:
        ConfigError: It is no TOML, or its tables and lists lie too deep in one another.
    """
    if len(source) > MOST_TOML:
        raise ConfigError(where, f"{len(source)} characters", f"at most {MOST_TOML}")
    shallow = f"tables and lists that lie at most {_DEEPEST} deep in one another"
    if _LONG_KEY.search(source):  # the parser takes the square of a key's length
        raise ConfigError(where, "a key of many parts", shallow)
    try:
        data = tomllib.loads(source)
    except RecursionError:
        raise ConfigError(where, "deep nesting", shallow) from None
    except ValueError as error:  # also a number of too many digits
        raise ConfigError(where, str(error), "valid TOML") from None
    level: list[Any] = [data]
    for _ in range(_DEEPEST + 1):
        level = [inner for outer in level for inner in _within(outer)]
    if level:
        raise ConfigError(where, "deep nesting", shallow)
    return data


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).values())
    return cast("list[Any]", value) if isinstance(value, list) else []
