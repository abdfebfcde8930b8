"""Readers of the files in which image sets come. Nothing is unpacked before its declared size has been checked."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from devnet._core.errors import CorruptFileError, StorageError
from devnet._core.optional import require

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Images and labels for training, images and labels for the test; uint8."""

_MOST_IMAGES = 100_000
_MOST_JPEG = 256 << 20
_BROKEN = (ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile)
BROKEN_ZIP = (*_BROKEN, NotImplementedError, RuntimeError)
"""What zipfile raises of a damaged archive: also of a compression it does not know, or a password."""


def gray_npz(path: Path) -> Parts:
    """Read ``x_train, y_train, x_test, y_test`` of gray images, (N, H, W) uint8, from an ``.npz`` file."""
    images = ("|u1", 3, _MOST_IMAGES * 32 * 32)
    labels = ("|u1", 1, _MOST_IMAGES)
    found = _npz(path, {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels})
    return found["x_train"], found["y_train"], found["x_test"], found["y_test"]


def jpeg_npz(path: Path) -> Parts:
    """Read 32 x 32 color images from an ``.npz`` file that holds one JPEG stream a part, and offsets into it."""
    image = require("PIL.Image", extra="page")
    wanted: dict[str, tuple[str, int, int]] = {}
    for part in ("train", "test"):
        wanted[f"jpeg_{part}"] = ("|u1", 1, _MOST_JPEG)
        wanted[f"offset_{part}"] = ("<i8", 1, _MOST_IMAGES)
        wanted[f"y_{part}"] = ("|u1", 1, _MOST_IMAGES)
    found = _npz(path, wanted)
    parts: list[np.ndarray] = []
    for part in ("train", "test"):
        stream, offset, labels = (found[f"{name}_{part}"] for name in ("jpeg", "offset", "y"))
        if (
            len(offset) != len(labels) + 1
            or np.any(np.diff(offset) <= 0)
            or offset[0] < 0
            or offset[-1] > len(stream)
        ):
            raise CorruptFileError(f"{path}: offset_{part}: places that do not fit the stream")
        pixels = np.empty((len(labels), 32, 32, 3), np.uint8)
        for i in range(len(labels)):
            try:
                picture = image.open(
                    io.BytesIO(stream[offset[i] : offset[i + 1]].tobytes()), formats=("JPEG",)
                )
                if picture.size != (32, 32):
                    raise ValueError("size")
                pixels[i] = np.asarray(picture.convert("RGB"))
            except (OSError, ValueError, SyntaxError, image.DecompressionBombError):
                raise CorruptFileError(
                    f"{path}: jpeg_{part}: image {i} is no JPEG of 32 x 32 pixels"
                ) from None
        parts += [pixels, labels]
    return parts[0], parts[1], parts[2], parts[3]


def idx(files: Sequence[Path]) -> Parts:
    """Read the four gzipped IDX files of MNIST or Fashion-MNIST."""
    parts = [_idx_file(path, 3 if place % 2 == 0 else 1) for place, path in enumerate(files)]
    for place in (0, 2):
        if len(parts[place]) != len(parts[place + 1]):
            raise CorruptFileError(f"{files[place + 1]}: as many labels as images expected")
    return parts[0], parts[1], parts[2], parts[3]


def cifar_binary(path: Path) -> Parts:
    """Read CIFAR-10's binary archive: records of one label byte and 3 x 32 x 32 color bytes."""
    batches = {
        f"cifar-10-batches-bin/{name}.bin": None
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    }
    most = _MOST_IMAGES * 3073
    records: dict[str, np.ndarray] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.name in batches and member.isreg():
                    file = archive.extractfile(member)
                    if file is None or member.size % 3073 or member.size > most:
                        raise ValueError(f"{member.name}: {member.size} bytes")
                    records[member.name] = np.frombuffer(_exactly(file, member.size), np.uint8).reshape(
                        -1, 3073
                    )
        rows = [records[name] for name in batches]
    except _BROKEN as error:
        raise CorruptFileError(f"{path}: damaged archive ({error})") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    train, test = np.concatenate(rows[:5]), rows[5]
    return *_split_records(train), *_split_records(test)


def _split_records(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]


def _idx_file(path: Path, dimensions: int) -> np.ndarray:
    try:
        with gzip.open(path, "rb") as file:
            head = _exactly(file, 4 + 4 * dimensions)
            shape = tuple(int(n) for n in np.frombuffer(head[4:], ">u4"))
            size = int(np.prod(shape, dtype=np.float64))
            if head[:4] != bytes([0, 0, 8, dimensions]) or size > _MOST_IMAGES * 32 * 32:
                raise ValueError(f"no IDX file of bytes with {dimensions} dimensions")
            data = _exactly(file, size)
            if file.read(1):
                raise ValueError("more bytes than declared")
    except _BROKEN as error:
        raise CorruptFileError(f"{path}: damaged file ({error})") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    return np.frombuffer(data, np.uint8).reshape(shape)


def _npz(path: Path, wanted: dict[str, tuple[str, int, int]]) -> dict[str, np.ndarray]:
    """Read arrays of stated types, numbers of dimensions and largest sizes; no object arrays, no surprise sizes."""
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, (dtype, dimensions, most) in wanted.items():
                with archive.open(f"{name}.npy") as file:
                    found[name] = _npy(file, name, np.dtype(dtype), dimensions, most)
    except BROKEN_ZIP as error:
        raise CorruptFileError(f"{path}: damaged file ({error})") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    for part in ("train", "test"):
        if f"x_{part}" in found and len(found[f"x_{part}"]) != len(found[f"y_{part}"]):
            raise CorruptFileError(f"{path}: y_{part}: as many labels as images expected")
    return found


def _npy(file: IO[bytes], name: str, dtype: np.dtype[Any], dimensions: int, most: int) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{name}: format {version}")
    shape, fortran, found = np.lib.format.read_array_header_1_0(file)
    size = 1
    for n in shape:
        size *= n
    if found != dtype or len(shape) != dimensions or fortran or size > most:
        raise ValueError(f"{name}: {found} of shape {shape}, expected {dtype} with {dimensions} dimensions")
    return np.frombuffer(_exactly(file, size * dtype.itemsize), dtype).reshape(shape)


def _exactly(file: Any, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError(f"{size} bytes declared, {len(data)} there")
    return data
