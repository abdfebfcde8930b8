"""The read-out: how much a linear classifier can tell from an image seen through pools.

Pools that grew are compared, at equal number and equal mean size, with hand-made, random-disc and random-scattered
pools of the same sheet, and with raw pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from devnet._core.random import Key
from devnet.data import ImageSet
from devnet.measure import linear_readout
from devnet.sheet import Sheet
from devnet.sheet.sampling import pool_matrix, sampling_matrix
from devnet.spec import ReadoutSpec


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one seed, flat: for training, for the choice of the penalty, and for the test."""

    x_train: Float[np.ndarray, "N P"]
    y_train: Int[np.ndarray, " N"]
    x_validation: Float[np.ndarray, "V P"]
    y_validation: Int[np.ndarray, " V"]
    x_test: Float[np.ndarray, "T P"]
    y_test: Int[np.ndarray, " T"]

    @classmethod
    def draw(cls, images: ImageSet, spec: ReadoutSpec, key: Key) -> Split:
        """Draw training and validation images without replacement; the test part is the set's own."""
        order = key.stream("split").permutation(0, len(images.x_train))[: spec.train_images]
        kept_back = max(1, round(spec.validation_share * len(order)))
        flat = images.x_train.reshape(len(images.x_train), -1)
        validation, train = order[:kept_back], order[kept_back:]
        return cls(
            flat[train],
            images.y_train[train],
            flat[validation],
            images.y_train[validation],
            images.x_test.reshape(len(images.x_test), -1),
            images.y_test,
        )


def pixel_pools(
    sheet: Sheet, weights: Float[np.ndarray, "n M"], image_shape: tuple[int, int]
) -> Float[np.ndarray, "P M"]:
    """Return the map from pixels to pools: images are sampled at the cells' places, then averaged over each pool.

    Args:
        sheet: Where the cells are.
        weights: Wiring of n cells to M units.
        image_shape: Height and width.

    Returns:
        ``sampling^T pools``, so that ``images @ it`` are the pools' features.
    """
    return np.asarray(sampling_matrix(sheet, image_shape).T @ pool_matrix(weights))


def percent_right(split: Split, pools: Float[np.ndarray, "P M"] | None) -> tuple[float, float]:
    """Train a linear read-out and return its accuracies; see ``devnet.measure.linear_readout``.

    Args:
        split: The images.
        pools: Map from pixels to features, or None for raw pixels.

    Returns:
        Accuracy on the validation and on the test part, in per cent.
    """
    train, validation, test = (
        x if pools is None else x @ pools for x in (split.x_train, split.x_validation, split.x_test)
    )
    found = linear_readout(train, split.y_train, validation, split.y_validation, test, split.y_test)
    return 100.0 * found.validation, 100.0 * found.accuracy
