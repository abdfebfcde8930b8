"""Scaffolds: area, bounds and membership of known shapes; what is no region is refused with the field's name."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devnet._core.errors import ConfigError
from devnet.sheet import Scaffold
from devnet.spec import ScaffoldSpec

SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]
HOLE = [(4, 4), (6, 4), (6, 6), (4, 6)]


def scaffold(outline=SQUARE, holes=(), seed_cell=(1, 1)) -> Scaffold:
    return Scaffold.from_spec(
        ScaffoldSpec.model_validate({"outline": outline, "holes": holes, "seed_cell": seed_cell})
    )


def test_a_square_with_a_hole():
    ring = scaffold(holes=[HOLE])
    assert ring.area == 96
    assert ring.bounds == (0, 0, 10, 10)
    assert ring.seed_cell == (1, 1)
    points = np.array([[1, 1], [5, 5], [11, 5], [4.5, 3.9], [-1, -1]], float)
    assert ring.contains(points).tolist() == [True, False, False, True, False]
    assert ring.contains(np.empty((0, 2))).shape == (0,)


def test_corners_run_either_way_and_may_close_the_ring():
    assert scaffold(SQUARE[::-1]).area == scaffold([*SQUARE, SQUARE[0]]).area == 100


@given(st.integers(3, 40), st.floats(0.1, 100), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_regular_polygons(corners, radius, x, y):
    angles = 2 * math.pi * np.arange(corners) / corners
    outline = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    shape = scaffold(outline.tolist(), seed_cell=(x, y))
    assert shape.area == pytest.approx(corners / 2 * radius**2 * math.sin(2 * math.pi / corners))
    toward_sides = angles + math.pi / corners
    apothem = radius * math.cos(math.pi / corners)
    for scale, inside in ((0.99, True), (1.01, False)):
        points = np.stack([np.cos(toward_sides), np.sin(toward_sides)], axis=1) * apothem * scale + [x, y]
        assert (shape.contains(points) == inside).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"outline": [(0, 0), (10, 10), (10, 0), (0, 10)]},
            r"scaffold\.outline: \(\(0\.0, 0\.0\), .* not cross itself .*\(Self-intersection",
        ),
        ({"outline": [(0, 0), (1, 1), (2, 2)]}, r"scaffold\.outline: .* has an area"),
        ({"outline": [(0, 0), (0, 0), (0, 0)]}, r"scaffold\.outline: .* has an area"),
        (
            {"outline": [(0, 0), (1e10, 0), (1e10, 1e10)]},
            r"scaffold\.outline: .* coordinates of at most 1e\+09",
        ),
        ({"holes": [[(4, 4), (6, 4)]]}, r"scaffold\.holes\.0: .* has an area"),
        ({"holes": [HOLE, [(7, 7), (9, 9), (9, 7), (7, 9)]]}, r"scaffold\.holes\.1: .* not cross itself"),
        ({"holes": [[(9, 9), (11, 9), (11, 11), (9, 11)]]}, r"scaffold\.holes\.0: .* inside the outline"),
        ({"holes": [[(20, 20), (21, 20), (21, 21)]]}, r"scaffold\.holes\.0: .* inside the outline"),
        ({"holes": [HOLE, HOLE]}, r"scaffold\.holes: .* do not touch one another"),
        ({"holes": [HOLE, [(5, 5), (7, 5), (7, 7)]]}, r"scaffold\.holes: .* do not touch one another"),
        ({"seed_cell": (11, 5)}, r"scaffold\.seed_cell: \(11\.0, 5\.0\) is not allowed; give a point inside"),
        ({"seed_cell": (5, 5), "holes": [HOLE]}, r"scaffold\.seed_cell: .* outside every hole"),
        ({"seed_cell": (0, 5)}, r"scaffold\.seed_cell: "),
    ],
)
def test_what_is_no_region_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        scaffold(**changes)


def test_all_that_is_wrong_with_a_scaffold_is_told_together():
    bowtie = [(7, 7), (9, 9), (9, 7), (7, 9)]
    with pytest.raises(ConfigError) as caught:
        scaffold(holes=[HOLE, bowtie, [(20, 20), (21, 20), (21, 21)]], seed_cell=(5, 5))
    assert [p.field for p in caught.value.problems] == [
        "scaffold.holes.1",
        "scaffold.holes.2",
        "scaffold.seed_cell",
    ]
    with pytest.raises(ConfigError) as caught:
        scaffold([(0, 0), (10, 10), (10, 0), (0, 10)], seed_cell=(11, 5))
    assert [p.field for p in caught.value.problems] == ["scaffold.outline", "scaffold.seed_cell"]
    with pytest.raises(
        ConfigError
    ) as caught:  # which side is inside is not known before the corners are right
        scaffold([(0, 0), (10, 10), (10, 0), (0, 10)], seed_cell=(5, 1))
    assert [p.field for p in caught.value.problems] == ["scaffold.outline"]
    with pytest.raises(ConfigError) as caught:
        scaffold([(0, 0), (1e10, 0), (0, 1e10)], seed_cell=(-1, -1))
    assert [p.field for p in caught.value.problems] == ["scaffold.outline"]
