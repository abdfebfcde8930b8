"""The fused kernel: noise, field, state, spikes, competition and plasticity of one sheet, many steps a call."""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload, register_jitable

from devnet._core.compile import jit
from devnet.backends.numba_.philox import fill_normal
from devnet.dynamics import adaptive_leaky, base, izhikevich, rate_map

REFRESH = 1024
"""At every step number that this divides, field and drives are summed afresh and scales folded into the weights.

Sums kept up to date by changes cannot drift further than that, and a run cut at such a step goes on bit for bit.
"""
CHECK = 64
"""Steps between two looks for NaN and infinity."""


@overload(base.select)
def _select(condition, yes, no):
    def choose(condition, yes, no):
        return yes if condition else no

    return choose


def _law(function):
    return njit(inline="always", error_model="numpy")(function)


_izh_fires, _izh_advance = _law(izhikevich.fires), _law(izhikevich.advance)
_leaky_fires, _leaky_advance = _law(adaptive_leaky.fires), _law(adaptive_leaky.advance)
_map_fires, _map_advance = _law(rate_map.fires), _law(rate_map.advance)


@register_jitable
def _detect(form, state, k, fired):
    """Write who fires into ``fired``."""
    a, b = state[0], state[1]
    if form == 0:
        for i in range(len(fired)):
            fired[i] = _izh_fires(a[i], b[i], k)
    elif form == 1:
        for i in range(len(fired)):
            fired[i] = _leaky_fires(a[i], b[i], k)
    else:
        for i in range(len(fired)):
            fired[i] = _map_fires(a[i], b[i], k)


@register_jitable
def _advance(form, state, k, cells, fired, field, noise):
    """Advance every cell by one step."""
    a, b, p, q = state[0], state[1], cells[0], cells[1]
    if form == 0:
        for i in range(len(fired)):
            a[i], b[i] = _izh_advance(a[i], b[i], fired[i], field[i], np.float64(noise[i]), p[i], q[i], k)
    elif form == 1:
        for i in range(len(fired)):
            a[i], b[i] = _leaky_advance(a[i], b[i], fired[i], field[i], np.float64(noise[i]), p[i], q[i], k)
    else:
        for i in range(len(fired)):
            a[i], b[i] = _map_advance(a[i], b[i], fired[i], field[i], np.float64(noise[i]), p[i], q[i], k)


@register_jitable
def _add_row(total, row, sign):
    if sign > 0:
        for j in range(len(total)):
            total[j] += row[j]
    else:
        for j in range(len(total)):
            total[j] -= row[j]


@register_jitable
def _sum_rows(total, matrix, previous, firing, changed, signs, n_changed, afresh):
    """Bring ``total = sum of the firing cells' rows`` up to date, by the cheaper of two ways."""
    if afresh or n_changed >= len(firing):
        total[:] = 0.0
        for j in firing:
            _add_row(total, matrix[j], 1)
    else:
        for c in range(n_changed):
            _add_row(total, matrix[changed[c]], signs[c])


@jit()
def run(
    form, k, cells, coupling, state, fired, step, steps, hold, key_low, key_high, stream, given, record, spike_time,
    spike_cell, field, drives, scale, stored_sum, learning, weights, thresholds, wins, peak, total, eta, by_excess,
    c_plus, by_factor, c_decay, recruit_every, recruit_wins, recruit_divisor, min_active,
):  # fmt: skip
    """Take up to ``steps`` steps from ``step``; stop early when the next step's spikes might not fit.

    Arrays are named as in ``backends.base`` and ``hebbian_wta``; ``given`` is noise from outside, one row a step, or
    has no rows. A unit's weights are ``scale`` times the stored ones and its drive ``scale`` times the stored one, so
    that rescaling a unit is one number; ``stored_sum`` is the sum of its stored weights. Returns (steps taken, spikes
    written, 0 or the step by which a state was found not finite).
    """
    n, units = len(fired), len(thresholds)
    blocks = (n + 63) // 64
    noise = np.empty(blocks * 64, np.float32)
    before = fired.copy()
    firing = np.empty(n, np.int64)
    changed = np.empty(n, np.int64)
    signs = np.empty(n, np.int64)
    spikes = 0
    done = 0
    while done < steps:
        if record and spikes + n > len(spike_time):
            break
        now = step + done
        _detect(form, state, k, fired)
        n_firing = 0
        n_changed = 0
        for i in range(n):
            if fired[i]:
                firing[n_firing] = i
                n_firing += 1
            if fired[i] != before[i]:
                changed[n_changed] = i
                signs[n_changed] = 1 if fired[i] else -1
                n_changed += 1
        before[:] = fired
        afresh = now % REFRESH == 0
        if afresh and learning:
            for i in range(n):
                for j in range(units):
                    weights[i, j] *= scale[j]
            scale[:] = 1.0
            stored_sum[:] = total
        _sum_rows(field, coupling, before, firing[:n_firing], changed, signs, n_changed, afresh)

        if len(given) > 0:
            for i in range(n):
                noise[i] = given[done, i]
        elif done == 0 or now % hold == 0:
            fill_normal(noise, key_low, key_high, now // hold, 0, stream, 0, blocks)
        _advance(form, state, k, cells, fired, field, noise)

        if learning:
            _sum_rows(drives, weights, before, firing[:n_firing], changed, signs, n_changed, afresh)
            if n_firing >= min_active:
                winner, best = 0, -np.inf
                for j in range(units):
                    y = scale[j] * drives[j]
                    if y > peak[j]:
                        peak[j] = y
                    if y - thresholds[j] > best:
                        winner, best = j, y - thresholds[j]
                y = scale[winner] * drives[winner]
                f = max(0.0, y - thresholds[winner]) if by_excess else y
                if f > 0.0:
                    gain = eta * f / scale[winner]
                    for c in range(n_firing):
                        weights[firing[c], winner] += gain
                    drives[winner] += gain * n_firing
                    stored_sum[winner] += gain * n_firing
                    scale[winner] = total / stored_sum[winner]
                    if scale[winner] < 1e-3:  # fold the scale in, so that stored numbers stay of order 1
                        column = 0.0
                        for i in range(n):
                            weights[i, winner] *= scale[winner]
                            column += weights[i, winner]
                        drives[winner] *= scale[winner]
                        stored_sum[winner] = column
                        scale[winner] = total / column
                    if c_decay > 0.0:
                        for j in range(units):
                            thresholds[j] -= thresholds[j] * (c_decay / units)
                    thresholds[winner] += c_plus * (f if by_factor else 1.0)
                    wins[winner] += 1
            if recruit_every > 0 and (now + 1) % recruit_every == 0:
                for j in range(units):
                    if wins[j] < recruit_wins:
                        thresholds[j] = peak[j] / recruit_divisor
        if record:
            for c in range(n_firing):
                spike_time[spikes] = now
                spike_cell[spikes] = firing[c]
                spikes += 1
        done += 1
        if (now + 1) % CHECK == 0 or done == steps:
            check = 0.0
            for i in range(n):
                check += 0.0 * state[0, i] + 0.0 * state[1, i]
            if check != 0.0:  # NaN compares unequal to all
                return done, spikes, now + 1
    return done, spikes, 0
