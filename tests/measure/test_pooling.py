from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devnet import measure
from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.organization import organize
from devnet.sheet import Sheet

SIDE = 20
GRID = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
LINK = 1.1


def disc(x: float, y: float, radius: float) -> np.ndarray:
    return (np.hypot(*(GRID - (x, y)).T) <= radius).astype(float)


def columns(*pools: np.ndarray) -> np.ndarray:
    return np.stack(pools, axis=1)


def test_the_radius_of_known_pools() -> None:
    point = (np.arange(400) == 7).astype(float)
    pair = np.zeros(400)
    pair[[0, 6]] = [1.0, 2.0]  # at x = 0 and 6: centroid 4, variance (16 + 2 * 4) / 3
    everywhere = np.full(400, 0.3)
    radius = measure.weighted_rms_radius(columns(point, pair, everywhere, 0 * pair), GRID)
    assert radius[:3] == pytest.approx([0, np.sqrt(8), np.sqrt((SIDE**2 - 1) / 6)], abs=1e-6)
    assert np.isnan(radius[3])
    assert measure.sheet_rms_radius(GRID) == pytest.approx(np.sqrt((SIDE**2 - 1) / 6))


def test_the_largest_part_of_known_fields() -> None:
    two = (disc(4, 4, 2) + disc(15, 15, 1)) > 0  # 13 and 5 nodes
    checkered = GRID.sum(axis=1) % 2 == 0
    fields = columns(two, disc(9, 9, 3) > 0, checkered, np.zeros(400, bool), np.ones(400, bool))
    share = measure.largest_component_share(fields, GRID, LINK)
    assert share == pytest.approx([13 / 18, 1, 1 / 200, 0, 1])
    # Diagonal neighbors of the checkered field are linked at 1.5; linked means closer than the link.
    assert measure.largest_component_share(fields, GRID, 1.5)[2] == 1
    assert measure.largest_component_share(fields, GRID, 2**0.5)[2] == pytest.approx(1 / 200)
    assert measure.largest_component_share(fields[:, 3:4], GRID, LINK).tolist() == [0]
    assert measure.largest_component_share(fields[:, :0], GRID, LINK).shape == (0,)


def test_many_large_fields_are_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = Key(0).stream("fields").uniform(0, 400 * 60).reshape(400, 60)
    fields = draws < np.linspace(0.05, 0.9, 60)
    whole = measure.largest_component_share(fields, GRID, LINK)
    monkeypatch.setattr("devnet.measure._parts.CHUNK", 100)
    assert np.array_equal(measure.largest_component_share(fields, GRID, LINK), whole)


@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_parts_agree_with_a_slow_search(seed: int, density: float) -> None:
    field = Key(seed).stream("field").uniform(0, 400) < density
    left, best = set(np.flatnonzero(field).tolist()), 0
    while left:
        queue, size = [left.pop()], 0
        while queue:
            node, size = queue.pop(), size + 1
            near = {node - SIDE, node + SIDE} | ({node - 1} if node % SIDE else set())
            near |= {node + 1} if (node + 1) % SIDE else set()
            found = near & left
            left -= found
            queue += found
        best = max(best, size)
    share = measure.largest_component_share(field[:, None], GRID, LINK)[0]
    assert share * field.sum() == pytest.approx(best)


def test_an_organized_unit_meets_all_three_conditions() -> None:
    local, torn = disc(5, 5, 3), np.maximum(disc(4, 4, 2), disc(10, 4, 1))
    wide, ring = np.ones(400), disc(9.5, 9.5, 9) - disc(9.5, 9.5, 7)
    weights = columns(local, local, torn, wide, ring, 0 * local)
    late = np.array([3, 0, 3, 3, 3, 3])
    assert measure.organized(weights, GRID, late, link=LINK).tolist() == [
        True,
        False,
        False,
        False,
        False,
        False,
    ]
    # Without a link 2 mean spacings count: parts 3 apart stay two, parts 1 apart are one.
    assert measure.organized(weights, GRID, late).tolist()[:3] == [True, False, False]
    assert measure.organized(
        columns(np.maximum(disc(4, 4, 2), disc(8, 4, 1))), GRID, np.ones(1, int)
    ).tolist() == [True]


def test_coverage_overlap_and_sizes() -> None:
    fields = columns(disc(3, 3, 2), disc(4, 3, 2), disc(15, 15, 2)) > 0
    assert measure.coverage(fields, np.array([True, False, True])) == pytest.approx(26 / 400)
    assert measure.coverage(fields, np.zeros(3, bool)) == 0
    assert measure.overlap(fields) == pytest.approx(39 / (18 + 13))
    assert measure.overlap(fields[:, :0]) == 0
    weights = columns(25 * disc(3, 3, 2), 0.09 + 5 * disc(4, 3, 4), 0 * disc(1, 1, 1))
    # At G19's mean weight of 2.5 both forms agree; the relative one ignores the scale.
    scaled = weights[:, :2] * 2.5 / weights[:, :2].mean(axis=0)
    assert np.array_equal(measure.relative_pool_sizes(scaled), (scaled >= 0.1).sum(axis=0))
    assert measure.relative_pool_sizes(7 * weights).tolist() == measure.relative_pool_sizes(weights).tolist()
    assert measure.relative_pool_sizes(weights)[2] == 0


def test_statistics_of_a_known_layer() -> None:
    weights = columns(disc(5, 5, 3), 2 * disc(14, 14, 3), np.ones(400), 0 * disc(1, 1, 1))
    stats = measure.pool_statistics(weights, GRID, np.array([1, 1, 1, 1]), link=LINK)
    assert stats.units == 4
    assert stats.organized == 0.5
    assert stats.coverage == pytest.approx(58 / 400)
    assert stats.field_size == pytest.approx((29 + 29 + 400) / 3)
    assert stats.overlap == pytest.approx(458 / 400)
    assert stats.pool_size == stats.field_size
    assert stats.component_share == 1
    ratio = measure.weighted_rms_radius(weights, GRID)[:3] / measure.sheet_rms_radius(GRID)
    assert stats.radius_ratio == pytest.approx(ratio.mean())
    assert list(stats.numbers()) == [
        "units",
        "organized",
        "coverage",
        "field_size",
        "radius_ratio",
        "component_share",
        "overlap",
        "pool_size",
    ]


def test_a_wiring_starts_unorganized_and_ends_organized(sheet: Sheet) -> None:
    wired = organize(sheet, units=16, steps=10240, rng=0)
    start, end = measure.initial_statistics(wired), measure.wiring_statistics(wired)
    assert start.organized == start.coverage == 0
    assert start.radius_ratio == pytest.approx(1, abs=0.02)
    assert end.organized > 0.8
    assert end.coverage > 0.5
    assert end.radius_ratio < 0.5


@pytest.mark.parametrize("scale", [0.2, 1.0, 50.0])
def test_the_mean_spacing_of_lattices_and_of_random_nodes(scale: float) -> None:
    assert measure.mean_spacing(GRID * scale) == pytest.approx(scale, rel=0.05)
    draws = Key(1).stream("places")
    places = np.stack([draws.uniform(axis, 4000) for axis in (0, 1)], axis=1) * scale
    hole = np.hypot(*(places - 0.5 * scale).T) > 0.3 * scale
    assert measure.mean_spacing(places) == pytest.approx(scale / 4000**0.5, rel=0.05)
    assert measure.mean_spacing(places[hole]) == pytest.approx(scale / 4000**0.5, rel=0.07)
    assert measure.mean_spacing(np.array([[0.0, 0.0], [scale, 0.0]])) > 0


def test_bad_input_names_the_field(sheet: Sheet) -> None:
    ones, won = np.ones((400, 2)), np.ones(2, int)
    cases = [
        ("weights", (-ones, GRID, won), {}),
        ("weights", (ones[:5], GRID, won), {}),
        ("weights", (0 * ones, GRID, won), {}),
        ("weights", (ones[:, :0], GRID, won[:0]), {}),
        ("weights", (ones * np.nan, GRID, won), {}),
        ("late_wins", (ones, GRID, won[:1]), {}),
        ("positions", (ones, GRID[:, :1], won), {}),
        ("positions", (ones, 0 * GRID, won), {}),
        ("positions", (ones[:1], GRID[:1], won), {}),
        ("link", (ones, GRID, won), {"link": 0.0}),
    ]
    for field, arguments, options in cases:
        with pytest.raises(ConfigError, match=f"^{field}: "):
            measure.pool_statistics(*arguments, **options)
    with pytest.raises(ConfigError, match=r"^positions: .*at least 2 nodes"):
        measure.mean_spacing(GRID[:1])
    with pytest.raises(ConfigError, match=r"^positions: .*lie on one another"):
        measure.mean_spacing(0 * GRID)
