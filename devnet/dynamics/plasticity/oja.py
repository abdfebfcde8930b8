"""Oja's rule for rate forms (Oja 1982), behind the competition that all rules share.

With x = s / |s| the pattern of firing at length 1, and y_j = w_j . x a unit's rate,

    w_j <- w_j + eta y_j (x - y_j w_j)

for the winner, or for every unit, and where eta y^2 > 1 what was there is 0. Alone, w comes to length 1 along the leading eigenvector of <x x^T>.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from devnet.dynamics.plasticity import base
from devnet.dynamics.plasticity.base import Learner, Rule
from devnet.spec import OjaSpec


def learn(spec: OjaSpec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of the rule in place; arguments as ``hebbian_wta.learn``."""
    winner = base.compete(spec, learner, firing)
    if winner is not None:
        count = len(learner.wins)
        teach(
            spec, learner, firing, base.only(slice(None) if spec.learners == "all" else winner[0], 1.0, count)
        )
        base.won(spec, learner, winner[0], 1.0)
    base.recruit(spec, learner, step)


def teach(spec: OjaSpec, learner: Learner, firing: Int[np.ndarray, " k"], f: Float[np.ndarray, " M"]) -> None:
    """Let every unit with f_j > 0 learn at rate f_j eta, in place; arguments as ``hebbian_wta.teach``."""
    w, x = learner.weights, 1 / np.sqrt(len(firing))
    rates = x * w[firing].sum(axis=0)
    for j in np.flatnonzero(f):
        reached, eta = base.connected(spec, learner, firing, j), f[j] * spec.eta
        w[:, j] *= max(0.0, 1 - eta * rates[j] ** 2)
        w[reached, j] += eta * rates[j] * x


def constants(spec: OjaSpec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return the shared constants, then (eta, all units learn, structural)."""
    shared = base.shared_constants(spec, n)
    shared[8] = 1.0
    return np.array([*shared, spec.eta, float(spec.learners == "all"), float(spec.structural)])


def turn(units, eta, firing, weights, structural):
    """Let these units learn, each at its rate."""
    x = 1.0 / np.sqrt(len(firing))
    rate = np.zeros(len(units))
    for i in firing:
        for e in range(len(units)):
            rate[e] += x * weights[i, units[e]]
    shrink = np.maximum(0.0, 1.0 - eta * rate**2)
    for i in range(len(weights)):
        for e in range(len(units)):
            weights[i, units[e]] *= shrink[e]
    for i in firing:
        for e in range(len(units)):
            if structural == 0.0 or weights[i, units[e]] > 0.0:
                weights[i, units[e]] += eta[e] * rate[e] * x


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Let unit k learn, or all units (k < 0: nobody won). Returns 1 where there was a winner, else 0."""
    if k < 0:
        return 0.0
    units = np.arange(weights.shape[1]) if r[10] != 0.0 else np.arange(k, k + 1)
    turn(units, np.full(len(units), r[9]), firing, weights, r[11])
    return 1.0


def teach_kernel(firing, f, weights, pre, post, r):
    """Let every unit with f_j > 0 learn: ``teach``, compiled."""
    units = np.flatnonzero(f)
    turn(units, f[units] * r[9], firing, weights, r[11])


RULE = base.register(Rule("oja", 4, constants, learn, kernel, teach))
