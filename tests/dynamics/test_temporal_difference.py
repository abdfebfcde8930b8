"""The rule against a hand calculation, and on a bump that only ever runs to the right."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.dynamics.plasticity import Learner, start
from devnet.dynamics.plasticity.temporal_difference import constants, difference, kernel, learn, rate
from devnet.spec import TemporalDifferenceSpec

RULE = TemporalDifferenceSpec(every=1, delay=1, min_active=1, eta=0.5, eta_end=0.1, eta_wins=10.0)


def learner(rule: TemporalDifferenceSpec = RULE) -> Learner:
    state = start(rule, np.zeros((3, 2)), 2, Key(0))
    state.weights[:] = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    return state


def test_one_event_by_hand() -> None:
    state = learner()
    state.pre[1] = [0.0, 1.0, 1.0]
    state.thresholds[:] = (0.5, 0.1)
    learn(RULE, state, np.array([0]), 2)
    e = np.array([1.0, -1 / 2, -1 / 2]) / np.sqrt(1.5)
    turned = np.array([1.0, 0.0, 0.0]) + 0.5 * (e - np.array([1.0, 0.0, 0.0]))
    assert state.weights[:, 0] == pytest.approx(turned / np.linalg.norm(turned))
    assert state.weights[:, 1].tolist() == [0, 1, 0]
    assert state.thresholds == pytest.approx([0.5 * (1 - 0.05 / 2) + 0.03, 0.1 * (1 - 0.05 / 2)])
    assert state.wins.tolist() == [1, 0]
    assert state.peak == pytest.approx([e[0], 0.0])


@pytest.mark.parametrize(("step", "sign"), [(4, 1), (5, -1)])
def test_the_second_difference_is_front_and_back_less_middle_and_the_reverse_in_turn(
    step: int, sign: int
) -> None:
    rule = RULE.replace(order="second", eta=1.0)
    state = learner(rule)
    state.pre[(step - 1) % 3] = [0.0, 1.0, 0.0]
    state.pre[(step - 2) % 3] = [0.0, 0.0, 1.0]
    state.weights *= sign
    learn(rule, state, np.array([0]), step)
    assert state.weights[:, 0] == pytest.approx(sign * np.array([1, -2, 1]) / np.sqrt(6))


def test_frames_are_compared_over_the_stated_delay() -> None:
    rule = RULE.replace(every=2, delay=4, eta=1.0)
    state = learner(rule)
    for step, cell in enumerate([2, 1, 1, 2, 0]):  # step 4 is compared with step 0
        learn(rule, state, np.array([cell]), step)
    assert state.wins.sum() == 1
    assert state.weights[:, 0] == pytest.approx(np.array([1, 0, -1]) / np.sqrt(2))


def test_nothing_is_learned_behind_the_gates_or_while_a_past_frame_is_missing() -> None:
    state = learner()
    learn(RULE, state, np.array([0]), 0)
    assert not state.wins.any()
    learn(RULE.replace(min_active=2), state, np.array([1]), 1)
    assert not state.wins.any()
    state.places[:] = [[0, 0], [9, 0], [0, 0]]
    learn(RULE.replace(max_spread=1.0), state, np.array([0, 1]), 2)
    assert not state.wins.any()
    learn(RULE, state, np.array([0, 1]), 3)  # the same cells as in step 2: no difference
    assert not state.wins.any()
    learn(RULE, state, np.array([0]), 4)
    assert state.wins.sum() == 1


def test_a_delay_between_frames_is_refused() -> None:
    with pytest.raises(ConfigError, match="a multiple of every"):
        RULE.replace(every=2, delay=5)


def test_the_rate_falls_with_the_units_own_wins() -> None:
    assert rate(RULE, 0) == 0.5
    assert rate(RULE, 10) == pytest.approx(0.1 + 0.4 * np.exp(-1))
    assert rate(RULE, 10**6) == pytest.approx(0.1)


def test_units_learn_the_direction_of_a_bump_and_nothing_from_one_that_stands() -> None:
    width, units = 60, 6
    rule = RULE.replace(delay=4, min_active=5, eta_end=0.05)
    state = start(rule, np.zeros((width, 2)), units, Key(0))
    assert np.linalg.norm(state.weights, axis=0) == pytest.approx(np.ones(units))
    for step in range(3000):
        learn(rule, state, (np.arange(5) + step) % width, step)
    assert state.wins.min() > 200
    for weights in state.weights.T:  # what lies ahead of the trough, within half the ring, is the crest
        ahead = (np.argmax(weights) - np.argmin(weights)) % width
        assert 0 < ahead < width / 2
    still = start(rule, np.zeros((width, 2)), units, Key(0))
    for step in range(100):
        learn(rule, still, np.arange(5), step)
    moved = np.abs(still.weights).sum(axis=1)
    assert moved[5:].mean() < 1.5 * moved.mean()  # no unit has picked a place


def test_the_kernel_is_the_law() -> None:
    rule = TemporalDifferenceSpec(order="both", every=1, delay=2, min_active=3)
    law, fast = (start(rule, np.zeros((40, 2)), 7, Key(1)) for _ in range(2))
    draws, r = Key(2).stream("frames"), constants(rule, 40, 7)
    for step in range(300):
        firing = np.flatnonzero(draws.uniform(step, 40) < 0.15)
        learn(rule, law, firing, step)
        e = difference(step, len(firing) >= 3, firing, fast.pre, r)
        kernel(e, fast.weights, fast.thresholds, fast.wins, fast.peak, r)
    assert law.wins.sum() > 150
    for name in ("weights", "thresholds", "wins", "peak", "pre"):
        assert getattr(fast, name) == pytest.approx(getattr(law, name), abs=1e-12), name
