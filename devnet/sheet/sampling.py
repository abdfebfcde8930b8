"""How images reach a sheet and its units: sampling at the cells, and averaging over receptive fields."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from devnet._core.errors import ConfigError
from devnet.sheet.nouns import Sheet

FIELD_SHARE = 0.5
"""A cell belongs to a unit's receptive field when its weight is at least this share of the unit's largest, either sign."""


def receptive_fields(weights: Float[np.ndarray, "n M"]) -> Bool[np.ndarray, "n M"]:
    """Say which cells belong to which unit's receptive field: ``|w_ij| >= max_i |w_ij| / 2``.

    Args:
        weights: (n, M).

    Returns:
        (n, M); the column of a unit without any weight is empty.
    """
    strength = np.abs(weights)
    largest = strength.max(axis=0)
    return (strength >= FIELD_SHARE * largest) & (largest > 0)


def pool_matrix(weights: Float[np.ndarray, "n M"]) -> Float[np.ndarray, "n M"]:
    """Return the matrix that averages over receptive fields.

    Weights outside the field are set to exactly 0, the others scaled so that a unit's weights sum to 1. A unit
    without any weight keeps a column of zeros.

    Args:
        weights: (n, M), at least 0.

    Returns:
        (n, M), float64.
    """
    kept = np.where(receptive_fields(weights), weights, 0.0)
    total = kept.sum(axis=0)
    return kept / np.where(total > 0, total, 1.0)


def pool_features(
    values: Float[np.ndarray, "N n"], weights: Float[np.ndarray, "n M"]
) -> Float[np.ndarray, "N M"]:
    """Return what each unit sees: the weighted mean over its receptive field of the values at the cells.

    Args:
        values: (N, n), one row an example.
        weights: (n, M), at least 0.

    Returns:
        (N, M).
    """
    return values @ pool_matrix(weights)


def difference_matrix(weights: Float[np.ndarray, "n M"]) -> Float[np.ndarray, "n M"]:
    """Return signed weights, all of them kept, at the scale at which a unit's answers are those of an average.

    Args:
        weights: (n, M), of either sign.

    Returns:
        (n, M), float64: ``w_ij / sum_i |w_ij|``; a unit without any weight keeps a column of zeros.
    """
    total = np.abs(weights).sum(axis=0)
    return weights / np.where(total > 0, total, 1.0)


def rectified_features(
    values: Float[np.ndarray, "N n"], weights: Float[np.ndarray, "n M"]
) -> Float[np.ndarray, "N M"]:
    """Return what units with signed weights answer: ``max(0, values @ difference_matrix(weights))``.

    Args:
        values: (N, n), one row an example.
        weights: (n, M), of either sign.

    Returns:
        (N, M).
    """
    return np.maximum(values @ difference_matrix(weights), 0.0)


def sampling_taps(
    sheet: Sheet, image_shape: tuple[int, int]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Float[np.ndarray, "n 4"]]:
    """Return the four pixels from which each cell takes its value, and with which weights.

    The image is stretched over the bounds of the sheet's scaffold: its first row of pixels lies at the top, where y
    is largest. Between pixel centers the value is interpolated bilinearly, outside the outermost centers the nearest
    one counts.

    Args:
        sheet: Where the cells are.
        image_shape: (H, W), rows and columns.

    Returns:
        Pixel numbers ``row W + column`` (n, 4) and weights (n, 4), which are at least 0 and sum to 1 for each cell.

    Raises:
        ConfigError: The shape is not a pair of positive whole numbers.
    """
    try:
        height, width = image_shape
        fits = all(isinstance(side, Integral) and side >= 1 for side in (height, width))
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ConfigError("image_shape", image_shape, "(rows, columns), both at least 1")
    height, width = (int(side) for side in image_shape)
    x0, y0, x1, y1 = sheet.scaffold.bounds
    x, y = sheet.positions.T
    column, to_right = _between((x - x0) / (x1 - x0), width)
    row, down = _between((y1 - y) / (y1 - y0), height)
    right, below = np.minimum(column + 1, width - 1), np.minimum(row + 1, height - 1)
    pixels = np.stack(
        [row * width + column, row * width + right, below * width + column, below * width + right], axis=1
    )
    weights = np.stack(
        [(1 - down) * (1 - to_right), (1 - down) * to_right, down * (1 - to_right), down * to_right], axis=1
    )
    return pixels, weights


def sampling_matrix(sheet: Sheet, image_shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the matrix that samples an image, its rows laid end to end, at the cells of a sheet.

    Args:
        sheet: Where the cells are.
        image_shape: (H, W), rows and columns.

    Returns:
        (n, H W), each row summing to 1; ``sampling_taps`` says how.

    Raises:
        ConfigError: The shape is not a pair of positive whole numbers.
    """
    pixels, weights = sampling_taps(sheet, image_shape)
    cells = np.repeat(np.arange(sheet.n), 4)
    size = int(image_shape[0]) * int(image_shape[1])
    matrix = sparse.csr_matrix((weights.ravel(), (cells, pixels.ravel())), shape=(sheet.n, size))
    matrix.eliminate_zeros()
    return matrix


def _between(
    place: Float[np.ndarray, " n"], pixels: int
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Float[np.ndarray, " n"]]:
    """Return the pixel center at or before each place (0 to 1 along a side), and how far the place lies beyond it."""
    along = np.clip(place * pixels - 0.5, 0, pixels - 1)
    first = np.minimum(along.astype(np.int64), max(pixels - 2, 0))
    return first, along - first
