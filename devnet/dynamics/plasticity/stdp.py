"""Spike-timing-dependent plasticity with traces: pairs (Bi & Poo 1998) and triplets (Pfister & Gerstner 2006).

Cells leave traces r1, r2 (time constants tau_plus, tau_x), units o1, o2 (tau_minus, tau_y); each decays by
exp(-1/tau) a step and rises by 1 at a spike. With r2 and o2 taken before their own rise,

    at a spike of cell i:   w_ij <- w_ij - o1_j (a2_minus + a3_minus r2_i)
    at a spike of unit j:   w_ij <- w_ij + r1_i (a2_plus + a3_plus o2_j)

A pair rule has a3 = 0. A lone pair t_unit - t_cell = dt then changes w by a2_plus exp(-dt / tau_plus) for dt >= 0 and
by -a2_minus exp(dt / tau_minus) for dt < 0: a unit that fires in the same step as a cell follows it. Where only nearest
spikes pair, a trace is set to 1 at a spike. Bounds are hard, the rule additive and w clipped to [0, w_max]; soft, the
rule multiplicative, a_plus times (w_max - w) and a_minus times w; or mixed, additive upwards and multiplicative
downwards (van Rossum, Bi & Turrigiano 2000). A unit fires when it wins the competition with y_k > c_k.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from devnet.dynamics.plasticity import base
from devnet.dynamics.plasticity.base import Learner, Rule
from devnet.spec import PairSTDPSpec, TripletSTDPSpec

Spec = PairSTDPSpec | TripletSTDPSpec


def _amplitudes(spec: Spec) -> tuple[float, float, float, float, float, float]:
    """Return a2_plus, a2_minus, a3_plus, a3_minus, tau_x, tau_y of either rule."""
    if isinstance(spec, TripletSTDPSpec):
        return spec.a2_plus, spec.a2_minus, spec.a3_plus, spec.a3_minus, spec.tau_x, spec.tau_y
    return spec.a_plus, spec.a_minus, 0.0, 0.0, 1.0, 1.0


def apply(spec: Spec, learner: Learner, cells: Int[np.ndarray, " k"], units: Int[np.ndarray, " u"]) -> None:
    """Take one step of the rule for given spikes, in place.

    Args:
        spec: Amplitudes, time constants, bounds.
        learner: Weights and traces.
        cells: Cells that fire in this step.
        units: Units that fire in this step.
    """
    teach(spec, learner, cells, base.only(units, 1.0, len(learner.wins)))


def teach(spec: Spec, learner: Learner, firing: Int[np.ndarray, " k"], f: Float[np.ndarray, " M"]) -> None:
    """Take one step of the rule for given spikes, in place; that of unit j counts f_j.

    Args:
        spec: Amplitudes, time constants, bounds.
        learner: Weights and traces.
        firing: Cells that fire in this step.
        f: (M,), 0 for the units that do not fire.
    """
    a2_plus, a2_minus, a3_plus, a3_minus, tau_x, tau_y = _amplitudes(spec)
    w, pre, post = learner.weights, learner.pre, learner.post
    pre *= np.exp([[-1 / spec.tau_plus], [-1 / tau_x]])
    post *= np.exp([[-1 / spec.tau_minus], [-1 / tau_y]])
    keep = float(spec.pairing == "all")
    down = post[0] * (a2_minus + a3_minus * pre[1, firing, None])
    w[firing] = np.clip(w[firing] - down * (1.0 if spec.bounds == "hard" else w[firing]), 0, spec.w_max)
    pre[:, firing] = keep * pre[:, firing] + 1
    for j in np.flatnonzero(f):
        up = pre[0] * (a2_plus + a3_plus * post[1, j])
        room = spec.w_max - w[:, j] if spec.bounds == "soft" else 1.0
        reached = w[:, j] > 0 if spec.structural else True
        w[:, j] = np.where(reached, np.clip(w[:, j] + f[j] * up * room, 0, spec.w_max), 0)
        post[:, j] = keep * post[:, j] + f[j]
        if spec.norm != "none" and w[:, j].any():
            w[:, j] *= base.total(spec, len(w)) / w[:, j].sum()


def learn(spec: Spec, learner: Learner, firing: Int[np.ndarray, " k"], step: int) -> None:
    """Apply one step of competition and rule in place; arguments as ``hebbian_wta.learn``."""
    winner = base.compete(spec, learner, firing)
    fires = winner is not None and winner[1] > learner.thresholds[winner[0]]
    apply(
        spec, learner, firing, np.array([winner[0]] if fires and winner is not None else [], dtype=np.int64)
    )
    if fires and winner is not None:
        base.won(spec, learner, winner[0], 1.0)
    base.recruit(spec, learner, step)


def constants(spec: Spec, n: int, units: int) -> Float[np.ndarray, " k"]:
    """Return the shared constants, amplitudes, decays a step, bounds, whether sums are kept, pairing, structural."""
    *amplitudes, tau_x, tau_y = _amplitudes(spec)
    decays = np.exp([-1 / spec.tau_plus, -1 / tau_x, -1 / spec.tau_minus, -1 / tau_y])
    switches = [spec.bounds == "soft", spec.norm != "none", spec.bounds != "hard", spec.pairing == "all"]
    own = [*amplitudes, *decays, spec.w_max, *map(float, [*switches, spec.structural])]
    shared = base.shared_constants(spec, n)
    shared[8] = 1.0
    return np.array([*shared, *own])


def see(firing, weights, pre, post, r):
    """Let traces decay, and cells that fire lose their synapses' share and leave a trace."""
    n, units = weights.shape
    a2_minus, a3_minus, w_max, soft, keep = r[10], r[12], r[17], r[20] != 0.0, r[21]
    for i in range(n):
        pre[0, i] *= r[13]
        pre[1, i] *= r[14]
    for j in range(units):
        post[0, j] *= r[15]
        post[1, j] *= r[16]
    for i in firing:
        a = a2_minus + a3_minus * pre[1, i]
        for j in range(units):
            w = weights[i, j]
            weights[i, j] = min(max(w - post[0, j] * a * (w if soft else 1.0), 0.0), w_max)
        pre[0, i] = keep * pre[0, i] + 1.0
        pre[1, i] = keep * pre[1, i] + 1.0


def follow(units, f, weights, pre, post, r):
    """Let the spikes of these units, which count f, strengthen their synapses and leave a trace."""
    w_max, soft, keep, structural = r[17], r[18] != 0.0, r[21], r[22] != 0.0
    a, column = np.empty(len(units)), np.zeros(len(units))
    for e in range(len(units)):
        a[e] = f[e] * (r[9] + r[11] * post[1, units[e]])
        for row in range(2):
            post[row, units[e]] = keep * post[row, units[e]] + f[e]
    for i in range(len(weights)):
        for e in range(len(units)):
            w = weights[i, units[e]]
            if w > 0.0 or not structural:
                w = min(max(w + pre[0, i] * a[e] * (w_max - w if soft else 1.0), 0.0), w_max)
                weights[i, units[e]] = w
            column[e] += w
    if r[19] != 0.0:
        factor = r[0] / np.where(column > 0.0, column, 1.0)
        for i in range(len(weights)):
            for e in range(len(units)):
                weights[i, units[e]] *= factor[e]


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Take one step; unit k fires if y > c_k (k < 0: nobody won). Returns 1 where it fired, else 0."""
    see(firing, weights, pre, post, r)
    if k < 0 or y <= thresholds[k]:
        return 0.0
    follow(np.arange(k, k + 1), np.ones(1), weights, pre, post, r)
    return 1.0


def teach_kernel(firing, f, weights, pre, post, r):
    """Take one step of the rule for given spikes: ``teach``, compiled."""
    see(firing, weights, pre, post, r)
    units = np.flatnonzero(f)
    follow(units, f[units], weights, pre, post, r)


PAIR = base.register(Rule("pair_stdp", 1, constants, learn, kernel, teach))
TRIPLET = base.register(Rule("triplet_stdp", 1, constants, learn, kernel, teach))
