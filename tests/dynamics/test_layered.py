"""The law of a stack's layer: what it keeps, what it does at the ends of its range, and its closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devnet.dynamics.layered import LayerState, Stage, bell, layer_step, mature, pruned
from devnet.spec import LayerSpec

SIDE = 5
PLACES = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
DISTANCE = np.linalg.norm(PLACES[:, None] - PLACES[None], axis=2)


def layer(n=40, seed=0):
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, (n, SIDE**2))
    return LayerState.of(weights / weights.sum(axis=0))


def stage(spec, maturity=0.0):
    return Stage.at(spec, DISTANCE, float(SIDE), maturity)


def test_weights_of_every_unit_sum_to_one_however_long_it_learns():
    spec, state, rng = LayerSpec(units=25), layer(), np.random.default_rng(1)
    for _ in range(300):
        layer_step(spec, stage(spec), state, np.sort(rng.choice(40, 7, replace=False)), True)
    np.testing.assert_allclose(state.weights.sum(axis=0), 1.0, atol=1e-12)
    assert state.events > 250
    assert abs(state.c.sum()) < 1e-15


def test_what_is_shown_again_and_again_is_learned_by_closed_form():
    spec = LayerSpec(units=25, eta=(0.1, 0.1), c_plus=0.0, width=(0.5, 0.5))
    state, firing, at = layer(), np.arange(8), stage(spec)
    layer_step(spec, at, state, firing, True)
    winners = state.fired.copy()
    before = layer().weights
    for _ in range(19):
        layer_step(spec, at, state, firing, True)
    assert (state.fired == winners).all()
    target = np.zeros(40)
    target[:8] = 1 / 8
    r = at.spread @ winners
    j = int(np.argmax(r))  # where the depolarization is whole, eta is
    expected = target + (before[:, j] - target) * 0.9**20
    np.testing.assert_allclose(state.weights[:, j], expected, atol=1e-14)


def test_below_the_gate_nothing_fires_and_nothing_is_learned():
    spec, state = LayerSpec(units=25, min_active=3), layer()
    before = state.weights.copy()
    layer_step(spec, stage(spec), state, np.array([1, 2]), True)
    assert not state.fired.any()
    assert (state.weights == before).all()
    assert state.events == 0


def test_k_fire_and_the_strongest_of_them_teach():
    spec = LayerSpec(
        units=25, winners=(0.08, 0.24), threshold=1e-6, width=(0.4, 0.4), least_width=0.1, c_plus=0.5
    )
    state, at = layer(), replace(stage(spec), spread=np.eye(25))
    layer_step(spec, at, state, np.arange(5), True)
    assert state.fired.sum() == 6
    teachers = np.argsort(-state.x)[:2]
    np.testing.assert_allclose(state.c, 0.5 * (np.isin(np.arange(25), teachers) - 0.08))
    changed = (state.weights != layer().weights).any(axis=0)
    assert sorted(np.flatnonzero(changed)) == sorted(teachers)


def test_in_soft_competition_all_fire_that_come_near_the_most_active_one():
    sizes = []
    for share in (0.3, 0.6, 0.9):
        spec = LayerSpec(units=25, competition="soft", share=share, threshold=1e-3, width=(0.2, 0.2))
        state, at = layer(seed=3), stage(spec)
        layer_step(spec, at, state, np.arange(5), True)
        assert (state.fired == (state.x > share * state.x.max())).all()
        assert np.count_nonzero(state.c > 0) == min(2, state.fired.sum())  # whatever fires, few teach
        sizes.append(int(state.fired.sum()))
    assert sizes[0] > sizes[1] > sizes[2] >= 1
    high = spec.replace(threshold=10.0)
    layer_step(high, at, state, np.arange(5), True)
    assert not state.fired.any()


def test_one_unit_may_fire_alone_where_it_is_asked_for():
    spec = LayerSpec(units=25, winners=(0.01, 0.01))
    assert (stage(spec).teachers, stage(spec).winners) == (2, 2)
    alone = stage(spec.replace(fewest=1))
    assert (alone.teachers, alone.winners) == (1, 1)
    state = layer()
    layer_step(spec.replace(fewest=1), replace(alone, spread=np.eye(25)), state, np.arange(5), True)
    assert state.fired.sum() == np.count_nonzero(state.c > 0) == 1


def test_the_gap_junctions_make_neighbors_fire_together():
    spec = LayerSpec(units=25, winners=(0.16, 0.16), width=(0.2, 0.2))
    state = layer(seed=3)
    layer_step(spec, stage(spec), state, np.arange(5), False)
    assert DISTANCE[np.ix_(state.fired, state.fired)].max() <= 2.0


def test_a_bump_outlives_its_input_only_by_recurrence_and_then_moves_by_adaptation():
    lives = {}
    for recurrence in (0.0, 2.0):
        spec = LayerSpec(
            units=25, winners=(0.16, 0.16), width=(0.2, 0.2), recurrence=recurrence, h=0.1, reach=1.0
        )
        state, at = layer(seed=3), stage(spec, 1.0)
        for _ in range(5):
            layer_step(spec, at, state, np.arange(5), False)
        first = state.fired.copy()
        for _ in range(20):
            layer_step(spec, at, state, np.arange(0), False)
        lives[recurrence] = state.fired.any()
        moved = (state.fired != first).any()
    assert lives == {0.0: False, 2.0: True}
    assert moved


def test_without_a_trigger_even_a_recurrent_layer_stays_silent():
    spec = LayerSpec(units=25, recurrence=5.0)
    state = layer()
    for _ in range(50):
        layer_step(spec, stage(spec, 1.0), state, np.arange(0), True)
        assert not state.fired.any()


def test_units_that_see_all_alike_are_not_divided_by_zero():
    spec = LayerSpec(units=25)
    state = LayerState.of(np.full((40, 25), 1 / 40))
    layer_step(spec, stage(spec), state, np.arange(5), True)
    assert np.isfinite(state.weights).all()


def test_a_layer_waits_for_the_one_below_to_mature():
    spec = LayerSpec(mature_after=100, patience=10)
    assert mature(spec, 50, 0.0, 1.0) == pytest.approx(0.5)
    assert mature(spec, 50, 0.0, 0.5) == pytest.approx(0.5 / 1024)
    assert mature(spec, 500, 0.9, 1.0) == 1.0


def test_widths_and_rates_move_evenly_and_widths_stop_at_the_least():
    spec = LayerSpec(units=25, width=(0.4, 0.1), least_width=0.6, eta=(0.01, 0.002))
    widths, rates = [], []
    for maturity in (0.0, 0.4, 0.8, 1.0):
        at = stage(spec, maturity)
        widths.append((-1.0 / (2.0 * np.log(at.spread[0, 1]))) ** 0.5)
        rates.append(at.eta)
    m = np.array([0, 102, 204, 256]) / 256  # in so many steps
    np.testing.assert_allclose(widths, np.maximum(5 * (0.4 - 0.3 * np.minimum(1, m / 0.8)), 0.6))
    np.testing.assert_allclose(rates, 0.01 - 0.008 * m)


def test_bells_end_at_three_standard_deviations():
    np.testing.assert_allclose(
        bell(np.array([0.0, 2.0, 6.0, 6.01]), 2.0), [1.0, np.exp(-0.5), np.exp(-4.5), 0.0]
    )


def test_pruning_takes_weak_synapses_and_keeps_the_sum():
    weights = np.array([[0.6, 0.5], [0.35, 0.5], [0.05, 0.0]])
    np.testing.assert_allclose(pruned(weights, 0.1), [[0.6 / 0.95, 0.5], [0.35 / 0.95, 0.5], [0.0, 0.0]])


def test_a_lone_pair_of_spikes_changes_the_weight_by_its_closed_form():
    eta, a, tau = 0.1, 0.5, 4.0
    spec = LayerSpec(
        units=25, eta=(eta, eta), winners=(0.08, 0.08), c_plus=0.0, depression=a, tau_minus=tau, min_active=5
    )
    state, none = layer(), np.arange(0)
    at = replace(stage(spec), spread=np.eye(25))
    layer_step(spec, at, state, np.arange(5), True)
    unit, other = int(np.argmax(state.fired)), int(np.argmin(state.fired))
    for _ in range(3):
        layer_step(spec, at, state, none, True)
    before = state.weights.copy()
    layer_step(spec, at, state, np.array([7]), True)  # too few to drive, but it comes after the unit
    trace = (1 / tau) * (1 - 1 / tau) ** 3
    weight = before[7, unit] * (1 - eta * a * trace)
    expected = weight / (1 - before[7, unit] + weight)
    assert state.weights[7, unit] == pytest.approx(expected, rel=1e-12)
    assert state.weights[7, unit] < before[7, unit]
    np.testing.assert_allclose(state.weights[:, other], before[:, other], rtol=1e-14)


def test_a_spiking_unit_that_is_driven_alone_fires_as_in_closed_form():
    # x comes to 1 - (1 - 1 / tau)^t after a spike; the threshold holds, as h = 0.
    spec = LayerSpec(
        units=25, form="spiking", tau_x=8.0, threshold=0.5, c_plus=0.0, width=(0.05, 0.05), least_width=0.1
    )
    state, at = layer(), stage(spec)
    state.weights[:] = 1e-6
    state.weights[:8, 7] = 1.0
    state.weights /= state.weights.sum(axis=0)
    fired = []
    for _ in range(60):
        layer_step(spec, at, state, np.arange(8), False)
        assert state.fired.sum() == state.fired[7]
        fired.append(bool(state.fired[7]))
    wanted = int(np.ceil(np.log(0.5) / np.log(1 - 1 / 8)))
    assert np.diff(np.flatnonzero(fired)).tolist() == [wanted] * (60 // wanted - 1)
    assert np.argmax(fired) + 1 == wanted
    # Each spike raises the threshold by h, which then comes back by 1 / tau_a a step: intervals grow.
    tired = spec.replace(h=0.1, tau_a=200.0)
    state = LayerState.of(state.weights)
    at, times = stage(tired), []
    for step in range(200):
        layer_step(tired, at, state, np.arange(8), False)
        times += [step] * bool(state.fired[7])
    assert np.diff(times)[-1] > np.diff(times)[0] > wanted


def test_spiking_units_teach_while_their_drive_is_among_the_largest():
    spec = LayerSpec(units=25, form="spiking", winners=(0.08, 0.4), tau_x=4.0, threshold=0.2)
    state, at, firing = layer(), stage(spec), np.arange(8)
    taught = fired = 0
    for _ in range(40):
        c, events = state.c.copy(), state.events
        layer_step(spec, at, state, firing, True)
        fired += int(state.fired.sum())
        rose = state.c > c
        assert (state.fired[rose]).all()
        assert rose.sum() <= at.teachers
        assert (state.events > events) == rose.any()
        taught += int(rose.sum())
    assert 0 < taught < fired
