"""Units that learn how waves move: differences in time of what fires, and the winner takes all (ours).

Every ``every`` steps is a frame. Cells reach the units without delay and by slower ways, after ``delay`` and twice that
(as in Reichardt's detector of motion, cited from memory). With s, p, q the cells that fired in these three frames, each
divided by their number, a frame shows a difference in time of order one or two,

    e = s - p                 the leading edge of a wave less its trailing edge, or
    e = +-(s - 2 p + q)       its front and its back less its middle, or the reverse,

scaled to length 1. The winner k = argmax(w_j . e - c_j) turns towards it, and the others' conscience eases:

    w_k <- w_k + eta_k (e - w_k), scaled to length 1;   c_j <- c_j (1 - c_decay / M);   c_k <- c_k + c_plus,

with eta_k = eta_end + (eta - eta_end) exp(-wins_k / eta_wins). Weights have signs and sum to 0, but for what is left of
their start.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from devnet.dynamics.plasticity import base
from devnet.dynamics.plasticity.base import Learner, Rule
from devnet.spec import TemporalDifferenceSpec

FIRST, SECOND, REVERSE = (1.0, -1.0, 0.0), (1.0, -2.0, 1.0), (-1.0, 2.0, -1.0)
CYCLES = {"first": (FIRST,), "second": (SECOND, REVERSE), "both": (FIRST, SECOND, REVERSE)}
"""Shares of s, p and q in e, frame by frame."""
NOTHING = 1e-9
"""A difference of no more length is that of a wave that stands still."""


def learn(spec: TemporalDifferenceSpec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of the rule in place; arguments as ``hebbian_wta.learn``.

    ``pre`` holds the last frames, that of number f in row f modulo the number of rows.
    """
    if step % spec.every:
        return
    frame, back, rows = step // spec.every, spec.delay // spec.every, len(learner.pre)
    learner.pre[frame % rows] = 0.0
    learner.pre[frame % rows, firing] = 1.0
    shares = CYCLES[spec.order][frame % len(CYCLES[spec.order])]
    used = [(share, learner.pre[(frame - m * back) % rows]) for m, share in enumerate(shares) if share]
    if not base.is_open(spec, learner, firing) or any(past.sum() < spec.min_active for _, past in used):
        return
    e = np.sum([share * past / past.sum() for share, past in used], axis=0)
    length = np.sqrt(e @ e)
    if length <= NOTHING:
        return
    e /= length
    drive = e @ learner.weights
    np.maximum(learner.peak, drive, out=learner.peak)
    k = int(np.argmax(drive - learner.thresholds))
    w = learner.weights[:, k]
    w += rate(spec, learner.wins[k]) * (e - w)
    w /= np.sqrt(w @ w)
    base.won(spec, learner, k, 1.0)


def rate(spec: TemporalDifferenceSpec, wins: int) -> float:
    """Return eta of a unit that has won so often."""
    return spec.eta_end + (spec.eta - spec.eta_end) * np.exp(-wins / spec.eta_wins)


def constants(spec: TemporalDifferenceSpec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return (min_active, max_spread, every, frames back, eta, eta_end, eta_wins, c_plus, c_decay), then the cycle."""
    own = [
        spec.min_active,
        spec.max_spread,
        spec.every,
        spec.delay // spec.every,
        spec.eta,
        spec.eta_end,
        spec.eta_wins,
        spec.c_plus,
        spec.c_decay,
    ]
    return np.array([*own, *np.ravel(CYCLES[spec.order])])


def difference(frame, is_open, firing, pre, r):
    """Remember a frame and return its e before scaling: zeros behind the gates. For the compiled backend."""
    pre[frame % len(pre)] = 0.0
    for i in firing:
        pre[frame % len(pre), i] = 1.0
    e = np.zeros(pre.shape[1])
    at = 9 + 3 * (frame % ((len(r) - 9) // 3))
    for m in range(3):
        share, past = r[at + m], pre[(frame - m * int(r[3])) % len(pre)]
        if share != 0.0:
            count = past.sum()
            if count < r[0] or not is_open:
                return np.zeros(len(e))
            for i in range(len(e)):
                e[i] += share / count * past[i]
    return e


def kernel(e, weights, thresholds, wins, peak, r):
    """Let the units compete for e, and the winner turn."""
    n, units = weights.shape
    length = np.sqrt((e * e).sum())
    if length <= NOTHING:
        return
    drive = np.zeros(units)
    for i in range(n):
        if e[i] != 0.0:
            e[i] /= length
            for j in range(units):
                drive[j] += e[i] * weights[i, j]
    k, best = 0, -np.inf
    for j in range(units):
        peak[j] = max(peak[j], drive[j])
        if drive[j] - thresholds[j] > best:
            k, best = j, drive[j] - thresholds[j]
    eta = r[5] + (r[4] - r[5]) * np.exp(-wins[k] / r[6])
    for i in range(n):
        e[i] = weights[i, k] + eta * (e[i] - weights[i, k])
    weights[:, k] = e / np.sqrt((e * e).sum())
    thresholds -= thresholds * (r[8] / units)
    thresholds[k] += r[7]
    wins[k] += 1


RULE = base.register(Rule("temporal_difference", 2, constants, learn, kernel))
