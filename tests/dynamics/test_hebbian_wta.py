"""The rule against a hand calculation."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.random import Key
from devnet.dynamics.plasticity import Learner, start
from devnet.dynamics.plasticity.base import total
from devnet.dynamics.plasticity.hebbian_wta import learn
from devnet.spec import HebbianWTASpec

G19 = HebbianWTASpec(c_mean=1.0, c_sd=0.0, weight=1.0)


def learner() -> Learner:
    weights = np.array([[1.5, 0.5], [1.0, 1.0], [0.5, 1.5]])
    return Learner.of(weights, np.array([1.0, 1.0]))


def test_one_event_by_hand() -> None:
    state = learner()
    learn(G19, state, np.array([0, 1]), 0)
    f = 2.5 - 1.0
    raised = np.array([1.5 + 0.1 * f, 1.0 + 0.1 * f, 0.5])
    assert state.weights[:, 0] == pytest.approx(raised * 3 / raised.sum())
    assert state.weights[:, 1].tolist() == [0.5, 1.0, 1.5]
    assert state.thresholds == pytest.approx([1 + 0.005 * f, 1.0])
    assert state.wins.tolist() == [1, 0]
    assert state.peak.tolist() == [2.5, 1.5]


def test_nothing_is_learned_below_the_threshold_or_with_too_few_cells() -> None:
    for rule, firing in ((G19.replace(c_mean=1.0), [0]), (G19.replace(min_active=3), [0, 1])):
        state = learner()
        state.thresholds[:] = 3.0 if len(firing) == 1 else 1.0
        before = state.weights.copy()
        learn(rule, state, np.array(firing), 0)
        assert np.array_equal(state.weights, before)
        assert not state.wins.any()


def test_raw_drive_learns_where_excess_would_not_and_thresholds_decay() -> None:
    rule = G19.replace(factor="drive", c_rise="constant", c_plus=0.5, c_decay=0.1)
    state = learner()
    state.thresholds[:] = (3.0, 4.0)
    learn(rule, state, np.array([0]), 0)
    assert state.wins.tolist() == [1, 0]
    assert state.thresholds == pytest.approx([3.0 * (1 - 0.1 / 2) + 0.5, 4.0 * (1 - 0.1 / 2)])


def test_rare_winners_are_recruited() -> None:
    state = learner()
    rule = G19.replace(recruit_every=10, recruit_wins=1)
    learn(rule, state, np.array([0, 1]), 0)
    learn(rule, state, np.array([], dtype=int), 9)
    assert state.thresholds[1] == pytest.approx(1.5 / 5)
    assert state.thresholds[0] > 1.0


def test_the_start_is_unordered_and_normalized() -> None:
    rule = HebbianWTASpec()
    state = start(rule, np.zeros((400, 2)), 30, Key(3))
    assert state.weights.mean(axis=0) == pytest.approx(np.full(30, 2.5))
    assert state.weights.std() == pytest.approx(0.14, rel=0.05)
    assert state.thresholds.mean() == pytest.approx(70, abs=2)
    assert total(rule, 400) == 1000
    assert total(rule.replace(norm="sum", weight=1.0), 400) == 1.0
    fewer = start(rule, np.zeros((400, 2)), 10, Key(3))
    assert np.array_equal(
        fewer.weights, state.weights[:, :10]
    )  # a unit's draws do not depend on how many there are


def test_cells_firing_in_two_places_teach_nobody() -> None:
    rule = G19.replace(max_spread=0.6)
    state = learner()
    state.places[:] = [[0, 0], [0.5, 0], [3, 0]]
    learn(rule, state, np.array([0, 2]), 0)
    assert state.wins.sum() == 0
    learn(rule, state, np.array([0, 1]), 1)
    assert state.wins.sum() == 1
