"""Oja's rule for rate forms (Oja 1982), behind the competition that all rules share.

With x = s / |s| the pattern of firing at length 1, and y_j = w_j . x a unit's rate,

    w_j <- w_j + eta y_j (x - y_j w_j)

for the winner, or for every unit. Alone, w comes to length 1 along the leading eigenvector of <x x^T>.
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
        w[:, j] *= 1 - eta * rates[j] ** 2
        w[reached, j] += eta * rates[j] * x


def constants(spec: OjaSpec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return the shared constants, then (eta, all units learn, structural)."""
    shared = base.shared_constants(spec, n)
    shared[8] = 1.0
    return np.array([*shared, spec.eta, float(spec.learners == "all"), float(spec.structural)])


def turn(j, eta, firing, weights, structural):
    """Let unit j learn at a rate."""
    x = 1.0 / np.sqrt(len(firing))
    rate = 0.0
    for i in firing:
        rate += x * weights[i, j]
    shrink = 1.0 - eta * rate**2
    for i in range(len(weights)):
        weights[i, j] *= shrink
    for i in firing:
        if structural == 0.0 or weights[i, j] > 0.0:
            weights[i, j] += eta * rate * x


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Let unit k learn, or all units (k < 0: nobody won). Returns 1 where there was a winner, else 0."""
    if k < 0:
        return 0.0
    for j in range(0 if r[10] != 0.0 else k, weights.shape[1] if r[10] != 0.0 else k + 1):
        turn(j, r[9], firing, weights, r[11])
    return 1.0


def teach_kernel(firing, f, weights, pre, post, r):
    """Let every unit with f_j > 0 learn: ``teach``, compiled."""
    for j in range(len(f)):
        if f[j] > 0.0:
            turn(j, f[j] * r[9], firing, weights, r[11])


RULE = base.register(Rule("oja", 4, constants, learn, kernel, teach))
