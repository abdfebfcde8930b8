"""Layouts of averaging and of difference units on a lattice of cells, where each unit can be seen through."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.organization.oriented import Profile, oriented_grid, oriented_random
from devnet.sheet import Sheet

AVERAGE = Profile(1.0, "place")
EDGE = Profile(1.0, "first", distance=2.0)


def moments(sheet: Sheet, weights: np.ndarray) -> np.ndarray:
    return weights.T @ sheet.positions


def test_averages_lie_on_the_grid_and_differences_sum_to_nothing(sheet: Sheet) -> None:
    places = oriented_grid(sheet, 9, AVERAGE)
    assert np.linalg.norm(places, axis=0) == pytest.approx(np.ones(9))
    center = moments(sheet, places) / places.sum(axis=0)[:, None]
    grid = np.stack(np.meshgrid([2.5, 7.5, 12.5], [2.5, 7.5, 12.5]), axis=-1).reshape(-1, 2)
    assert np.abs(center - grid).max() < 0.3
    for order in ("first", "second", "both"):
        weights = oriented_grid(sheet, 9, Profile(1.0, order, distance=2.0, elongation=1.5))
        assert np.abs(weights.sum(axis=0)).max() < 1e-12
        assert np.linalg.norm(weights, axis=0) == pytest.approx(np.ones(9))


def test_edges_point_where_they_are_told_to_and_bars_to_both_sides(sheet: Sheet) -> None:
    edges = oriented_grid(sheet, 16, Profile(1.0, "first", distance=2.0, extent=0.6), directions=4, shift=1)
    dipole = moments(sheet, edges)
    turn = np.add.outer(np.arange(4), np.arange(4)).ravel() % 4 / 4
    wanted = np.stack([np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)], axis=1)
    assert (dipole * wanted).sum(axis=1) / np.linalg.norm(dipole, axis=1) == pytest.approx(1, abs=0.02)
    bars = oriented_grid(sheet, 16, Profile(1.0, "second", distance=2.0, extent=0.6))
    assert np.linalg.norm(moments(sheet, bars), axis=1).max() < 0.2 * np.linalg.norm(dipole, axis=1).min()
    middle = bars[np.arange(sheet.n)[:, None], np.arange(16)]
    peak = middle[np.abs(middle).argmax(axis=0), np.arange(16)]
    assert (peak > 0).sum() == 8  # as many of either sign


def test_both_orders_share_a_layout(sheet: Sheet) -> None:
    both = oriented_grid(sheet, 16, Profile(1.0, "both", distance=2.0))
    first = oriented_grid(sheet, 16, Profile(1.0, "first", distance=2.0))
    second = oriented_grid(sheet, 16, Profile(1.0, "second", distance=2.0))
    is_first, is_second = ((np.abs(both) == np.abs(other)).all(axis=0) for other in (first, second))
    assert is_first.sum() == is_second.sum() == 8
    assert not (is_first & is_second).any()


def test_random_layouts_follow_their_seed_and_stay_inside(sheet: Sheet) -> None:
    one, same, other = (oriented_random(sheet, 200, AVERAGE, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    central = oriented_random(sheet, 200, Profile(0.5, "place", extent=0.4), rng=1)
    center = moments(sheet, central) / central.sum(axis=0)[:, None]
    assert np.abs(center - 7.5).max() < 3.0 + 0.5
    mixed = oriented_random(sheet, 200, Profile(1.0, "both", distance=2.0, extent=0.6), rng=1)
    dipole = np.linalg.norm(moments(sheet, mixed), axis=1)
    assert 0.35 < (dipole > dipole.max() / 3).mean() < 0.65


@pytest.mark.parametrize("units", [0, -4, 12])
def test_a_grid_needs_a_square_number(sheet: Sheet, units: int) -> None:
    with pytest.raises(ConfigError, match=r"^units: "):
        oriented_grid(sheet, units, EDGE)


def test_profiles_and_layouts_out_of_range_are_named(sheet: Sheet) -> None:
    for wrong in (
        {"width": 0.0},
        {"distance": -1.0},
        {"elongation": np.inf},
        {"extent": 1.5},
        {"order": "third"},
    ):
        with pytest.raises(ConfigError, match=rf"^Profile\.{next(iter(wrong))}: "):
            Profile(**({"width": 1.0} | wrong))
    with pytest.raises(ConfigError, match=r"^directions: "):
        oriented_grid(sheet, 9, EDGE, directions=0)
    with pytest.raises(ConfigError, match=r"^units: "):
        oriented_random(sheet, 0, EDGE)
