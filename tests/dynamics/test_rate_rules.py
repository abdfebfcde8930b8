"""Oja's and BCM's rule against their fixed points."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.random import as_key
from devnet.dynamics.plasticity import Learner, bcm, oja, start
from devnet.spec import BCMSpec, OjaSpec

RNG = np.random.default_rng(0)
PATTERNS = RNG.random((40, 8)) < np.array([0.9, 0.8, 0.5, 0.5, 0.3, 0.3, 0.2, 0.1])
PATTERNS[:, 0] |= ~PATTERNS.any(axis=1)


def test_oja_finds_the_leading_eigenvector_at_length_1() -> None:
    learner = start(OjaSpec(eta=0.005), np.zeros((8, 2)), 1, as_key(0))
    for step in range(40_000):
        oja.learn(OjaSpec(eta=0.005), learner, np.flatnonzero(PATTERNS[step % 40]), step)
    x = PATTERNS / np.sqrt(PATTERNS.sum(axis=1, keepdims=True))
    leading = np.linalg.eigh(x.T @ x)[1][:, -1]
    assert learner.weights[:, 0] == pytest.approx(np.abs(leading), abs=0.01)


def test_one_step_of_oja() -> None:
    w = np.array([[0.4, 0.1], [0.2, 0.1], [0.1, 0.9]])
    learner = Learner.of(w.copy(), np.zeros(2))
    oja.learn(OjaSpec(eta=0.1), learner, np.array([0, 1]), 0)
    x = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    y = x @ w[:, 0]
    assert learner.weights[:, 0] == pytest.approx(w[:, 0] + 0.1 * y * (x - y * w[:, 0]))
    assert learner.weights[:, 1].tolist() == w[:, 1].tolist()  # only the winner learns
    learner = Learner.of(w.copy(), np.zeros(2))
    oja.learn(OjaSpec(eta=0.1, learners="all"), learner, np.array([0, 1]), 0)
    y = x @ w[:, 1]
    assert learner.weights[:, 1] == pytest.approx(w[:, 1] + 0.1 * y * (x - y * w[:, 1]))


def test_a_rate_that_is_too_large_makes_no_weight_negative() -> None:
    learner = Learner.of(np.ones((100, 1)), np.zeros(1))
    oja.learn(OjaSpec(norm="mean", eta=0.1), learner, np.arange(20), 0)
    assert learner.weights.min() == 0.0


def test_bcm_selects_one_of_two_patterns_and_answers_it_with_2() -> None:
    spec = BCMSpec(eta=0.005, tau_theta=100.0)
    learner = Learner.of(np.array([[0.6], [0.6], [0.5], [0.5]]), np.zeros(1))
    for step in range(40_000):
        bcm.learn(spec, learner, np.array([0, 1]) if step % 2 else np.array([2, 3]), step)
    rates = learner.weights.reshape(2, 2).sum(axis=1) / np.sqrt(2)
    assert rates == pytest.approx([2.0, 0.0], abs=0.03)
    assert learner.post[0, 0] == pytest.approx(2.0, abs=0.05)  # the mean square of 2 and 0


def test_bcm_depresses_below_its_threshold_and_potentiates_above() -> None:
    for theta, sign in ((0.5, 1), (2.0, -1)):
        learner = Learner.of(np.ones((2, 1)), np.zeros(1))
        learner.post[0] = theta
        bcm.learn(BCMSpec(), learner, np.array([0]), 0)
        assert learner.weights[0, 0] - 1 == pytest.approx(0.01 * (1 - theta))
        assert np.sign(learner.weights[0, 0] - 1) == sign
        assert learner.weights[1, 0] == 1.0
        assert learner.post[0, 0] == pytest.approx(theta + (1 - theta) / 50)
