from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.organization import controls
from devnet.sheet import Sheet


def centers(sheet: Sheet, weights: np.ndarray) -> np.ndarray:
    return weights.T @ sheet.positions / weights.sum(axis=0)[:, None]


@pytest.mark.parametrize("units", [1, 7, 16, 36, 100])
@pytest.mark.parametrize("size", [1, 20.3, 60])
@pytest.mark.parametrize("make", [controls.hand_made, controls.random_discs, controls.random_scattered])
def test_number_and_mean_size_are_as_asked(sheet: Sheet, make: Callable, units: int, size: float) -> None:
    weights = make(sheet, units, size) if make is controls.hand_made else make(sheet, units, size, rng=0)
    assert weights.shape == (sheet.n, units)
    assert weights.dtype == np.float64
    assert set(np.unique(weights)) == {0.0, 1.0}
    sizes = weights.sum(axis=0)
    assert sizes.sum() == round(units * size)
    assert np.ptp(sizes) <= 1


@pytest.mark.parametrize("make", [controls.hand_made, controls.random_discs])
def test_pools_are_discs(sheet: Sheet, make: Callable) -> None:
    weights = make(sheet, 9, 20) if make is controls.hand_made else make(sheet, 9, 20, rng=3)
    for pool, center in zip(weights.T, centers(sheet, weights), strict=True):
        distance = np.hypot(*(sheet.positions - center).T)
        # A disc of 20 cells at density 3 has a radius of 1.46; at a corner it is a quarter of a larger one.
        assert distance[pool > 0].max() < 3.0


def test_hand_made_pools_are_spread_evenly(sheet: Sheet) -> None:
    count, size = 36, sheet.n / 36
    hand = controls.hand_made(sheet, count, size)
    drawn = controls.random_discs(sheet, count, size, rng=0)
    assert (hand.sum(axis=1) > 0).mean() > 0.85
    assert (hand.sum(axis=1) > 0).mean() > (drawn.sum(axis=1) > 0).mean() + 0.15

    def closest(weights: np.ndarray) -> float:
        c = centers(sheet, weights)
        return (np.hypot(*(c[:, None] - c[None]).transpose(2, 0, 1)) + 99 * np.eye(count)).min()

    # 36 points on 15 x 15 can be 2.5 (square) to 2.69 (triangular) apart.
    assert 2.0 < closest(hand) < 2.69
    assert closest(drawn) < 1.5
    assert np.array_equal(hand, controls.hand_made(sheet, count, size))


def test_random_pools_are_functions_of_the_key(sheet: Sheet) -> None:
    for make in (controls.random_discs, controls.random_scattered):
        a, b, c = (make(sheet, 12, 30, rng=seed) for seed in (1, 1, 2))
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)
    scattered = controls.random_scattered(sheet, 12, 30, rng=1)
    assert len(np.unique(scattered, axis=1).T) == 12
    # Cells drawn from everywhere lie as far from one another as the sheet is wide.
    spread = [np.sqrt(sheet.positions[pool > 0].var(axis=0).sum()) / sheet.rms_radius for pool in scattered.T]
    assert min(spread) > 0.8


def test_as_many_pools_as_cells_is_the_limit(sheet: Sheet) -> None:
    discs = controls.random_discs(sheet, sheet.n, 1, rng=0)
    assert np.array_equal(discs.sum(axis=1), np.ones(sheet.n))
    assert np.array_equal(controls.hand_made(sheet, 2, sheet.n), np.ones((sheet.n, 2)))


@pytest.mark.parametrize(
    ("units", "size", "field"),
    [
        (0, 5, "units"),
        (677, 5, "units"),
        (2.0, 5, "units"),
        (True, 5, "units"),
        (4, 0.5, "size"),
        (4, 700, "size"),
    ],
)
@pytest.mark.parametrize("make", [controls.hand_made, controls.random_discs, controls.random_scattered])
def test_bad_numbers_name_the_field(
    sheet: Sheet, make: Callable, units: int, size: float, field: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        make(sheet, units, size)
