"""The geometry of pools on constructed sheets of which the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devnet import measure
from devnet._core.errors import ConfigError
from devnet.sheet.surface import Sphere

SIDE = 40
GRID = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    return np.hypot(*(GRID - (x, y)).T) <= radius


def test_a_disc_is_compact_a_bar_less_so_and_scattered_nodes_are_not() -> None:
    bar = (GRID[:, 1] < 4) & (GRID[:, 0] >= 0)
    scattered = np.random.default_rng(0).uniform(size=len(GRID)) < 0.1
    pools = np.stack([disc(20, 20, 8), bar, scattered, disc(3, 3, 0.1), disc(-9, -9, 1)], axis=1)
    found = measure.compactness(pools, GRID, spacing=1.0)
    assert found[0] == pytest.approx(1.0, abs=0.01)
    # A bar of 40 x 4 has rms radius sqrt((40^2 + 4^2 - 2)/12); a disc of 160 nodes sqrt(160 / 2 pi).
    assert found[1] == pytest.approx(math.sqrt(160 / (2 * math.pi)) / math.sqrt((1600 + 16 - 2) / 12))
    assert found[2] < 0.4
    assert np.isnan(found[3:]).all()  # one node, none


def test_error_and_spread_of_a_map_are_told_apart() -> None:
    places = np.array([[10.0, 10], [30, 10], [10, 30], [30, 30]])
    sharp = np.stack([disc(*p, 3) for p in places], axis=1).astype(float)
    wide = np.stack([disc(*p, 8) for p in places], axis=1).astype(float)
    shifted = np.stack([disc(x + 3, y + 4, 3) for x, y in places], axis=1).astype(float)
    assert measure.topographic_error(sharp, GRID, places) == pytest.approx(np.zeros(4), abs=1e-9)
    assert measure.topographic_error(wide, GRID, places) == pytest.approx(np.zeros(4), abs=1e-9)
    assert measure.topographic_error(shifted, GRID, places) == pytest.approx(np.full(4, 5.0))
    spread = measure.weighted_rms_radius
    assert spread(shifted, GRID) == pytest.approx(spread(sharp, GRID))
    assert (spread(wide, GRID) > 2 * spread(sharp, GRID)).all()


def test_regularity_of_lattices_and_of_random_points() -> None:
    assert measure.regularity(GRID) == math.inf
    random = np.random.default_rng(1).uniform(0, 100, (20_000, 2))
    assert measure.regularity(random) == pytest.approx(1.91, abs=0.05)
    jittered = GRID + np.random.default_rng(2).normal(0, 0.1, GRID.shape)
    assert 4 < measure.regularity(jittered) < 20
    with_gaps = np.concatenate([GRID, [[math.nan, math.nan]]])
    assert measure.regularity(with_gaps) == math.inf
    with pytest.raises(ConfigError, match="points"):
        measure.regularity(GRID[:2])


def test_a_binary_matrix_and_positions_are_enough_for_a_foreign_network() -> None:
    centers = [(x, y) for x in (5, 15, 25, 35) for y in (5, 15, 25, 35)]
    pools = np.stack([disc(x, y, 4) for x, y in centers] + [disc(-50, 0, 1)], axis=1).astype(int)
    found = measure.pool_geometry(pools, GRID)
    size = disc(15, 15, 4).sum()
    assert (found.units, found.size, found.size_sd, found.overlap) == (17, size, 0.0, 1.0)
    assert found.empty == pytest.approx(1 / 17)
    assert found.coverage == pytest.approx(16 * size / 1600)
    assert found.component_share == 1.0
    assert found.compactness == pytest.approx(
        1.0, abs=0.06
    )  # the spacing of a lattice is estimated 4 % too large
    assert found.regularity == math.inf
    assert set(found.numbers()) == set(vars(found))
    doubled = measure.pool_geometry(np.concatenate([pools, pools], axis=1), GRID)
    assert (doubled.overlap, doubled.coverage) == (2.0, found.coverage)
    with pytest.raises(ConfigError, match="pools"):
        measure.pool_geometry(pools * 0.5, GRID)
    with pytest.raises(ConfigError, match="pools"):
        measure.pool_geometry(pools[:, :2], GRID)


def test_on_a_sphere_pools_are_measured_along_it() -> None:
    radius = 20.0
    sphere = Sphere(radius)
    turns = np.random.default_rng(3).uniform(size=(60_000, 2))
    r = math.sqrt(2) * radius * np.sqrt(turns[:, 0])  # uniform over the hemisphere: the chart keeps areas
    nodes = np.stack([r * np.cos(2 * math.pi * turns[:, 1]), r * np.sin(2 * math.pi * turns[:, 1])], axis=1)
    pole = np.zeros((1, 2))
    edge = np.array([[2 * radius * math.sin(0.6), 0.0]])  # polar angle 1.2
    caps = np.stack([sphere.distances(nodes, p)[:, 0] <= 4.0 for p in (pole, edge)], axis=1).astype(float)
    assert sphere.distances(measure.pool_centers(caps, nodes, sphere)[:1], pole)[0, 0] < 0.3
    assert sphere.distances(measure.pool_centers(caps, nodes, sphere)[1:], edge)[0, 0] < 0.3
    # A cap of geodesic radius a: <d^2> = int d^2 sin(d/R) / int sin(d/R), close to a^2/2.
    d = np.linspace(0, 4.0, 20_001)
    known = math.sqrt((d**2 * np.sin(d / radius)).sum() / np.sin(d / radius).sum())
    assert measure.weighted_rms_radius(caps, nodes, sphere) == pytest.approx([known, known], rel=0.02)
    flat = measure.weighted_rms_radius(caps, nodes)
    assert abs(flat[1] / known - 1) > 0.02  # the chart alone would be wrong
    assert measure.compactness(caps > 0, nodes, surface=sphere) == pytest.approx([1, 1], rel=0.03)
    assert measure.topographic_error(
        caps, nodes, np.concatenate([pole, pole]), surface=sphere
    ) == pytest.approx([0, 1.2 * radius], abs=0.3)
    share = measure.largest_component_share(caps > 0, nodes, link=0.8, surface=sphere)
    assert share == pytest.approx([1, 1])
