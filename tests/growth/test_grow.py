"""Growth: parity with the plain form, the rules as properties of the grown sheet, constructed cases, published figures."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from devnet._core.errors import ConfigError, ResourceError
from devnet._core.progress import listening
from devnet._core.random import Key
from devnet.growth import grow, reference
from devnet.growth._colony import edges_of, rise_sweeps
from devnet.sheet import Scaffold, Sheet
from devnet.spec import GrowthSpec, ModelSpec, ScaffoldSpec, build, load_model

SQUARE = ((0, 0), (6, 0), (6, 6), (0, 6))
HOLE = ((2, 2), (4, 2), (4, 4), (2, 4))
ARRAYS = ("positions", "parent", "born", "unit_parent", "emitted", "unit_height")


def model(outline=SQUARE, seed_cell=(1, 1), holes=(), **growth) -> ModelSpec:
    return build(
        ModelSpec,
        {
            "name": "test",
            "scaffold": {"outline": outline, "holes": holes, "seed_cell": seed_cell},
            "growth": growth,
            "dynamics": {"map": {"form": "rate_map"}},
        },
    )


def star(radii: list[float], turn: float, center: tuple[float, float]) -> list[tuple[float, float]]:
    """A polygon that is seen whole from its center: never crosses itself."""
    angles = turn + 2 * math.pi * np.arange(len(radii)) / len(radii)
    return [
        (center[0] + r * math.cos(a), center[1] + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)
    ]


@st.composite
def models(draw) -> ModelSpec:
    center = draw(st.tuples(st.floats(-50, 50), st.floats(-50, 50)))
    outline = star(draw(st.lists(st.floats(2.5, 7), min_size=4, max_size=9)), draw(st.floats(0, 6)), center)
    hole = star(draw(st.lists(st.floats(0.1, 0.6), min_size=3, max_size=6)), 0.3, center)
    scaffold = {"outline": outline, "seed_cell": (center[0] + 0.9, center[1])}
    if draw(st.booleans()):
        scaffold["holes"] = [hole]
    try:
        Scaffold.from_spec(ScaffoldSpec.model_validate(scaffold))
    except ConfigError:  # a thin star need not hold this seed cell or this hole
        scaffold = {"outline": outline, "seed_cell": center}
    return model(**scaffold, hayflick=draw(st.integers(0, 9)), timer=draw(st.integers(1, 6)))


def assert_same(a: Sheet, b: Sheet) -> None:
    assert a.sweeps == b.sweeps
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


# ------------------------------------------------------------------------------------------------ parity


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("holes", [(), (HOLE,)], ids=["square", "ring"])
def test_compiled_growth_equals_the_plain_form_bit_for_bit(seed, holes):
    spec = model(holes=holes)
    assert_same(grow(spec, rng=seed), reference.grow(spec, rng=seed))


@given(models(), st.integers(0, 2**64 - 1))
@settings(max_examples=25)
def test_parity_on_random_scaffolds(spec, key):
    assert_same(grow(spec, rng=Key(key)), reference.grow(spec, rng=Key(key)))


def test_parity_with_other_constants():
    spec = model(
        crowd_radius=0.7, divide_below=2, daughter_min=0.3, daughter_spread=2.0, daughter_tries=4, daughter_below=3,
        emit_probability=0.9, hayflick=12, timer=5, rise=0.3, height=1.0,
    )  # fmt: skip
    assert_same(grow(spec, rng=1), reference.grow(spec, rng=1))


def test_growing_arrays_and_batches_leave_no_trace(monkeypatch):
    spec = model()
    whole = grow(spec, rng=5)
    module = sys.modules["devnet.growth.grow"]  # the package's attribute of that name is the verb
    monkeypatch.setattr(module, "FIRST_CAPACITY", 2)
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(module, "MAX_BOXES", 3)
    assert_same(grow(spec, rng=5), whole)


# ------------------------------------------------------------------------------------------------ rules


@given(models(), st.integers(0, 2**32))
@settings(max_examples=40)
def test_rules_hold_on_random_scaffolds(spec, seed):
    sheet = grow(spec, rng=seed)
    rules = spec.growth
    n = sheet.n
    assert sheet.scaffold.contains(sheet.positions).all()

    # Lineage is a tree that is rooted in cell 0; daughters come after their mothers, in the order of birth.
    assert sheet.parent[0] == -1
    assert sheet.born[0] == 0
    daughters = np.arange(1, n)
    mothers = sheet.parent[1:]
    assert (mothers >= 0).all()
    assert (mothers < daughters).all()
    assert (sheet.born[mothers] < sheet.born[1:]).all()
    assert (np.diff(sheet.born) >= 0).all()

    # A mother has one daughter a sweep at most, and nobody is further than `hayflick` divisions down a lineage.
    assert len({(p, b) for p, b in zip(mothers, sheet.born[1:], strict=True)}) == n - 1
    spent = np.zeros(n, int)  # divisions in a cell's own past, its mother's included
    for i in range(1, n):
        spent[sheet.parent[i]] += 1
        spent[i] = spent[sheet.parent[i]]
    assert spent.max() <= rules.hayflick

    # Daughters lie within the ring around their mothers.
    distance = np.linalg.norm(sheet.positions[1:] - sheet.positions[mothers], axis=1)
    assert (distance >= rules.daughter_min - 1e-9).all()
    assert (distance <= rules.daughter_min + rules.daughter_spread + 1e-9).all()

    # Crowding, at the beginning of the sweep of each birth.
    tree = cKDTree(sheet.positions)
    for i in range(1, n):
        before = np.searchsorted(sheet.born, sheet.born[i])
        around_mother = [
            j
            for j in tree.query_ball_point(sheet.positions[sheet.parent[i]], rules.crowd_radius)
            if j < before
        ]
        around_spot = [j for j in tree.query_ball_point(sheet.positions[i], rules.crowd_radius) if j < before]
        assert len(around_mother) <= rules.divide_below
        assert len(around_spot) <= rules.daughter_below

    # Units: one a cell at most, emitted a full timer after the last division, no earlier emitter close by.
    parents = sheet.unit_parent
    assert len(set(parents.tolist())) == sheet.m
    assert (sheet.unit_height == rules.height).all()
    np.testing.assert_array_equal(sheet.unit_positions, sheet.positions[parents])
    for k, p in enumerate(parents):
        divided = sheet.born[sheet.parent == p]
        assert sheet.emitted[k] == max([sheet.born[p], *divided]) + rules.timer
        near = np.linalg.norm(sheet.positions[parents] - sheet.positions[p], axis=1) <= rules.crowd_radius
        assert (sheet.emitted[near] >= sheet.emitted[k]).all()

    # The end: all timers at 0, all units risen.
    assert sheet.growth_curve[-1] == n
    assert len(sheet.growth_curve) == sheet.sweeps + 1
    settled = sheet.born.max() + rules.timer
    risen = int(sheet.emitted.max()) + rise_sweeps(rules) if sheet.m else 0
    assert sheet.sweeps == max(settled, risen)


def test_same_seed_same_sheet_and_other_seed_another():
    spec = model()
    assert_same(grow(spec, rng=3), grow(spec, rng=3))
    assert grow(spec, rng=3).key == grow(spec, rng=np.random.SeedSequence(3)).key
    assert not np.array_equal(grow(spec, rng=3).positions[:5], grow(spec, rng=4).positions[:5])


def test_a_recorded_key_grows_the_sheet_again():
    sheet = grow(model())
    assert_same(grow(sheet.model, rng=sheet.key), sheet)


def test_directions_and_distances_of_daughters_are_uniform():
    big = model(outline=((-9, -9), (9, -9), (9, 9), (-9, 9)), seed_cell=(0, 0), hayflick=1)
    steps = np.array([np.diff(grow(big, rng=seed).positions, axis=0)[0] for seed in range(2000)])
    distance = np.linalg.norm(steps, axis=1)
    assert distance.min() >= 1
    assert distance.max() < 2
    assert abs(distance.mean() - 1.5) < 4 * math.sqrt(1 / 12 / 2000)
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    counts = np.histogram(angle, 16, (-math.pi, math.pi))[0]
    assert ((counts - 125) ** 2 / 125).sum() < 40  # chi-square, 15 degrees of freedom: p = 5e-4


# ------------------------------------------------------------------------------------------------ constructed cases


@pytest.mark.parametrize("form", [grow, reference.grow])
def test_a_scaffold_without_room_holds_one_cell(form):
    sheet = form(
        model(outline=((0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)), seed_cell=(0.2, 0.2), emit_probability=1),
        rng=0,
    )
    assert sheet.n == 1
    assert sheet.unit_parent.tolist() == [0]
    assert sheet.emitted.tolist() == [25]
    assert sheet.sweeps == 25 + 160
    assert sheet.growth_curve.tolist() == [1] * 186


def test_no_divisions_no_emission():
    sheet = grow(model(hayflick=0, emit_probability=0), rng=0)
    assert (sheet.n, sheet.m, sheet.sweeps) == (1, 0, 25)


def test_counts_double_while_there_is_room():
    wide = ((-500, -500), (500, -500), (500, 500), (-500, 500))
    sheet = grow(model(outline=wide, seed_cell=(0, 0), hayflick=6, daughter_min=60, daughter_spread=0), rng=2)
    assert sheet.growth_curve[:8].tolist() == [1, 2, 4, 8, 16, 32, 64, 64]
    assert (np.bincount(sheet.parent[1:], minlength=64) == [6 - b for b in sheet.born]).all()


def test_lonely_cells_all_emit_and_of_a_crowd_only_those_that_rest_first():
    wide = ((-500, -500), (500, -500), (500, 500), (-500, 500))
    lonely = grow(
        model(
            outline=wide, seed_cell=(0, 0), hayflick=5, daughter_min=60, daughter_spread=0, emit_probability=1
        ),
        rng=0,
    )
    assert lonely.m == lonely.n == 32
    # Within one radius of each other and of different age: only the cells that come to rest first emit.
    close = grow(
        model(hayflick=2, daughter_min=0.01, daughter_spread=0, emit_probability=1, seed_cell=(3, 3)), rng=0
    )
    assert close.n == 4
    first = close.emitted.min()
    assert (close.emitted == first).all()


def test_nothing_grows_in_the_hole():
    sheet = grow(model(holes=(HOLE,)), rng=0)
    x, y = sheet.positions.T
    assert sheet.n > 40
    assert not ((x > 2) & (x < 4) & (y > 2) & (y < 4)).any()
    for corner in ((x > 4) & (y > 4), (x > 4) & (y < 2), (x < 2) & (y > 4)):
        assert corner.any()


def test_divisions_stop_where_three_crowd():
    sheet = grow(model(divide_below=1, daughter_below=0), rng=0)
    distances = cKDTree(sheet.positions).query(sheet.positions, k=2)[0][:, 1]
    # Two daughters of one sweep do not see each other, so a few pairs may be close; most cells stand alone.
    assert np.median(distances) > 1


@pytest.mark.parametrize(
    ("height", "rise", "sweeps"),
    [(0.8, 0.005, 160), (1.0, 1.0, 1), (1.0, 0.3, 4), (0.1, 1.0, 1), (0.3, 0.1, 3)],
)
def test_sweeps_of_a_rise(height, rise, sweeps):
    k = rise_sweeps(GrowthSpec(height=height, rise=rise))
    assert k == sweeps
    assert k * rise >= height > (k - 1) * rise


def test_even_odd_rule_agrees_with_the_polygon():
    scaffold = Scaffold.from_spec(
        model(outline=star([6, 2, 5, 3, 6, 1.5], 0.2, (0, 0)), seed_cell=(0, 0.9)).scaffold
    )
    edges = edges_of(scaffold)
    points = (np.stack(np.divmod(np.arange(900), 30), axis=1) - 14.77) * 0.5
    assert [reference.inside(edges, *p) for p in points.tolist()] == scaffold.contains(points).tolist()


# ------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize("form", [grow, reference.grow])
def test_too_many_cells(form):
    with pytest.raises(
        ResourceError, match=r"growth\.max_cells: \d+ cells after sweep \d+ are more than 20; give"
    ):
        form(model(max_cells=20), rng=0)


@pytest.mark.parametrize("form", [grow, reference.grow])
@pytest.mark.parametrize("allowed", [1, 24, 30, 100])
def test_too_many_sweeps(form, allowed):
    with pytest.raises(ResourceError, match=r"growth\.max_sweeps: growth takes at least \d+ sweeps"):
        form(model(max_sweeps=allowed), rng=0)


def test_ceilings_may_be_met_exactly():
    sheet = grow(model(), rng=0)
    assert_same(grow(model(max_sweeps=sheet.sweeps, max_cells=sheet.n), rng=0), sheet)


@pytest.mark.parametrize("form", [grow, reference.grow])
def test_bad_scaffold_and_bad_names_are_told(form):
    with pytest.raises(ConfigError, match=r"scaffold\.seed_cell: \(9\.0, 9\.0\) is not allowed"):
        form(model(seed_cell=(9, 9)))
    with pytest.raises(ConfigError, match="raghavan2019_grown_pooling"):
        form("no such model")
    with pytest.raises(ConfigError, match="rng"):
        form(model(), rng="seed")


def test_a_huge_thin_scaffold_needs_no_memory():
    sheet = grow(
        model(outline=((0, 0), (1e8, 0), (1e8, 0.01), (0, 0.01)), seed_cell=(5e7, 0.005), hayflick=3), rng=0
    )
    assert sheet.n >= 1


def test_progress_counts_sweeps():
    seen: list[tuple[str, int | None]] = []
    ticks: list[int] = []

    class Listener:
        def open(self, label, total):
            seen.append((label, total))
            return nullcontext(ticks.append)

    with listening(Listener()):
        sheet = grow(model(emit_probability=0), rng=0)
    assert seen == [("grow", None)]
    assert sum(ticks) == sheet.sweeps


# ------------------------------------------------------------------------------------------------ published figures


def test_the_published_configuration_grows_as_published():
    sheets = [grow("raghavan2019_grown_pooling", rng=seed) for seed in range(20)]
    assert abs(sheets[0].scaffold.area - 719) < 1

    def near(values, published):
        """The one published run lies within two standard deviations of our runs."""
        assert abs(np.mean(values) - published) < 2 * np.std(values, ddof=1)

    near([s.n for s in sheets], 2003)
    near([s.m for s in sheets], 361)
    near([s.density for s in sheets], 2.78)
    for sweep, cells in ((5, 31), (10, 156), (20, 705), (40, 2001)):
        near([s.growth_curve[sweep] for s in sheets], cells)


@pytest.mark.parametrize(("area", "cells", "units"), [(542, 1796, 289), (476, 1547, 260), (366, 1318, 205)])
def test_squares_of_the_other_published_areas(area, cells, units):
    side = math.sqrt(area)
    spec = model(outline=((0, 0), (side, 0), (side, side), (0, side)), seed_cell=(side / 2, side / 4))
    sheets = [grow(spec, rng=seed) for seed in range(10)]
    assert abs(np.mean([s.n for s in sheets]) / cells - 1) < 0.06
    assert abs(np.mean([s.m for s in sheets]) / units - 1) < 0.06


def test_the_demo_sheet_fills_its_scaffold():
    sheet = grow("raghavan2019_grown_pooling/small", rng=0)
    x0, y0, x1, y1 = sheet.scaffold.bounds
    grid = np.stack(np.meshgrid(np.arange(x0, x1, 0.5), np.arange(y0, y1, 0.5)), axis=-1).reshape(-1, 2)
    grid = grid[sheet.scaffold.contains(grid)]
    assert np.mean(cKDTree(sheet.positions).query(grid)[0] < 1) > 0.95
    assert 2.5 < sheet.density < 3.6


@pytest.mark.slow
def test_a_hundred_thousand_cells():
    base = load_model("raghavan2019_grown_pooling")
    side = 160.0
    spec = base.replace(
        growth=base.growth.replace(hayflick=400, max_cells=200_000),
        scaffold=ScaffoldSpec(
            outline=((0, 0), (side, 0), (side, side), (0, side)), seed_cell=(side / 2, side / 2)
        ),
    )
    sheet = grow(spec, rng=0)
    assert sheet.n > 90_000
    assert 3 < sheet.density < 5
