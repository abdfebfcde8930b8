"""One file format for all arrays: safetensors, with a schema, a kind and a digest.

The format itself accepts NaN, absurd shapes and most bit flips, so its one metadata entry ``devnet`` holds canonical
JSON: ``{"kind", "metadata", "schema", "sha256", "version"}``. The SHA-256 runs over that JSON without the digest,
and over name, type, shape and bytes of each array in the order of the names. Reading trusts nothing before it is
checked, and reserves no memory that the file does not fill.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.reading import opened
from devnet.io.writer import write_bytes

SCHEMA = 1
"""Version of the layout; a reader refuses a larger one."""

_TYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_HALF = {"F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
"""Read from other programs' files only; NumPy has no bfloat16, the upper half of a float32."""
MOST_HEADER = 4 << 20
"""Bytes of a header. A long computation's grows by 70 with every save: those of six weeks at one a minute fit."""
_MOST_DIMENSIONS = 16

Arrays = dict[str, npt.NDArray[Any]]


def library_version() -> str:
    """Return the version of devnet that is installed."""
    try:
        return version("devnet")
    except PackageNotFoundError:
        return "0+checkout"


def write_tensors(
    path: str | Path, arrays: Mapping[str, npt.NDArray[Any]], kind: str, metadata: dict[str, Any]
) -> str:
    """Write arrays and metadata as one file.

    Args:
        path: Where; replaced atomically.
        arrays: The arrays by name.
        kind: What the file holds, ``"sheet"`` for example.
        metadata: Whatever JSON can hold.

    Returns:
        The SHA-256 that the file holds of itself.

    Raises:
        ConfigError: An array is of a type that the format does not hold, or names and metadata are too many.
        StorageError: It could not be written.
    """
    plain: Arrays = {}
    for name, array in arrays.items():
        # The format knows neither byte order nor strides.
        plain[name] = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
        if plain[name].dtype not in _TYPES.values():
            raise ConfigError(name, f"array of {array.dtype}", f"an array of {', '.join(_TYPES)}")
    head: dict[str, Any] = {
        "kind": kind,
        "metadata": metadata,
        "schema": SCHEMA,
        "version": library_version(),
    }
    head["sha256"] = _digest(plain, head)
    data = safetensors.numpy.save(plain, {"devnet": _canonical(head)})
    if (length := int.from_bytes(data[:8], "little")) > MOST_HEADER:
        raise ConfigError(
            "metadata", f"a header of {length} bytes", f"names and metadata of at most {MOST_HEADER}"
        )
    write_bytes(path, data)
    return head["sha256"]


def read_tensors(path: str | Path, kind: str | None = None) -> tuple[Arrays, dict[str, Any]]:
    """Read a file that ``write_tensors`` wrote, and check all of it.

    Args:
        path: Where.
        kind: What it must hold, or None where any kind will do.

    Returns:
        The arrays, read-only, and the metadata.

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, of another kind, from a newer devnet, or not of this format.
    """
    arrays, head = _read(Path(path))
    if kind is not None and head["kind"] != kind:
        raise CorruptFileError(f"{path}: holds a {_short(head['kind'])}, not a {kind}")
    return arrays, head["metadata"]


def read_listed(path: str | Path, kind: str, sha256: str) -> Arrays:
    """Return the arrays of a file that another one lists by its digest; errors as ``read_tensors``."""
    arrays, head = _read(Path(path))
    if (head["kind"], head["sha256"]) != (kind, sha256):
        raise CorruptFileError(f"{path}: not the {kind} that was listed")
    return arrays


def read_any(path: str | Path) -> tuple[str, Arrays, dict[str, Any]]:
    """Return (kind, arrays, metadata) of a file; it is checked as by ``read_tensors``."""
    arrays, head = _read(Path(path))
    return head["kind"], arrays, head["metadata"]


def plain_arrays(path: Path) -> tuple[Arrays, set[str]]:
    """Return the arrays of a safetensors file that any program may have written; its metadata are ignored.

    Args:
        path: The file.

    Returns:
        The arrays, read-only, those of half precision widened to float32, and the types that were widened.

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, or not of this format.
    """
    with opened(path) as (file, size):
        header = _header(path, file, size)
        arrays = _arrays(path, header, file, size, _TYPES | _HALF)
    wide = set[str]()
    for name, array in arrays.items():
        kind = header[name]["dtype"]
        if kind in _HALF:
            if kind == "BF16":
                array = np.asarray(array.astype("<u4") << 16).view("<f4")
            arrays[name] = array.astype("<f4")
            arrays[name].flags.writeable = False
            wide.add(kind)
    return arrays, wide


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    with opened(path) as (file, size):
        header = _header(path, file, size)
        head = _head(path, header)
        arrays = _arrays(path, header, file, size)
    if _digest(arrays, {name: value for name, value in head.items() if name != "sha256"}) != head["sha256"]:
        _corrupt(path, "data", "the bytes do not match their SHA-256; the file is damaged")
    return arrays, head


def _header(path: Path, file: BinaryIO, size: int) -> dict[str, Any]:
    """Read the header alone: what it declares is held against the file's size before anything else is read."""
    if size < 8:
        _corrupt(path, "header length", f"the file has {size} bytes; at least 8 belong to a header")
    length = int.from_bytes(file.read(8), "little")
    if length > min(MOST_HEADER, size - 8):
        most = f"at most {MOST_HEADER} are read" if length > MOST_HEADER else f"{size - 8} are there"
        _corrupt(path, "header length", f"{length} bytes are declared, {most}")
    raw = file.read(length)
    try:
        header: Any = json.loads(raw.decode("utf-8"))
        again = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        _corrupt(path, "header", "no valid JSON")
    # One text for one header: a changed byte that means the same is still a changed byte.
    if not isinstance(header, dict) or raw.rstrip(b" ") != again:
        _corrupt(path, "header", "not written as devnet writes it")
    return cast("dict[str, Any]", header)


def _head(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    try:
        text: Any = header["__metadata__"]["devnet"]
        head: Any = json.loads(text)
        same = set(header["__metadata__"]) == {"devnet"} and text == _canonical(head)
    except (KeyError, TypeError, ValueError, RecursionError):
        _corrupt(path, "metadata", "no devnet entry; the file was not written by devnet")
    if (
        not same
        or not isinstance(head, dict)
        or not isinstance(cast("dict[str, Any]", head).get("schema"), int)
    ):
        _corrupt(path, "metadata", "the devnet entry is damaged")
    head = cast("dict[str, Any]", head)
    if head["schema"] != SCHEMA:
        raise CorruptFileError(
            f"{path}: metadata: schema {_short(head['schema'])} is unknown, this devnet reads {SCHEMA}; update devnet"
        )
    wanted = {"kind": str, "metadata": dict, "schema": int, "sha256": str, "version": str}
    if set(head) != set(wanted) or not all(isinstance(head[name], kind) for name, kind in wanted.items()):
        _corrupt(path, "metadata", "the devnet entry is damaged")
    return head


def _arrays(
    path: Path,
    header: dict[str, Any],
    file: BinaryIO,
    size: int,
    types: Mapping[str, np.dtype[Any]] = _TYPES,
) -> Arrays:
    """Read the arrays that lie behind the header, once it is clear that they fill the file."""
    entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    room, end = size - file.tell(), 0
    places: list[tuple[str, np.dtype[Any], list[int], int]] = []
    for name, entry in sorted(entries, key=lambda item: _offsets(path, *item)):
        dtype = types.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        shape = entry["shape"]
        if dtype is None:
            _corrupt(path, f"array {_short(name)}", f"unknown type {_short(entry['dtype'])}")
        if not _whole(shape) or len(shape) > _MOST_DIMENSIONS:
            _corrupt(path, f"array {_short(name)}", "a shape that is no list of sizes")
        first, last = entry["data_offsets"]
        if first != end or last - first != math.prod(shape) * dtype.itemsize or last > room:
            _corrupt(
                path,
                f"array {_short(name)}",
                f"shape {_short(shape)} does not fit the bytes {first} to {last}",
            )
        places.append((name, dtype, shape, first))
        end = last
    if end != room:
        _corrupt(path, "data", f"{end} bytes are declared, {room} are there")
    data = file.read(end)
    if len(data) != end:
        _corrupt(path, "data", f"{end} bytes are declared, {len(data)} are there")
    return {name: _array(path, name, data, kind, shape, first) for name, kind, shape, first in places}


def _array(
    path: Path, name: str, data: bytes, dtype: np.dtype[Any], shape: list[int], first: int
) -> npt.NDArray[Any]:
    flat = np.frombuffer(data, dtype, count=math.prod(shape), offset=first)
    if dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
        _corrupt(path, f"array {_short(name)}", "a truth value that is neither 0 nor 1")
    try:
        array = flat.reshape(shape)
    except ValueError:
        _corrupt(path, f"array {_short(name)}", f"shape {_short(shape)} is too large")
    if not array.flags.aligned:
        array = array.copy()
        array.flags.writeable = False
    return array


def _offsets(path: Path, name: str, entry: Any) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(cast("dict[str, Any]", entry)) != {
        "dtype",
        "shape",
        "data_offsets",
    }:
        _corrupt(path, f"array {_short(name)}", "an entry without type, shape or place")
    offsets = cast("dict[str, Any]", entry)["data_offsets"]
    if not _whole(offsets) or len(offsets) != 2:
        _corrupt(path, f"array {_short(name)}", "a place that is no pair of offsets")
    first, last = cast("list[int]", offsets)
    return first, last


def _whole(value: Any) -> bool:
    """Say whether a value is a list of sizes: whole numbers that a 64-bit machine can count."""
    return isinstance(value, list) and all(
        type(n) is int and 0 <= n < 2**62 for n in cast("list[object]", value)
    )


def _digest(arrays: Mapping[str, npt.NDArray[Any]], head: dict[str, Any]) -> str:
    types = {dtype: name for name, dtype in _TYPES.items()}
    sha = hashlib.sha256(_canonical(head).encode("utf-8"))
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(_canonical([name, types[array.dtype], list(array.shape)]).encode("utf-8"))
        sha.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return sha.hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True, allow_nan=False)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return (text[:40] + "...") if len(text) > 40 else text


def _corrupt(path: Path, section: str, what: str) -> NoReturn:
    raise CorruptFileError(f"{path}: {section}: {what}")
