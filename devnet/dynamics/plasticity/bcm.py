"""The rule of Bienenstock, Cooper & Munro 1982 for rate forms, in the form of Intrator & Cooper 1992.

With x = s / |s| the pattern of firing at length 1, y_j = w_j . x a unit's rate, and theta_j its sliding threshold,

    w_j     <- w_j + eta y_j (y_j - theta_j) x, kept in [0, w_max]
    theta_j <- theta_j + (y_j^2 - theta_j) / tau_theta

for the winner, or for every unit. A unit that learns alone settles where it answers one of two orthogonal patterns, shown
equally often, with y = 2, and the other with 0. theta is kept in the first row of ``Learner.post``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from devnet.dynamics.plasticity import base
from devnet.dynamics.plasticity.base import Learner, Rule
from devnet.spec import BCMSpec


def learn(spec: BCMSpec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of the rule in place; arguments as ``hebbian_wta.learn``."""
    winner = base.compete(spec, learner, firing)
    if winner is not None:
        count = len(learner.wins)
        teach(
            spec, learner, firing, base.only(slice(None) if spec.learners == "all" else winner[0], 1.0, count)
        )
        base.won(spec, learner, winner[0], 1.0)
    base.recruit(spec, learner, step)


def teach(spec: BCMSpec, learner: Learner, firing: Int[np.ndarray, " k"], f: Float[np.ndarray, " M"]) -> None:
    """Let every unit with f_j > 0 learn, both rates times f_j, in place; arguments as ``hebbian_wta.teach``."""
    w, theta, x = learner.weights, learner.post[0], 1 / np.sqrt(len(firing))
    rates = x * w[firing].sum(axis=0)
    for j in np.flatnonzero(f):
        reached, y, eta = base.connected(spec, learner, firing, j), rates[j], f[j] * spec.eta
        w[reached, j] = np.clip(w[reached, j] + eta * y * (y - theta[j]) * x, 0, spec.w_max)
        theta[j] += f[j] * (y**2 - theta[j]) / spec.tau_theta


def constants(spec: BCMSpec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return the shared constants, then (eta, all units learn, structural, tau_theta, w_max)."""
    shared = base.shared_constants(spec, n)
    shared[8] = 1.0
    switches = [float(spec.learners == "all"), float(spec.structural)]
    return np.array([*shared, spec.eta, *switches, spec.tau_theta, spec.w_max])


def move(j, f, firing, weights, post, r):
    """Let unit j learn, both rates times f."""
    x = 1.0 / np.sqrt(len(firing))
    rate = 0.0
    for i in firing:
        rate += x * weights[i, j]
    change = f * r[9] * rate * (rate - post[0, j]) * x
    for i in firing:
        if r[11] == 0.0 or weights[i, j] > 0.0:
            weights[i, j] = min(max(weights[i, j] + change, 0.0), r[13])
    post[0, j] += f * (rate**2 - post[0, j]) / r[12]


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Let unit k learn, or all units (k < 0: nobody won). Returns 1 where there was a winner, else 0."""
    if k < 0:
        return 0.0
    for j in range(0 if r[10] != 0.0 else k, weights.shape[1] if r[10] != 0.0 else k + 1):
        move(j, 1.0, firing, weights, post, r)
    return 1.0


def teach_kernel(firing, f, weights, pre, post, r):
    """Let every unit with f_j > 0 learn, both rates times f_j: ``teach``, compiled."""
    for j in range(len(f)):
        if f[j] > 0.0:
            move(j, f[j], firing, weights, post, r)


RULE = base.register(Rule("bcm", 5, constants, learn, kernel, teach))
