from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.sheet import Sheet
from devnet.sheet.sampling import (
    difference_matrix,
    pool_features,
    pool_matrix,
    receptive_fields,
    rectified_features,
    sampling_matrix,
    sampling_taps,
)


def at(sheet: Sheet, positions: list[tuple[float, float]]) -> Sheet:
    """Return a sheet on the same scaffold, the square (0, 15)^2, with cells at given places."""
    none = np.empty(0, np.int32)
    n = len(positions)
    return Sheet(
        model=sheet.model,
        key=Key(0),
        positions=np.array(positions, dtype=float),
        parent=np.arange(-1, n - 1),
        born=np.zeros(n, np.int32),
        unit_parent=none,
        emitted=none,
        unit_height=np.empty(0),
        sweeps=0,
    )


def test_pixels_are_stretched_over_the_scaffold_with_y_up(sheet: Sheet) -> None:
    # 3 x 5 pixels on 15 x 15: each 3 wide and 5 high; the first row at the top.
    image = np.arange(15.0).reshape(3, 5)
    centers = [(1.5 + 3 * column, 12.5 - 5 * row) for row in range(3) for column in range(5)]
    assert sampling_matrix(at(sheet, centers), (3, 5)) @ image.ravel() == pytest.approx(image.ravel())


def test_between_centers_the_value_is_bilinear_and_beyond_them_constant(sheet: Sheet) -> None:
    image = np.arange(15.0).reshape(3, 5)
    places = [(3.0, 12.5), (1.5, 10.0), (3.0, 10.0), (0.0, 15.0), (15.0, 0.0), (0.0, 0.0)]
    assert sampling_matrix(at(sheet, places), (3, 5)) @ image.ravel() == pytest.approx(
        [0.5, 2.5, 3, 0, 14, 10]
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (8, 8), (28, 28), (np.int64(3), 2)])
def test_each_cell_takes_a_weighted_mean_of_at_most_four_pixels(sheet: Sheet, shape: tuple[int, int]) -> None:
    matrix = sampling_matrix(sheet, shape)
    assert matrix.shape == (sheet.n, shape[0] * shape[1])
    assert matrix.data.min() > 0
    assert np.diff(matrix.indptr).max() <= 4
    assert np.asarray(matrix.sum(axis=1)).ravel() == pytest.approx(np.ones(sheet.n))
    pixels, weights = sampling_taps(sheet, shape)
    assert pixels.min() >= 0
    assert pixels.max() < shape[0] * shape[1]
    assert weights.min() >= 0


def test_a_linear_image_is_sampled_exactly_between_the_outer_centers(sheet: Sheet) -> None:
    centers = (np.arange(10) + 0.5) * 1.5
    image = 2.0 * centers[None, :] - centers[::-1, None] + 1
    inner = ((sheet.positions > 0.75) & (sheet.positions < 14.25)).all(axis=1)
    x, y = sheet.positions[inner].T
    values = sampling_matrix(sheet, (10, 10)) @ image.ravel()
    assert values[inner] == pytest.approx(2 * x - y + 1)


@pytest.mark.parametrize("shape", [(0, 3), (3,), 3, (2.5, 2), (2, 2, 2), "ab"])
def test_a_wrong_image_shape_is_named(sheet: Sheet, shape: object) -> None:
    with pytest.raises(ConfigError, match=r"^image_shape: "):
        sampling_matrix(sheet, shape)  # pyright: ignore[reportArgumentType]


def test_pools_keep_weights_of_at_least_half_the_largest() -> None:
    weights = np.array([[4.0, 0.0, 1.0], [2.0, 0.0, 1.0], [1.9, 0.0, 1.0]])
    assert receptive_fields(weights).tolist() == [
        [True, False, True],
        [True, False, True],
        [False, False, True],
    ]
    third = 1 / 3
    assert pool_matrix(weights) == pytest.approx(
        np.array([[2 * third, 0, third], [third, 0, third], [0, 0, third]])
    )
    assert pool_features(np.array([[3.0, 0.0, 9.0]]), weights) == pytest.approx(np.array([[2.0, 0.0, 4.0]]))


@given(arrays(np.float64, (7, 4), elements=st.floats(0, 1e6, allow_subnormal=False)))
def test_pools_sum_to_one_or_to_nothing(weights: np.ndarray) -> None:
    matrix = pool_matrix(weights)
    used = weights.any(axis=0)
    assert matrix.sum(axis=0) == pytest.approx(used.astype(float))
    assert np.array_equal(matrix > 0, receptive_fields(weights))
    # A unit's scale does not matter.
    assert pool_matrix(4 * weights) == pytest.approx(matrix)


def test_units_with_signs_keep_every_weight_and_answer_only_above_zero() -> None:
    weights = np.array([[3.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    assert difference_matrix(weights).tolist() == [[0.75, 0], [-0.25, 0], [0, 0]]
    assert receptive_fields(-weights).tolist() == [[True, False], [False, False], [False, False]]
    values = np.array([[4.0, 4.0, 1.0], [0.0, 4.0, 1.0]])
    assert rectified_features(values, weights).tolist() == [[2, 0], [0, 0]]
