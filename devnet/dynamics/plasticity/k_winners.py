"""Learning of the k units that are driven most, in M20's two forms.

y_j = max(0, w_j . s - c_j), set to 0 but for the k largest, then sharpened, y <- (y / max y)^p y. With f = y, the Hebbian
form, or f = 1 where y > 0, "modified STDP",

    w_j <- w_j + eta f_j s, rescaled to its norm;   c_j <- c_j + c_plus y_j

for each of them. Where k is 1 and thresholds do not decay, the Hebbian form is ``hebbian_wta``. ``wins`` counts the
events in which a unit was the first.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from devnet.dynamics.plasticity import base, hebbian_wta
from devnet.dynamics.plasticity.base import Learner, Rule
from devnet.spec import KWinnersSpec


def learn(spec: KWinnersSpec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of the rule in place; arguments as ``hebbian_wta.learn``."""
    if base.compete(spec, learner, firing) is not None:
        excess = learner.weights[firing].sum(axis=0) - learner.thresholds
        best = np.argsort(-excess, kind="stable")[: spec.winners]
        best = best[excess[best] > 0]
        y = (excess[best] / excess[best].max(initial=0.0)) ** spec.sharpness * excess[best]
        teach(spec, learner, firing, base.only(best, y, len(excess)))
        learner.thresholds[best[1:]] += spec.c_plus * y[1:]
        if len(best):
            base.won(spec, learner, int(best[0]), float(y[0]))
    base.recruit(spec, learner, step)


def teach(
    spec: KWinnersSpec, learner: Learner, firing: Int[np.ndarray, " k"], f: Float[np.ndarray, " M"]
) -> None:
    """Let every unit with y_j = f_j > 0 learn, in place; arguments as ``hebbian_wta.teach``."""
    hebbian_wta.teach(spec, learner, firing, f if spec.post == "rate" else np.sign(f))


def constants(spec: KWinnersSpec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return the shared constants, then (eta, k, p, learning by spikes, structural)."""
    shared = base.shared_constants(spec, n)
    shared[8] = 1.0
    own = [
        spec.eta,
        min(spec.winners, units),
        spec.sharpness,
        float(spec.post == "spike"),
        float(spec.structural),
    ]
    return np.array([*shared, *own])


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Let the best units learn (k < 0: the step teaches nothing). Returns y of the first, 0 if none."""
    if k < 0 or y <= thresholds[k]:
        return 0.0
    units = weights.shape[1]
    first = y - thresholds[k]
    excess = np.empty(units)
    for j in range(units):
        excess[j] = scale[j] * drives[j] - thresholds[j]
    excess[k] = first
    j = k
    best, gains, count = np.empty(int(r[10]), np.int64), np.empty(int(r[10])), 0
    for _ in range(int(r[10])):
        rise = (excess[j] / first) ** r[11] * excess[j]
        best[count], gains[count] = j, r[9] * (1.0 if r[12] != 0.0 else rise)
        count += 1
        if j != k:
            thresholds[j] += r[5] * rise
        excess[j] = 0.0
        j = 0
        for other in range(units):
            if excess[other] > excess[j]:
                j = other
        if excess[j] <= 0.0:
            break
    hebbian_wta.strengthen(best[:count], gains[:count], firing, weights, r[0], r[13])
    return first


def teach_kernel(firing, f, weights, pre, post, r):
    """Let every unit with y_j = f_j > 0 learn: ``teach``, compiled."""
    units = np.flatnonzero(f)
    gains = r[9] * (np.ones(len(units)) if r[12] != 0.0 else f[units])
    hebbian_wta.strengthen(units, gains, firing, weights, r[0], r[13])


RULE = base.register(Rule("k_winners", 3, constants, learn, kernel, teach))
