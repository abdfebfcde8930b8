"""Image sets as arrays, and where they are looked for.

``digits`` comes with scikit-learn. The others are taken from the folder that the environment variable ``DEVNET_DATA``
names, as packed ``.npz`` files, else from the cache into which ``devnet data fetch NAME`` put the originals.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from jaxtyping import Float, Int, UInt8

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.data import _formats
from devnet.data.registry import NAMES, REGISTRY

TEST_SHARE = 0.2
"""Share of scikit-learn's digits, per class, kept for the test."""

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in gray (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Gray images with labels, in a training and a test part.

    Attributes:
        name: Name of the set.
        x_train: (N, H, W), gray values in [0, 1].
        y_train: (N,), classes from 0.
        x_test: (T, H, W).
        y_test: (T,).
        note: What a reader must know of it, lossy storage for example; empty where there is nothing.
    """

    name: str
    x_train: Float[np.ndarray, "N H W"]
    y_train: Int[np.ndarray, " N"]
    x_test: Float[np.ndarray, "T H W"]
    y_test: Int[np.ndarray, " T"]
    note: str = ""

    def __post_init__(self) -> None:
        height, width = self.image_shape
        for part in ("train", "test"):
            x, y = f"x_{part}", f"y_{part}"
            images = frozen_array(x, getattr(self, x), np.float32, (None, height, width), low=0, high=1)
            object.__setattr__(self, x, images)
            object.__setattr__(self, y, frozen_array(y, getattr(self, y), np.int64, (len(images),), low=0))
        if len(self.y_train) == 0 or len(self.y_test) == 0:
            raise ConfigError(self.name, "no images", "at least one image for training and one for the test")

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.x_train.shape[1], self.x_train.shape[2]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.y_train.max(), self.y_test.max())) + 1


def load_images(name: str) -> ImageSet:
    """Load an image set.

    Args:
        name: ``digits``, ``mnist``, ``fashion-mnist`` or ``cifar10``. Color images become gray.

    Returns:
        The set.

    Raises:
        ConfigError: Unknown name, or the set is not on this machine.
        CorruptFileError: A file of the set is damaged.
    """
    if name == "digits":
        return _digits()
    place = where(name)
    if place is None:
        raise ConfigError(
            "data",
            f"{name}: not on this machine",
            f"a folder that holds {REGISTRY[name].packed} as DEVNET_DATA, or run: devnet data fetch {name}",
        )
    if place.is_file():
        parts = _formats.jpeg_npz(place) if name == "cifar10" else _formats.gray_npz(place)
        note = "stored as JPEG, lossy: not pixel-identical to the original set" if name == "cifar10" else ""
    else:
        files = [place / original.name for original in REGISTRY[name].originals]
        parts = _formats.cifar_binary(files[0]) if name == "cifar10" else _formats.idx(files)
        note = ""
    x_train, y_train, x_test, y_test = parts
    return ImageSet(
        name, _gray(x_train), y_train.astype(np.int64), _gray(x_test), y_test.astype(np.int64), note
    )


def where(name: str) -> Path | None:
    """Say where an image set lies on this machine.

    Args:
        name: Name of a set that is not bundled.

    Returns:
        The packed file in ``$DEVNET_DATA``, else the cache folder if it holds all originals, else None.

    Raises:
        ConfigError: Unknown name.
    """
    if name not in REGISTRY:
        raise ConfigError("data", name, f"one of {', '.join(NAMES)}")
    entry = REGISTRY[name]
    folder = os.environ.get("DEVNET_DATA")
    if folder and (packed := Path(folder) / entry.packed).is_file():
        return packed
    cached = cache_folder() / name
    return cached if all((cached / original.name).is_file() for original in entry.originals) else None


def cache_folder() -> Path:
    """Return the folder into which originals are downloaded."""
    return platformdirs.user_cache_path("devnet") / "data"


def _digits() -> ImageSet:
    """Split scikit-learn's 1797 digits: of each class the first 20 % of a fixed permutation are the test part."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images = (bunch.images / 16.0).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    order = Key(0).stream("digits split").permutation(0, len(labels))
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        test[members[: round(TEST_SHARE * len(members))]] = True
    return ImageSet("digits", images[~test], labels[~test], images[test], labels[test])


def _gray(images: UInt8[np.ndarray, "N ..."]) -> Float[np.ndarray, "N H W"]:
    if images.ndim == 3:
        return images.astype(np.float32) / np.float32(255)
    gray = np.empty(images.shape[:3], np.float32)
    for start in range(0, len(images), 4096):  # the whole set in float32 and color would need 600 MB
        gray[start : start + 4096] = images[start : start + 4096] @ LUMINANCE
    return np.minimum(gray / np.float32(255), np.float32(1))
