"""Numbers of stacks and of their activity where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.measure.stacks import centers_of_activity, layer_statistics, lifetime, relay_statistics, speed
from devnet.sheet import Frames, Layer, Sheet, Stack, even_places
from devnet.spec import LayerSpec, StackSpec


def perfect(sheet, units=(49, 16)):
    """Every unit takes from a Gaussian around its own place."""
    layers, below = [], sheet.positions
    for m in units:
        places = even_places(sheet.scaffold, m)
        square = ((below[:, None] - places[None]) ** 2).sum(axis=2)
        weights = np.exp(-square / (0.5 * sheet.scaffold.area / m))
        layers.append(
            Layer(
                spec=LayerSpec(units=m),
                positions=places,
                weights=weights / weights.sum(axis=0),
                c=np.zeros(m),
                maturity=1.0,
                late_wins=np.ones(m, np.int64),
            )
        )
        below = places
    spec = StackSpec(layers={f"l{layer.units}": layer.spec for layer in layers})
    dynamics = next(iter(sheet.model.dynamics.values()))
    return Stack(
        sheet=sheet, spec=spec, dynamics=dynamics, key=Key(0), backend="numba", field="exact", activity="waves",
        steps=1, layers=tuple(layers),
    )  # fmt: skip


def test_a_stack_made_in_order_is_measured_so(sheet: Sheet):
    stack = perfect(sheet)
    for number, seen_in in ((2, None), (3, None), (3, 1)):
        found = layer_statistics(stack, number, seen_in)
        assert found.organized == 1.0
        assert found.coverage > 0.95
        assert found.order > 0.98
        assert found.folds == 0.0
    assert layer_statistics(stack, 3, 1).ratio > layer_statistics(stack, 2).ratio
    assert set(found.numbers()) == {"organized", "coverage", "ratio", "order", "folds"}


@pytest.mark.parametrize(
    ("number", "seen_in", "named"), [(1, None, "number"), (4, None, "number"), (3, 3, "seen_in")]
)
def test_layers_that_are_not_there_are_named(sheet: Sheet, number, seen_in, named):
    with pytest.raises(ConfigError, match=named):
        layer_statistics(perfect(sheet), number, seen_in)


def frames(*cells):
    first = np.concatenate([[0], np.cumsum([len(c) for c in cells])]).astype(np.int64)
    return Frames(first, np.array([c for step in cells for c in step], np.int64))


def test_activity_is_told_apart_by_what_the_first_sheet_does():
    on, off = list(range(8)), []
    first = frames(*[off] * 5, *[on] * 10, *[off] * 30)
    layer = frames(*[off] * 4, [1], *[[1, 2]] * 9, off, *[off] * 20, *[[3]] * 5, *[off] * 5)
    found = relay_statistics(first, layer)
    assert found.when_active == pytest.approx(0.9)
    assert found.when_silent == pytest.approx(5 / 10)
    assert found.before == 1
    assert found.size == pytest.approx((1 + 18 + 5) / 15)
    assert found.size_silent == 1.0


def test_a_layer_that_holds_one_bump_is_told_from_one_that_holds_two():
    places = np.stack(np.divmod(np.arange(400), 20), axis=1).astype(float)
    one, two = [0, 1, 2, 20, 21, 22], [0, 1, 2, 200, 201, 202]
    crumb = [*one, 399, 398]  # two units of 400 are no body
    layer = frames(one, two, [], crumb, [5, 6], [*two[:3], 3, 4])
    first = frames(*[list(range(8))] * 6)
    assert relay_statistics(first, layer, places=places, spacing=1.0).single == pytest.approx(3 / 4)
    assert relay_statistics(first, layer, places=places).single == pytest.approx(3 / 4)
    assert np.isnan(relay_statistics(first, layer).single)
    assert np.isnan(relay_statistics(frames([]), frames([]), places=places).single)
    with pytest.raises(ConfigError, match="places: '10 places'"):
        relay_statistics(first, layer, places=places[:10])
    with pytest.raises(ConfigError, match=r"layer: '5 steps' .* 6 steps"):
        relay_statistics(first, layer.part(0, 5))


def test_nothing_is_said_of_steps_that_were_not_there():
    found = relay_statistics(frames([], []), frames([], []))
    assert np.isnan([found.when_active, found.when_silent, found.size]).all()
    assert found.before == 0


def test_a_center_that_walks_has_its_speed_and_life():
    places = np.stack([np.arange(40.0), np.zeros(40)], axis=1)
    walk = frames(*[[t, t + 2] for t in range(30)], [], [])
    path = centers_of_activity(walk, places)
    np.testing.assert_allclose(path[5], [6.0, 0.0])
    assert np.isnan(path[30]).all()
    assert speed(path) == pytest.approx(1.0)
    assert np.isnan(speed(path[:5]))
    assert (lifetime(walk, 10), lifetime(walk, 30), lifetime(walk.part(0, 30), 10)) == (20, 0, 20)
