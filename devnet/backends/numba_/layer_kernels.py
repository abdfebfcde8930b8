"""The compiled twin of ``dynamics.layered``: one layer of a stack over many steps of the layer below."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from devnet._core.compile import jit
from devnet.backends.numba_.laws import teach
from devnet.dynamics.layered import LEAST_SPREAD


@register_jitable
def _add_scaled(total, row, factor):
    """Add a row; given as slices that begin at 0, as indices that could be negative are not vectorized: a third of the time."""
    for j in range(len(total)):
        total[j] += factor * row[j]


@register_jitable
def _smooth(total, matrix, bands, values):
    """Write ``matrix @ values`` for a symmetric matrix whose row i is zero outside ``bands[i]``."""
    total[:] = 0.0
    for i in range(len(values)):
        if values[i] != 0.0:
            begin, end = bands[i]
            _add_scaled(total[begin:end], matrix[i, begin:end], values[i])


@register_jitable
def _fire(x, threshold, winners, fired, order):
    """Let the largest x above the threshold fire, and list them, the largest first; ties go to the lowest. Returns how many."""
    fired[:] = 0.0
    count = 0
    for _ in range(winners):
        best = -1
        top = threshold
        for j in range(len(x)):
            if x[j] > top and fired[j] == 0.0:
                best, top = j, x[j]
        if best < 0:
            break
        fired[best] = 1.0
        order[count] = best
        count += 1
    return count


@register_jitable
def _teach(spiking, count, teachers, fired, order, x, teaching):
    """Mark who teaches: of those that fire, the first, or the marked ones; spikes set x back. Returns how many."""
    taught = min(count, teachers)
    if spiking:
        taught = 0
        for j in range(len(x)):
            teaching[j] *= fired[j]
            taught += int(teaching[j])
            if fired[j] != 0.0:
                x[j] = 0.0
    else:
        teaching[:] = 0.0
        for e in range(taught):
            teaching[order[e]] = 1.0
    return taught


@register_jitable
def _depress(cells, weights, scale, square, strength, o, lost):
    """Weaken the synapses of these cells by ``strength o_j``, and make each unit's sum 1 again."""
    lost[:] = 0.0
    for i in cells:
        for j in range(len(o)):
            w = scale[j] * weights[i, j]
            kept = 1.0 - strength * o[j]
            weights[i, j] *= kept
            lost[j] += w * (1.0 - kept)
            square[j] -= w**2 * (1.0 - kept**2)
    for j in range(len(o)):
        scale[j] /= 1.0 - lost[j]
        square[j] /= (1.0 - lost[j]) ** 2


@register_jitable
def _sum_squares(weights, square):
    """Write the sum of each unit's squared weights."""
    square[:] = 0.0
    for i in range(len(weights)):
        row = weights[i]
        for j in range(len(square)):
            square[j] += row[j] ** 2


@register_jitable
def _first(leading, fired):
    """Return the first of these units that fires."""
    for j in leading:
        if fired[j] != 0.0:
            return j
    return -1


@jit()
def run_layer(
    first, cells, new_first, new_cells, weights, scale, square, c, x, a, o, fired, spread, bands, reach, reach_bands,
    min_active, winners, share, teachers, eta, c_plus, tau_x, threshold, recurrence, rest, h, tau_a,
    spiking, depression, tau_minus, learn, out_first, out_cells, learner,
):  # fmt: skip
    """Step a layer through ``len(first) - 1`` steps of the layer below, in place.

    Names are those of ``dynamics.layered``. In step t the cells ``cells[first[t]:first[t+1]]`` fire below; who fires here
    goes to ``out_cells`` in the same form. A unit's weights are ``scale`` times the stored ones and ``square`` is the sum
    of their squares, so that forgetting is one number a unit. ``learner`` is None, or of a layer that learns by a rule
    (its number, constants, whether it is one of spike timing, the layer's immature rate, pre, post, wins); the weights
    are then the stored ones.

    Returns:
        How many steps taught something.
    """
    units = len(c)
    y, z, u, add, teaching = (
        np.empty(units),
        np.empty(units),
        np.empty(units),
        np.empty(units),
        np.empty(units),
    )
    r, order, leading = np.zeros(units), np.empty(winners, np.int64), np.empty(teachers, np.int64)
    active = np.zeros(units)
    events = 0
    written = 0
    out_first[0] = 0
    for t in range(len(first) - 1):
        n = first[t + 1] - first[t]
        is_open = n >= min_active
        p = 1.0 / max(n, 1)
        if learn and depression > 0.0:
            _depress(
                new_cells[new_first[t] : new_first[t + 1]], weights, scale, square, eta * depression, o, y
            )
        if is_open:
            y[:] = 0.0
            for e in range(first[t], first[t + 1]):
                _add_scaled(y, weights[cells[e]], 1.0)
            is_open = y.any()
        if is_open:
            mean, top = 0.0, -np.inf
            for j in range(units):
                y[j] *= scale[j] * p
                z[j] = y[j] / np.sqrt(square[j]) if square[j] > 0.0 else 0.0
                mean += z[j]
                top = max(top, z[j])
            mean /= units
            if top > mean:
                for j in range(units):
                    z[j] = (z[j] - mean) / (top - mean)
                _smooth(u, spread, bands, z)
            else:
                u[:] = 1.0
            top = -np.inf
            for j in range(units):
                top = max(top, u[j])
            for j in range(units):
                u[j] = u[j] / top - c[j]
        else:
            u[:] = 0.0
        if recurrence > 0.0:
            _smooth(z, reach, reach_bands, fired)
            for j in range(units):
                u[j] += recurrence / rest * z[j]
        if not spiking:
            for j in range(units):
                u[j] -= a[j]
        if spiking:
            _fire(u, -np.inf, teachers, teaching, leading)
        for j in range(units):
            x[j] += (u[j] - x[j]) / tau_x
            u[j] = x[j] - (a[j] if spiking else 0.0)
        bar = max(threshold, share * u.max()) if share > 0.0 else threshold
        count = _fire(u, bar, winners, fired, order)
        taught = _teach(spiking, count, teachers, fired, order, x, teaching)
        for j in range(units):
            a[j] += h * fired[j] - a[j] / tau_a
        if is_open and learn and taught > 0:
            _smooth(z, spread, bands, teaching)
            top = 0.0
            for j in range(units):
                top = max(top, z[j])
            for j in range(units):
                r[j] = z[j] / top
                rate = eta * r[j] if r[j] >= LEAST_SPREAD else 0.0
                if learner is None:
                    square[j] = (1.0 - rate) ** 2 * square[j] + 2.0 * rate * (1.0 - rate) * y[j] + rate**2 * p
                    scale[j] *= 1.0 - rate
                    add[j] = rate * p / scale[j]
                else:
                    active[j] = rate / learner[3]
                c[j] += c_plus * (teaching[j] - taught / units)
            if learner is None:
                for e in range(first[t], first[t + 1]):
                    _add_scaled(weights[cells[e]], add, 1.0)
            events += 1
        if learner is not None and learn:
            rule, constants, timed, _, pre, post, wins = learner
            taught *= int(active.any())
            if taught > 0:
                wins[_first(leading, fired) if spiking else order[0]] += 1
            if taught > 0 or timed:
                listed, at = (new_cells, new_first) if timed else (cells, first)
                teach(rule, listed[at[t] : at[t + 1]], active, weights, pre, post, constants)
                _sum_squares(weights, square)
                active[:] = 0.0
        if learn and depression > 0.0:
            for j in range(units):
                o[j] += (r[j] - o[j]) / tau_minus
                r[j] = 0.0
        order[:count].sort()
        for e in range(count):
            out_cells[written] = order[e]
            written += 1
        out_first[t + 1] = written
    return events


@jit()
def fold(weights, scale, square):
    """Multiply the scales into the stored weights, and sum the squares afresh."""
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            weights[i, j] *= scale[j]
    scale[:] = 1.0
    _sum_squares(weights, square)
