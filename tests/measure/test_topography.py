"""Order and folds of maps whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.measure.topography import centers, folded_share, topographic_order

SIDE = 8
PLACES = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)


def wired_to(targets):
    """Each unit takes all of its weight from the node at its target."""
    return np.eye(len(targets)), np.asarray(targets, float)


@pytest.mark.parametrize("turn", [np.eye(2), [[0, -1], [1, 0]], [[-1, 0], [0, 1]]])
def test_a_map_that_is_kept_turned_or_mirrored_is_in_order(turn):
    weights, positions = wired_to(PLACES @ np.array(turn) * 3 + 1)
    assert topographic_order(PLACES, weights, positions) == pytest.approx(1.0)
    assert folded_share(PLACES, weights, positions) == 0.0


def test_a_random_map_has_no_order_and_turns_half_of_its_triangles():
    order, folds = [], []
    for seed in range(10):
        weights, positions = wired_to(PLACES[np.random.default_rng(seed).permutation(SIDE**2)])
        order.append(topographic_order(PLACES, weights, positions))
        folds.append(folded_share(PLACES, weights, positions))
    assert abs(np.mean(order)) < 0.05
    assert np.mean(folds) == pytest.approx(0.45, abs=0.05)


def test_a_sheet_folded_in_the_middle_turns_half_of_its_triangles_over():
    folded = np.where(PLACES[:, :1] < 3.5, PLACES, PLACES * [-1, 1] + [7, 0])
    weights, positions = wired_to(folded)
    assert folded_share(PLACES, weights, positions) == pytest.approx(3 / 7, abs=0.08)


def test_units_in_one_row_have_no_folds():
    row = np.stack([np.arange(12.0) * 6, np.ones(12)], axis=1)
    nearly = row + [[0, 0.01]] * np.sin(np.arange(12))[:, None]
    for places in (row, nearly):  # on one line, where there is no triangle; and where all are flat
        weights, positions = wired_to(places)
        assert folded_share(places, weights, positions) == 0.0
        assert topographic_order(places, weights, positions) == pytest.approx(1.0)


def test_units_that_all_have_the_same_weights_are_in_no_order():
    weights = np.outer(np.random.default_rng(0).uniform(0.5, 1.5, SIDE**2), np.linspace(0.1, 0.3, SIDE**2))
    for same in (np.ones((SIDE**2, SIDE**2)), weights):  # alike exactly, and but for rounding
        assert topographic_order(PLACES, same, PLACES) == 0.0
        assert 0.0 <= folded_share(PLACES, same, PLACES) <= 0.5


def test_centers_are_weighted_means():
    positions = np.array([[0.0, 0.0], [4.0, 8.0]])
    np.testing.assert_allclose(
        centers(np.array([[3.0, 1.0], [1.0, 0.0]]), positions), [[1.0, 2.0], [0.0, 0.0]]
    )


def test_units_without_weight_and_maps_of_two_units_are_refused():
    with pytest.raises(ConfigError, match="unit 1"):
        centers(np.array([[1.0, 0.0]]), np.zeros((1, 2)))
    for measure in (topographic_order, folded_share):
        with pytest.raises(ConfigError, match="at least 3"):
            measure(PLACES[:2], np.eye(2), PLACES[:2])
