"""Even places on any region, frames, and weights seen through layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.sheet import Frames, Layer, Scaffold, Sheet, Stack, even_places
from devnet.spec import LayerSpec, ScaffoldSpec, StackSpec, load_model

SQUARE = ((0.0, 0.0), (8.0, 0.0), (8.0, 8.0), (0.0, 8.0))
HOLE = ((3.0, 3.0), (3.0, 5.0), (5.0, 5.0), (5.0, 3.0))


def scaffold(outline=SQUARE, holes=()):
    return Scaffold.from_spec(ScaffoldSpec(outline=outline, holes=holes, seed_cell=(1.0, 1.0)))


def test_a_square_gets_a_lattice():
    places = even_places(scaffold(), 16)
    np.testing.assert_allclose(places[:5], [[1, 1], [3, 1], [5, 1], [7, 1], [1, 3]])


@pytest.mark.parametrize("count", [5, 60, 63])
def test_any_region_gets_as_many_places_as_asked_for_evenly_and_inside(count):
    region = scaffold(((0.0, 0.0), (12.0, 0.0), (8.0, 8.0), (0.0, 8.0)), (HOLE,))
    places = even_places(region, count)
    assert places.shape == (count, 2)
    assert region.contains(places).all()
    if count > 5:
        nearest = cKDTree(places).query(places, k=2)[0][:, 1] / (region.area / count) ** 0.5
        assert nearest.min() > 0.6
        assert nearest.max() < 1.5
    np.testing.assert_array_equal(places, even_places(region, count))


RING = ((3.0, 3.0), (21.0, 3.0), (21.0, 21.0), (3.0, 21.0))
WIDE = ((0.0, 0.0), (24.0, 0.0), (24.0, 24.0), (0.0, 24.0))
C_SHAPE = (
    (0.0, 0.0),
    (24.0, 0.0),
    (24.0, 3.0),
    (3.0, 3.0),
    (3.0, 21.0),
    (24.0, 21.0),
    (24.0, 24.0),
    (0.0, 24.0),
)


@pytest.mark.parametrize(("outline", "holes"), [(WIDE, (RING,)), (C_SHAPE, ())])
@pytest.mark.parametrize("count", [4, 5, 6, 9])
def test_few_places_lie_neither_in_a_hole_nor_outside(outline, holes, count):
    region = scaffold(outline, holes)
    places = even_places(region, count)
    assert region.contains(places).all()
    assert len(np.unique(places, axis=0)) == count


def test_frames_as_rows_of_zeros_and_ones():
    frames = Frames.of(np.array([0, 0, 2]), np.array([1, 3, 0]), 4)
    np.testing.assert_array_equal(frames.dense(4), [[0, 1, 0, 1], [0] * 4, [1, 0, 0, 0], [0] * 4])
    assert frames.dense(9).shape == (4, 9)
    assert frames.part(3, 4).dense(0).shape == (1, 0)
    with pytest.raises(ConfigError, match=r"units: 3 .* at least 4"):
        frames.dense(3)


def test_frames_are_cut_joined_and_put_in_another_order():
    frames = Frames.of(np.array([0, 0, 2, 3]), np.array([4, 5, 6, 7]), 4)
    assert [list(step) for step in frames] == [[4, 5], [], [6], [7]]
    assert [list(step) for step in frames.part(2, 4)] == [[6], [7]]
    assert [list(step) for step in Frames.join([frames.part(0, 1), frames.part(1, 4)])] == [
        [4, 5],
        [],
        [6],
        [7],
    ]
    assert [list(step) for step in frames.ordered(np.array([3, 1, 0, 2]))] == [[7], [], [4, 5], [6]]
    assert frames.time().tolist() == [0, 0, 2, 3]


@pytest.fixture(scope="module")
def square_sheet():
    model = load_model("raghavan2019_grown_pooling/small")
    square = model.scaffold.replace(outline=SQUARE, holes=(), seed_cell=(1.0, 1.0))
    return Sheet.declared(model.replace(scaffold=square), even_places(scaffold(), 100))


def stack(square_sheet, shapes=((100, 9), (9, 4))):
    layers = tuple(
        Layer(
            spec=LayerSpec(units=m),
            positions=even_places(square_sheet.scaffold, m),
            weights=np.random.default_rng(m).dirichlet(np.ones(n), m).T,
            c=np.zeros(m),
            maturity=1.0,
            late_wins=np.ones(m, np.int64),
        )
        for n, m in shapes
    )
    dynamics = next(iter(square_sheet.model.dynamics.values()))
    return Stack(
        sheet=square_sheet, spec=StackSpec(layers={f"l{layer.units}": layer.spec for layer in layers}), dynamics=dynamics,
        key=Key(0), backend="numba", field="exact", activity="waves", steps=1, layers=layers,
    )  # fmt: skip


def test_steps_in_which_cells_lie_too_far_apart_are_emptied():
    frames = Frames.of(np.array([0, 0, 2, 2, 3]), np.array([0, 1, 0, 3, 3]), 5)
    places = np.array([[0.0, 0.0], [0.0, 2.0], [9.0, 9.0], [0.0, 8.0]])
    assert [list(step) for step in frames.compact(places, np.pi, 1.0)] == [[0, 1], [], [], [3], []]
    assert [list(step) for step in frames.compact(places, np.pi, 4.0)] == [[0, 1], [], [0, 3], [3], []]


def test_a_spike_is_held_for_some_steps_and_counts_once_a_step():
    frames = Frames.of(np.array([0, 0, 1, 3]), np.array([2, 5, 5, 0]), 5)
    assert [list(step) for step in frames.held(1)] == [[2, 5], [5], [], [0], []]
    assert [list(step) for step in frames.held(2)] == [[2, 5], [2, 5], [5], [0], [0]]
    assert [list(step) for step in frames.held(9)] == [[2, 5], [2, 5], [2, 5], [0, 2, 5], [0, 2, 5]]
    silent = Frames.of(np.array([], int), np.array([], int), 3)
    assert [list(step) for step in silent.held(4)] == [[], [], []]


def test_weights_seen_in_lower_layers_are_products_and_sum_to_one(square_sheet):
    found = stack(square_sheet)
    np.testing.assert_allclose(found.weights(3, 1), found.weights(2) @ found.weights(3))
    np.testing.assert_allclose(found.weights(3, 1).sum(axis=0), 1.0)
    assert found.places(1) is square_sheet.positions
    assert len(found.places(3)) == 4
    assert "100 -> 9 -> 4" in repr(found)
    assert "9 units, 4 units" in found._repr_html_()


def test_layers_that_do_not_fit_on_each_other_are_refused(square_sheet):
    with pytest.raises(ConfigError, match="9 rows"):
        stack(square_sheet, ((100, 9), (8, 4)))


def test_a_layer_that_is_not_there_is_named(square_sheet):
    found = stack(square_sheet)
    for field, arguments in {"number": (9,), "seen_in": (2, 2)}.items():
        with pytest.raises(ConfigError, match=f"^{field}: "):
            found.weights(*arguments)
        with pytest.raises(ConfigError, match=f"^{field}: "):
            found.path(*arguments)
    for number in (9, 0, -1):
        with pytest.raises(ConfigError, match=r"^number: .* from 1 to 3"):
            found.places(number)
    assert found.spacing(1) == pytest.approx(0.8)
    assert found.spacing(2) == pytest.approx(8 / 3)


def test_branches_are_seen_through_what_feeds_them_only(square_sheet):
    chain = stack(square_sheet)
    wide = Layer(
        spec=LayerSpec(units=16, below="l9"), positions=even_places(square_sheet.scaffold, 16),
        weights=np.random.default_rng(1).dirichlet(np.ones(9), 16).T, c=np.zeros(16), maturity=1.0,
        late_wins=np.ones(16, np.int64),
    )  # fmt: skip
    spec = StackSpec(layers=chain.spec.layers | {"wide": wide.spec})
    assert spec.feeding == (1, 2, 2)
    found = replace(chain, spec=spec, layers=(*chain.layers, wide))
    assert (found.path(4), found.path(4, 2), found.path(3)) == ((1, 2, 4), (2, 4), (1, 2, 3))
    np.testing.assert_allclose(found.weights(4, 1), found.weights(2) @ wide.weights)
    np.testing.assert_array_equal(found.weights(4), wide.weights)
    assert repr(found) == "Stack(100 -> 9 -> 4, 9 -> 16)"
    for seen_in in (3, 0, 7):
        with pytest.raises(ConfigError, match=r"seen_in: \d .* that feeds layer 4"):
            found.path(4, seen_in)
    with pytest.raises(ConfigError, match=r"layers\[2\].weights: .*100 rows"):
        replace(
            found, spec=StackSpec(layers=chain.spec.layers | {"wide": LayerSpec(units=16, below="sheet")})
        )
    with pytest.raises(ConfigError, match=r"Stack.layers: 2 .* the spec's 3"):
        replace(found, layers=chain.layers)
