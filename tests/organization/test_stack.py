"""A small stack on a sheet of 400 cells: it orders itself, and its controls do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.growth import grow
from devnet.io import load, save
from devnet.measure.topography import topographic_order
from devnet.organization import stack as module
from devnet.organization.stack import organize_stack, simulate_stack
from devnet.sheet import Scaffold, Sheet, even_places
from devnet.spec import LayerSpec, StackSpec, load_model
from devnet.waves import simulate

SIDE = 20
SPEC = StackSpec(
    dynamics="rate_map",
    steps=40_000,
    layers={
        "two": LayerSpec(units=64, min_active=8, mature_after=6000),
        "three": LayerSpec(units=25, mature_after=3000, patience=4),
    },
)


@pytest.fixture(scope="module")
def sheet():
    model = load_model("raghavan2019_grown_pooling/small")
    square = model.scaffold.replace(
        outline=((0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)), holes=(), seed_cell=(SIDE / 2, SIDE / 2)
    )
    return Sheet.declared(model.replace(scaffold=square), even_places(Scaffold.from_spec(square), SIDE**2))


@pytest.fixture(scope="module")
def stack(sheet):
    return organize_stack(sheet, SPEC, rng=0)


def order(stack, number):
    return topographic_order(stack.places(number), stack.weights(number, 1), stack.places(1))


def test_both_layers_order_themselves_from_an_unordered_start_learning_at_the_same_time(stack):
    assert order(stack, 2) > 0.85
    assert order(stack, 3) > 0.8
    lower, upper = (layer.maturity for layer in stack.layers)
    assert lower > 0.6 > 0.3 > upper > 0  # it waits for the lower one


def test_branches_order_themselves_and_leave_the_others_as_they_are(sheet, stack):
    branches = {
        "wide": LayerSpec(units=49, mature_after=3000, patience=4, below="two"),
        "beside": LayerSpec(units=36, min_active=8, mature_after=6000, below="sheet"),
    }
    found = organize_stack(sheet, SPEC.replace(layers=SPEC.layers | branches), rng=0)
    for ours, alone in zip(found.layers[:2], stack.layers, strict=True):
        np.testing.assert_array_equal(ours.weights, alone.weights)
    assert order(found, 4) > 0.8
    assert order(found, 5) > 0.85
    frames = simulate_stack(found, simulate(sheet, "rate_map", steps=2000, rng=5))
    assert [int(f.cells.max()) < m for f, m in zip(frames[1:], (64, 25, 49, 36), strict=True)] == [True] * 4
    again = simulate_stack(stack, simulate(sheet, "rate_map", steps=2000, rng=5))
    np.testing.assert_array_equal(frames[2].cells, again[2].cells)


def test_weights_that_do_not_learn_stay_unordered(sheet):
    frozen = organize_stack(sheet, SPEC, rng=0, steps=2000, learn=False)
    assert abs(order(frozen, 2)) < 0.2
    assert [layer.maturity for layer in frozen.layers] == [0.0, 0.0]


def test_shuffled_steps_are_the_same_steps_in_another_order(sheet):
    found = [organize_stack(sheet, SPEC, rng=0, steps=4000, activity=a) for a in ("waves", "shuffled")]
    waves, shuffled = (one.layers[0].maturity for one in found)
    assert waves == pytest.approx(shuffled, rel=0.05)  # as many events
    assert (found[0].layers[0].weights != found[1].layers[0].weights).any()


def test_the_same_key_gives_the_same_stack_on_both_backends(sheet):
    first, second = (
        organize_stack(sheet, SPEC, rng=3, steps=1500, backend=b) for b in ("numba", "reference")
    )
    for one, other in zip(first.layers, second.layers, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(one.late_wins, other.late_wins)


def test_layers_answer_waves_of_the_sheet_and_only_those(stack):
    recording = simulate(stack.sheet, "rate_map", steps=3000, rng=5)
    frames = simulate_stack(stack, recording)
    counts = [np.diff(f.first) for f in frames]
    assert (counts[0] == recording.active).all()
    open_ = counts[0] >= 8
    assert open_.any()
    assert (counts[1][open_] > 0).mean() > 0.9
    start = int(np.argmax(open_))
    assert counts[1][:start].sum() == counts[2][:start].sum() == 0


def test_spikes_are_held_over_the_ends_of_chunks(stack, monkeypatch):
    first, second = stack.layers
    held = replace(stack, layers=(replace(first, spec=first.spec.replace(psp=5)), second))
    recording = simulate(stack.sheet, "rate_map", steps=600, rng=5)
    plain, whole = (simulate_stack(s, recording)[1] for s in (stack, held))
    monkeypatch.setattr(module, "CHUNK", 3)
    parts = simulate_stack(held, recording)[1]
    np.testing.assert_array_equal(parts.first, whole.first)
    np.testing.assert_array_equal(parts.cells, whole.cells)
    assert len(whole.cells) > len(plain.cells) > 0


def test_arbors_start_in_order(sheet):
    arbors = SPEC.replace(
        layers={n: layer.replace(start="arbor", arbor=0.2) for n, layer in SPEC.layers.items()}
    )
    assert order(organize_stack(sheet, arbors, rng=0, steps=1, learn=False), 2) > 0.95


def test_weak_synapses_of_a_mature_layer_are_gone(stack):
    layer = stack.layers[0]
    left = layer.weights > 0
    assert left.mean() < 0.7
    largest = layer.weights.max(axis=0)[left.nonzero()[1]]
    assert (layer.weights[left] >= layer.spec.prune * 0.999 * largest).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"steps": 0}, "steps"), ({"activity": "noise"}, "activity"), ({"backend": "torch"}, "stack")],
)
def test_wrong_arguments_are_named(sheet, options, named):
    with pytest.raises(ConfigError, match=named):
        organize_stack(sheet, SPEC, **options)


def test_a_recording_of_another_sheet_is_refused(stack, sheet):
    for positions in (sheet.positions[:100], sheet.positions[::-1]):
        other = Sheet.declared(sheet.model, positions.copy())
        with pytest.raises(ConfigError, match="recording"):
            simulate_stack(stack, simulate(other, "rate_map", steps=10, rng=0))


def test_a_layer_alone_is_no_stack(sheet):
    with pytest.raises(ConfigError, match="spec: LayerSpec"):
        organize_stack(sheet, LayerSpec(), steps=10)


def test_layers_are_emitted_as_layer_two_is(tmp_path):
    sheet = grow("raghavan2020_multilayer", rng=0)
    layers = {"two": LayerSpec(emitted=True, min_active=8), "three": LayerSpec(emitted=True, below="two")}
    found = organize_stack(sheet, StackSpec(dynamics="rate_map", layers=layers), steps=300, rng=0)
    two, three = found.layers
    assert np.array_equal(two.positions, sheet.unit_positions)
    assert found.spec.layers["two"].units == two.units == sheet.m
    assert {tuple(place) for place in three.positions} <= {tuple(place) for place in two.positions}
    assert 4 <= three.units < 0.5 * two.units
    gaps = np.linalg.norm(three.positions[:, None] - three.positions[None], axis=2)[
        ~np.eye(three.units, dtype=bool)
    ]
    assert gaps.min() > sheet.model.growth.crowd_radius * (sheet.n / sheet.m) ** 0.5
    save(found, tmp_path / "stack")
    assert load(tmp_path / "stack").spec == found.spec
    deeper = layers | {"four": LayerSpec(emitted=True), "five": LayerSpec(emitted=True)}
    with pytest.raises(ConfigError, match=r"stack\.layers\.\w+\.emitted: '\d units'.*at least 4"):
        organize_stack(sheet, StackSpec(dynamics="rate_map", layers=deeper), steps=10, rng=0)
