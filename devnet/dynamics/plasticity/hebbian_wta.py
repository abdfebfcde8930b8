"""Winner-take-all Hebbian learning with thresholds (G19), the law in plain NumPy.

At a step in which at least ``min_active`` cells fire, with s their 0/1 vector,

    y = W^T s,   k = argmax(y - c),   f = max(0, y_k - c_k)  or  f = y_k,

and, where f > 0: w_k <- w_k + eta f s, rescaled to its norm; c_k <- c_k + c_plus f' with f' = f or 1; then every
c_j <- c_j (1 - c_decay / M). Every ``recruit_every`` steps a unit with fewer than ``recruit_wins`` wins gets
c_j = (largest y_j so far) / ``recruit_divisor``. Ties go to the lowest unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from devnet._core.random import Key
from devnet.spec import HebbianWTASpec


@dataclass
class Learner:
    """What learning changes: weights (n, M), thresholds (M,), wins (M,), and the largest drive so far (M,)."""

    weights: Float[np.ndarray, "n M"]
    thresholds: Float[np.ndarray, " M"]
    wins: Int[np.ndarray, " M"]
    peak: Float[np.ndarray, " M"]


def total(spec: HebbianWTASpec, n: int) -> float:
    """Return the sum at which each unit's weights are kept."""
    return spec.weight * n if spec.norm == "mean" else spec.weight


def start(spec: HebbianWTASpec, n: int, units: int, key: Key) -> Learner:
    """Draw unordered all-to-all weights and thresholds.

    Args:
        spec: The rule.
        n: Number of cells.
        units: Number of units M.
        key: Key of the draws; unit j takes row j of the stream.

    Returns:
        w ~ N(1, weight_cv^2), negative draws set to 0, each unit rescaled; c ~ N(c_mean, c_sd^2).
    """
    draws = key.stream("hebbian_wta.weights")
    weights = np.stack([1 + spec.weight_cv * draws.normal(j, n).astype(np.float64) for j in range(units)], axis=1)
    weights = np.maximum(weights, 0)
    weights *= total(spec, n) / weights.sum(axis=0)
    normal = key.stream("hebbian_wta.thresholds").normal(0, units).astype(np.float64)
    return Learner(weights, spec.c_mean + spec.c_sd * normal, np.zeros(units, np.int64), np.zeros(units))


def learn(spec: HebbianWTASpec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of the rule in place.

    Args:
        spec: The rule.
        learner: What changes.
        firing: Cells that fire in this step.
        step: Number of the step, from 0.
    """
    n, units = learner.weights.shape
    if len(firing) >= spec.min_active:
        y = learner.weights[firing].sum(axis=0)
        np.maximum(learner.peak, y, out=learner.peak)
        k = int(np.argmax(y - learner.thresholds))
        f = max(0.0, y[k] - learner.thresholds[k]) if spec.factor == "excess" else y[k]
        if f > 0:
            learner.weights[firing, k] += spec.eta * f
            learner.weights[:, k] *= total(spec, n) / learner.weights[:, k].sum()
            learner.thresholds -= learner.thresholds * (spec.c_decay / units)
            learner.thresholds[k] += spec.c_plus * (f if spec.c_rise == "factor" else 1.0)
            learner.wins[k] += 1
    if spec.recruit_every and (step + 1) % spec.recruit_every == 0:
        rare = learner.wins < spec.recruit_wins
        learner.thresholds[rare] = learner.peak[rare] / spec.recruit_divisor
