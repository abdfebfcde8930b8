"""M20's rules against their equations, and against winner-take-all where they are the same."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.random import as_key
from devnet.dynamics.plasticity import Learner, hebbian_wta, k_winners, start
from devnet.spec import HebbianWTASpec, KWinnersSpec

WEIGHTS = np.array([[3.0, 2.0, 2.5, 0.5], [3.0, 3.0, 1.5, 0.5], [1.5, 2.5, 3.5, 6.5]])
THRESHOLDS = np.array([1.0, 1.0, 1.0, 2.0])


@pytest.mark.parametrize("post", ["rate", "spike"])
def test_one_step_of_either_form(post: str) -> None:
    spec = KWinnersSpec(winners=2, post=post)
    learner = Learner.of(WEIGHTS.copy(), THRESHOLDS.copy())
    k_winners.learn(spec, learner, np.array([0, 1]), 0)
    y = np.array([5.0, (4 / 5) ** 4 * 4])
    f = y if post == "rate" else np.ones(2)
    for j in (0, 1):
        raised = WEIGHTS[:, j] + 0.1 * f[j] * np.array([1, 1, 0])
        assert learner.weights[:, j] == pytest.approx(2.5 * raised / raised.mean())
    assert np.array_equal(learner.weights[:, 2:], WEIGHTS[:, 2:])
    assert learner.thresholds == pytest.approx([1 + 0.005 * y[0], 1 + 0.005 * y[1], 1, 2])
    assert learner.wins.tolist() == [1, 0, 0, 0]


def test_units_below_their_threshold_do_not_learn_however_large_k_is() -> None:
    learner = Learner.of(WEIGHTS.copy(), THRESHOLDS.copy())
    k_winners.learn(KWinnersSpec(winners=4, sharpness=0), learner, np.array([0, 1]), 0)
    assert not np.array_equal(learner.weights[:, 2], WEIGHTS[:, 2])
    assert np.array_equal(learner.weights[:, 3], WEIGHTS[:, 3])  # driven by 1, its threshold is 2
    before = learner.weights.copy()
    learner.thresholds[:] = 99.0
    k_winners.learn(KWinnersSpec(winners=4), learner, np.array([0, 1]), 1)
    assert np.array_equal(learner.weights, before)


def test_one_winner_is_winner_take_all() -> None:
    rng = np.random.default_rng(0)
    rules = (KWinnersSpec(c_mean=20.0), HebbianWTASpec(c_mean=20.0, recruit_every=0))
    ours, theirs = (start(rule, np.zeros((30, 2)), 5, as_key(1)) for rule in rules)
    for step in range(300):
        firing = np.flatnonzero(rng.random(30) < 0.4)
        k_winners.learn(rules[0], ours, firing, step)
        hebbian_wta.learn(rules[1], theirs, firing, step)
    assert theirs.wins.sum() > 100
    assert ours.weights == pytest.approx(theirs.weights)
    assert ours.thresholds == pytest.approx(theirs.thresholds)
