"""The fused kernel: noise, field, state, spikes, competition and plasticity of one sheet, many steps a call."""

from __future__ import annotations

from functools import cache
from types import FunctionType, SimpleNamespace

import numpy as np
from numba import njit
from numba.extending import overload, register_jitable

from devnet._core.compile import jit
from devnet.backends.numba_.philox import fill_normal
from devnet.dynamics import adaptive_leaky, base, izhikevich, rate_map
from devnet.dynamics.plasticity import hebbian_wta, stdp

REFRESH = 1024
"""At every step number that this divides, field and drives are summed afresh and scales folded into the weights.

Sums kept up to date by changes cannot drift further than that, and a run cut at such a step goes on bit for bit.
"""
CHECK = 64
"""Steps between two looks for NaN and infinity."""


OWN = 9
"""Number of a rule, or of a form, that is not built in."""


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
_hebbian, _stdp = _law(hebbian_wta.kernel), _law(stdp.kernel)


# Stand-ins: `customized` puts a user's own law in their place.
@_law
def _own_fires(a, b, k):
    return False


@_law
def _own_advance(a, b, fired, drive, noise, p, q, k):
    return a, b


@_law
def _own_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    return 0.0


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
    elif form == 2:
        for i in range(len(fired)):
            fired[i] = _map_fires(a[i], b[i], k)
    else:
        for i in range(len(fired)):
            fired[i] = _own_fires(a[i], b[i], k)


@register_jitable
def _advance(form, state, k, cells, fired, field, noise):
    """Advance every cell by one step."""
    a, b, p, q = state[0], state[1], cells[0], cells[1]
    if form == 0:
        for i in range(len(fired)):
            a[i], b[i] = _izh_advance(
                a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k
            )
    elif form == 1:
        for i in range(len(fired)):
            a[i], b[i] = _leaky_advance(
                a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k
            )
    elif form == 2:
        for i in range(len(fired)):
            a[i], b[i] = _map_advance(
                a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k
            )
    else:
        for i in range(len(fired)):
            a[i], b[i] = _own_advance(
                a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k
            )


@register_jitable
def _list(n, fired, before, firing, changed, signs):
    """List who fires and whose firing changed; flags are bytes, looked at eight at a time."""
    words, old_words = fired.view(np.uint64), before.view(np.uint64)
    n_firing = 0
    n_changed = 0
    for w in range(len(words)):
        if words[w] != 0:
            for i in range(8 * w, 8 * w + 8):
                if fired[i]:
                    firing[n_firing] = i
                    n_firing += 1
        if words[w] != old_words[w]:
            for i in range(8 * w, 8 * w + 8):
                if fired[i] != before[i]:
                    changed[n_changed] = i
                    signs[n_changed] = 1 if fired[i] else -1
                    n_changed += 1
    return n_firing, n_changed


@register_jitable
def _add_row(total, row, sign):
    if sign > 0:
        for j in range(len(total)):
            total[j] += np.float64(row[j])
    else:
        for j in range(len(total)):
            total[j] -= np.float64(row[j])


@register_jitable
def _sum_rows(total, matrix, firing, changed, signs, afresh):
    """Bring ``total = sum of the firing cells' rows`` up to date, by the cheaper of two ways."""
    if afresh or len(changed) >= len(firing):
        total[:] = 0.0
        for i in firing:
            _add_row(total, matrix[i], 1)
    else:
        for c in range(len(changed)):
            _add_row(total, matrix[changed[c]], signs[c])


@register_jitable
def _fold(weights, scale, stored_sum, total):
    """Multiply the scales into the stored weights."""
    n, units = weights.shape
    for i in range(n):
        for j in range(units):
            weights[i, j] *= scale[j]
    scale[:] = 1.0
    stored_sum[:] = total


@register_jitable
def _spread(places, firing):
    """Return the mean square distance of the firing cells to their centroid."""
    x = y = square = 0.0
    for i in firing:
        x += places[i, 0]
        y += places[i, 1]
    x /= len(firing)
    y /= len(firing)
    for i in firing:
        square += (places[i, 0] - x) ** 2 + (places[i, 1] - y) ** 2
    return square / len(firing)


@register_jitable
def _learn_step(now, firing, changed, signs, rule, learner, r):
    """Take the learning part of one step: drives, competition, the rule, thresholds, recruitment."""
    drives, scale, stored_sum, weights, thresholds, wins, peak, pre, post, places = learner
    total, min_active, recruit_every, recruit_wins, recruit_divisor, c_plus, c_decay, max_spread = r[:8]
    units = len(thresholds)
    afresh = now % REFRESH == 0
    if afresh:
        _fold(weights, scale, stored_sum, total)
    _sum_rows(drives, weights, firing, changed, signs, afresh or r[8] != 0.0)
    winner, y = -1, 0.0
    if len(firing) >= min_active and (max_spread == 0.0 or _spread(places, firing) <= max_spread**2):
        best = -np.inf
        for j in range(units):
            drive = scale[j] * drives[j]
            if drive > peak[j]:
                peak[j] = drive
            if drive - thresholds[j] > best:
                winner, best, y = j, drive - thresholds[j], drive
    rise = 0.0
    if rule == 1:  # decays traces at every step, whoever wins
        rise = _stdp(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    elif winner >= 0 and rule == 0:
        rise = _hebbian(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    elif rule == OWN:
        rise = _own_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    if rise > 0.0:
        for j in range(units):
            thresholds[j] -= thresholds[j] * (c_decay / units)
        thresholds[winner] += c_plus * rise
        wins[winner] += 1
    if recruit_every > 0 and (now + 1) % recruit_every == 0:
        for j in range(units):
            if wins[j] < recruit_wins:
                thresholds[j] = peak[j] / recruit_divisor


@register_jitable
def _sick(state):
    """Say whether a state holds NaN or infinity."""
    check = 0.0
    for i in range(state.shape[1]):
        check += 0.0 * state[0, i] + 0.0 * state[1, i]
    return check != 0.0  # NaN compares unequal to all


@jit()
def run(
    form, k, cells, coupling, state, was_firing, field, step, steps, hold, key, given, record, spike_time, spike_cell,
    rule, learner, r,
):  # fmt: skip
    """Take up to ``steps`` steps from ``step``; stop early when the next step's spikes might not fit.

    Arrays are named as in ``backends.base`` and ``hebbian_wta``. ``key`` is (low word, high word, stream); ``given``
    is noise from outside, one row a step, or has no rows. ``rule`` is the number of the learning
    rule, -1 for none, and ``r`` its constants. ``learner`` is (drives, scale, stored_sum, weights, thresholds, wins,
    peak, pre, post, places): a unit's weights are ``scale`` times the stored ones and its drive ``scale`` times the
    stored one, so that rescaling a unit is one number; ``stored_sum`` is the sum of its stored weights.

    Returns:
        Steps taken, spikes written, and 0 or the step by which a state was found not finite.
    """
    n = len(was_firing)
    blocks = (n + 63) // 64
    noise = np.empty(blocks * 64, np.float32)
    fired, before = np.zeros(blocks * 64, np.uint8), np.zeros(blocks * 64, np.uint8)
    fired[:n] = was_firing
    firing, changed, signs = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    spikes = 0
    done = 0
    sick = 0
    while done < steps and sick == 0:
        if record and spikes + n > len(spike_time):
            break
        now = step + done
        fired, before = before, fired
        _detect(form, state, k, fired[:n])
        n_firing, n_changed = _list(n, fired, before, firing, changed, signs)
        active, flips = firing[:n_firing], changed[:n_changed]
        afresh = now % REFRESH == 0
        if len(coupling) > 0:  # without coupling there is no matrix
            _sum_rows(field, coupling, active, flips, signs, afresh)
        if len(given) > 0:
            for i in range(n):
                noise[i] = given[done, i]
        elif done == 0 or now % hold == 0:
            fill_normal(noise, key[0], key[1], now // hold, 0, key[2], 0, blocks)
        _advance(form, state, k, cells, fired[:n], field, noise)
        if rule >= 0:
            _learn_step(now, active, flips, signs, rule, learner, r)
        if record:
            for i in active:
                spike_time[spikes] = now
                spike_cell[spikes] = i
                spikes += 1
        done += 1
        if ((now + 1) % CHECK == 0 or done == steps) and _sick(state):
            sick = now + 1
    was_firing[:] = fired[:n]
    return done, spikes, sick


@jit()
def look(form, k, state, fired, first, last):
    """Write who fires among cells ``first..last-1``: the first part of a step, for sheets stepped piece by piece."""
    _detect(form, state[:, first:last], k, fired[first:last])


@jit()
def list_changes(n, fired, before, firing, changed, signs):
    """List who fires and whose firing changed; returns both counts."""
    return _list(n, fired, before, firing, changed, signs)


@jit()
def move(form, k, cells, state, fired, field, noise, fresh, key, draw_step, first, last):
    """Draw noise where ``fresh`` and advance cells ``first..last-1``; ``first`` is a multiple of 64."""
    if fresh:
        fill_normal(noise, key[0], key[1], draw_step, 0, key[2], first // 64, (last + 63) // 64)
    _advance(
        form,
        state[:, first:last],
        k,
        cells[:, first:last],
        fired[first:last],
        field[first:last],
        noise[first:last],
    )


is_sick = jit()(_sick)
learn_step = jit()(_learn_step)


@cache
def customized(form, rule):
    """Return these kernels with the laws of a form or rule that is not built in; compiled anew in each process.

    Args:
        form: The form; its law is used where its number says that it is not built in.
        rule: The rule, likewise, or None.

    Returns:
        Names as in this module.
    """
    scope = dict(globals())
    if form.number == OWN:
        scope |= {"_own_fires": _law(form.fires), "_own_advance": _law(form.advance)}
    if rule is not None and rule.number == OWN:
        scope["_own_rule"] = _law(rule.kernel)
    for name in ("_detect", "_advance", "_learn_step", "run", "look", "move", "learn_step"):
        code = getattr(scope[name], "py_func", scope[name]).__code__
        scope[name] = njit(nogil=True, error_model="numpy")(FunctionType(code, scope, name))
    return SimpleNamespace(**scope)
