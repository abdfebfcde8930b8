"""Growth on a sphere cap, and cells that are scattered instead of grown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import KDTree

from devnet._core.errors import ConfigError
from devnet.growth import grow, reference
from devnet.growth._places import square, step
from devnet.sheet.surface import Sphere
from devnet.spec import ModelSpec, build

ARRAYS = ("positions", "parent", "born", "unit_parent", "emitted", "unit_height")


def cap(radius: float, sphere_radius: float, seed_cell=(0.3, 0.2), **growth) -> ModelSpec:
    turns = 2 * math.pi * np.arange(40) / 40
    outline = [(radius * math.cos(t), radius * math.sin(t)) for t in turns]
    return build(
        ModelSpec,
        {
            "name": "cap",
            "scaffold": {"outline": outline, "seed_cell": seed_cell, "sphere_radius": sphere_radius},
            "growth": growth,
            "dynamics": {"map": {"form": "rate_map"}},
        },
    )


@pytest.mark.parametrize("seed", range(3))
def test_compiled_growth_on_a_sphere_equals_the_plain_form_bit_for_bit(seed) -> None:
    spec = cap(4.0, 3.0, hayflick=12, timer=6)
    one, other = grow(spec, rng=seed), reference.grow(spec, rng=seed)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_a_step_goes_as_far_along_the_sphere_as_it_says_and_in_all_directions() -> None:
    sphere = Sphere(5.0)
    start = np.array([3.0, -4.0])
    turns = 2 * math.pi * np.arange(12) / 12
    ends = np.array([step(*start, math.cos(t), math.sin(t), 1.7, 5.0) for t in turns])
    assert sphere.distances(start[None], ends)[0] == pytest.approx(1.7)
    # Evenly turned directions end evenly around a circle: neighbors are equally far apart.
    around = [
        sphere.distances(ends[i : i + 1], ends[(i + 1) % 12 : (i + 1) % 12 + 1])[0, 0] for i in range(12)
    ]
    assert around == pytest.approx([around[0]] * 12)
    assert step(*start, 0.6, 0.8, 0.0, 5.0) == pytest.approx(tuple(start))
    chord = square(*start, *ends[0], 5.0)
    assert chord == pytest.approx(sphere.chord(1.7) ** 2)


def test_rules_count_geodesic_distances() -> None:
    sheet = grow(cap(9.0, 7.0), rng=1)
    surface = sheet.scaffold.surface
    daughters = np.arange(1, sheet.n)
    mothers = sheet.parent[1:]
    lifted = surface.lift(sheet.positions)
    apart = surface.arc(np.linalg.norm(lifted[daughters] - lifted[mothers], axis=1))
    assert apart.min() >= 1.0 - 1e-9
    assert apart.max() <= 2.0 + 1e-9
    assert apart.mean() == pytest.approx(1.5, abs=0.05)
    # Density is the same at the pole and at the rim, where the chart alone would give other distances.
    polar = np.linalg.norm(sheet.positions, axis=1)
    inner, ring = (polar < 4).sum() / 16, ((polar > 6) & (polar < 8)).sum() / 28
    assert inner == pytest.approx(ring, rel=0.15)
    assert 2.5 < sheet.density < 3.6
    near = KDTree(lifted).query_ball_point(lifted, surface.chord(1.0), return_length=True)
    assert near.max() <= 30  # at most 11 when a daughter came, several in one sweep


def test_a_large_sphere_is_nearly_a_plane() -> None:
    flat, curved = grow(cap(6.0, 0.0), rng=3), grow(cap(6.0, 1e6), rng=3)
    assert flat.n == curved.n
    assert np.abs(flat.positions - curved.positions).max() < 1e-6


def test_an_outline_beyond_the_hemisphere_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sphere_radius: .*at least 2.828"):
        cap(4.0, 2.5)


def test_scattered_cells_are_as_many_as_asked_uniform_and_repeatable() -> None:
    spec = cap(9.0, 7.0, scattered=4000)
    sheet, again, more = grow(spec, rng=0), grow(spec, rng=0), grow(cap(9.0, 7.0, scattered=5000), rng=0)
    assert (sheet.n, sheet.m, sheet.sweeps) == (4000, 0, 0)
    assert np.array_equal(sheet.positions, again.positions)
    assert np.array_equal(sheet.positions, more.positions[:4000])  # a cell's place is its own
    assert sheet.scaffold.contains(sheet.positions).all()
    assert (np.linalg.norm(sheet.positions, axis=1) < 9 / math.sqrt(2)).mean() == pytest.approx(0.5, abs=0.03)
    assert (sheet.parent == -1).all()
