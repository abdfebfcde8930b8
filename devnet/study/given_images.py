"""Labelled images for the commands: a set by name, or an ``.npz`` file of the user's own, gray or in color."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet.data import ImageSet, load_images
from devnet.data._formats import BROKEN_ZIP
from devnet.data._formats import _exactly as exactly

_NAMES = ("x_train", "y_train", "x_test", "y_test")
_MOST = 8 << 30
"""Bytes that an array may have at most."""
_WANTED = (
    "an .npz file with x_train and x_test, images [N, H, W], [N, C, H, W] or [N, H, W, C] of uint8, float32 or float64, "
    "and y_train and y_test, class numbers [N]"
)


@dataclass(frozen=True, eq=False)
class GivenImages:
    """Images of a file, as a network takes them.

    Attributes:
        name: The file.
        x_train: (N, H, W) or (N, C, H, W), float32.
        y_train: (N,), classes from 0.
        x_test: (T, ...).
        y_test: (T,).
    """

    name: str
    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W), or (C, H, W)."""
        return self.x_train.shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.y_train.max(), self.y_test.max())) + 1


Labelled = ImageSet | GivenImages


def images_of(data: str, option: str = "--data") -> Labelled:
    """Load an image set by name, or an ``.npz`` file.

    Bytes become numbers from 0 to 1; fractions stay as they are, so that they can be scaled as the network expects.
    Color images come as ``[N, C, H, W]``: where the last axis alone has at most four entries, it is the channels.

    Args:
        data: A name of ``load_images``, or a path that ends with ``.npz``.
        option: What an error shall name.

    Returns:
        The images.

    Raises:
        ConfigError: Unknown name, no such file, or arrays that do not fit.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged.
    """
    if not data.endswith(".npz"):
        return load_images(data)
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(Path(data)) as archive:
            for name in _NAMES:
                if f"{name}.npy" not in archive.namelist():
                    raise ConfigError(option, f"{data}: no {name}", _WANTED)
                found[name] = _array(archive, option, name)
    except FileNotFoundError:
        raise ConfigError(option, data, "a file that exists") from None
    except BROKEN_ZIP as error:
        raise CorruptFileError(f"{data}: damaged file ({error})") from None
    except OSError as error:
        raise StorageError(f"{data}: cannot be read ({error.strerror or error})") from None
    pixels = [_pixels(found[name]) for name in ("x_train", "x_test")]
    labels = [found[name].astype(np.int64) for name in ("y_train", "y_test")]
    given = GivenImages(data, pixels[0], labels[0], pixels[1], labels[1])
    for part in ("train", "test"):
        x, y = getattr(given, f"x_{part}"), getattr(given, f"y_{part}")
        if len(x) != len(y) or not len(x) or y.min() < 0 or x.shape[1:] != given.image_shape:
            told = f"x_{part} {found[f'x_{part}'].shape}, y_{part} {y.shape}"
            raise ConfigError(
                option, told, "as many classes from 0 as images, at least one, all of one shape"
            )
        if not np.isfinite(x).all():
            raise ConfigError(option, f"x_{part} with NaN or infinity", "finite numbers")
    return given


def _array(archive: zipfile.ZipFile, option: str, name: str) -> np.ndarray:
    """Read an array of numbers; no objects, and nothing before its declared size has been checked."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name}: format {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        allowed = ("|u1", "<f4", "<f8") if name.startswith("x") else ("|u1", "|i1", "<i2", "<i4", "<i8")
        ranks = (3, 4) if name.startswith("x") else (1,)
        size = dtype.itemsize
        for n in shape:
            size *= n
        if dtype.str not in allowed or len(shape) not in ranks or size > _MOST:
            raise ConfigError(option, f"{name}: {dtype} {shape}", _WANTED)
        flat = np.frombuffer(exactly(file, size), dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _pixels(images: np.ndarray) -> Any:
    """Return images as float32, channels before rows."""
    if images.ndim == 4 and images.shape[3] <= 4 < images.shape[1]:
        images = images.transpose(0, 3, 1, 2)
    scaled = images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images
    return np.ascontiguousarray(scaled, np.float32)
