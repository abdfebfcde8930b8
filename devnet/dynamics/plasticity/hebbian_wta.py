"""Winner-take-all Hebbian learning with thresholds (G19).

The winner k learns with f = max(0, y_k - c_k) or f = y_k, where f > 0:

    w_k <- w_k + eta f s, rescaled to its norm;   c_j <- c_j (1 - c_decay / M);   c_k <- c_k + c_plus f',

with f' = f or 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from devnet.dynamics.plasticity import base
from devnet.dynamics.plasticity.base import Learner, Rule
from devnet.spec import HebbianWTASpec, KWinnersSpec


def learn(spec: HebbianWTASpec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of the rule in place.

    Args:
        spec: The rule.
        learner: What changes.
        firing: Cells that fire in this step.
        step: Number of the step, from 0.
    """
    winner = base.compete(spec, learner, firing)
    if winner is not None:
        k, y = winner
        f = max(0.0, y - learner.thresholds[k]) if spec.factor == "excess" else y
        if f > 0:
            teach(spec, learner, firing, base.only(k, f, len(learner.wins)))
            base.won(spec, learner, k, f if spec.c_rise == "factor" else 1.0)
    base.recruit(spec, learner, step)


def teach(
    spec: HebbianWTASpec | KWinnersSpec,
    learner: Learner,
    firing: Int[np.ndarray, " k"],
    f: Float[np.ndarray, " M"],
) -> None:
    """Let every unit with f_j > 0 learn, in place.

    Args:
        spec: The rule.
        learner: What changes.
        firing: Cells that fire in this step.
        f: (M,), how active each unit is.
    """
    w = learner.weights
    for j in np.flatnonzero(f):
        w[base.connected(spec, learner, firing, j), j] += spec.eta * f[j]
        w[:, j] *= base.total(spec, len(w)) / w[:, j].sum()


def constants(spec: HebbianWTASpec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return the shared constants, then (eta, by excess, threshold rises by the factor, structural)."""
    own = [spec.eta, float(spec.factor == "excess"), float(spec.c_rise == "factor"), float(spec.structural)]
    return np.array([*base.shared_constants(spec, n), *own])


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Let unit k learn; its weights are ``scale[k]`` times the stored ones. Returns the threshold's rise, 0 if none."""
    f = y
    if r[10] != 0.0:
        f = max(0.0, y - thresholds[k])
    if f <= 0.0:
        return 0.0
    gain = r[9] * f / scale[k]
    count = 0
    for i in firing:
        if r[12] == 0.0 or weights[i, k] > 0.0:
            weights[i, k] += gain
            count += 1
    drives[k] += gain * count
    stored_sum[k] += gain * count
    scale[k] = r[0] / stored_sum[k]
    if scale[k] < 1e-3:  # fold, so that stored numbers stay of order 1
        column = 0.0
        for i in range(len(weights)):
            weights[i, k] *= scale[k]
            column += weights[i, k]
        drives[k] *= scale[k]
        stored_sum[k] = column
        scale[k] = r[0] / column
    return f if r[11] != 0.0 else 1.0


def strengthen(units, gains, firing, weights, total, structural):
    """Let these units' synapses from the firing cells grow by their gains, and rescale all of them to their sum."""
    for i in firing:
        for e in range(len(units)):
            if structural == 0.0 or weights[i, units[e]] > 0.0:
                weights[i, units[e]] += gains[e]
    column = np.zeros(len(units))
    for i in range(len(weights)):
        for e in range(len(units)):
            column[e] += weights[i, units[e]]
    factor = total / column
    for i in range(len(weights)):
        for e in range(len(units)):
            weights[i, units[e]] *= factor[e]


def teach_kernel(firing, f, weights, pre, post, r):
    """Let every unit with f_j > 0 learn: ``teach``, compiled."""
    units = np.flatnonzero(f)
    strengthen(units, r[9] * f[units], firing, weights, r[0], r[12])


RULE = base.register(Rule("hebbian_wta", 0, constants, learn, kernel, teach))
