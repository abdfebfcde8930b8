"""The laws of ``dynamics`` compiled, chosen by number: who fires, how cells advance, what is learned."""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload, register_jitable

from devnet.backends.numba_.sums import sum_rows
from devnet.dynamics import adaptive_leaky, base, izhikevich, rate_map
from devnet.dynamics.plasticity import bcm, hebbian_wta, k_winners, oja, stdp, temporal_difference

REFRESH = 1024
"""At every step number that this divides, field and drives are summed afresh and scales folded into the weights.

Sums kept up to date by changes cannot drift further than that, and a run cut at such a step goes on bit for bit.
"""
OWN = 9
"""Number of a rule, or of a form, that is not built in."""


@overload(base.select)
def _select(condition, yes, no):
    def choose(condition, yes, no):
        return yes if condition else no

    return choose


def law(function):
    """Compile a law so that it is written out where it is called."""
    return njit(inline="always", error_model="numpy")(function)


izh_fires, izh_advance = law(izhikevich.fires), law(izhikevich.advance)
leaky_fires, leaky_advance = law(adaptive_leaky.fires), law(adaptive_leaky.advance)
map_fires, map_advance = law(rate_map.fires), law(rate_map.advance)
for part in (stdp.see, stdp.follow, oja.turn, bcm.move, hebbian_wta.strengthen):  # what laws call by name
    register_jitable(part)
hebbian, stdp_rule = law(hebbian_wta.kernel), law(stdp.kernel)
difference = register_jitable(temporal_difference.difference)
turn = register_jitable(temporal_difference.kernel)
best_units, oja_rule, bcm_rule = (register_jitable(rule.kernel) for rule in (k_winners, oja, bcm))


# Stand-ins: `kernels.customized` puts a user's own law in their place.
@law
def own_fires(a, b, k):
    """Fire never."""
    return False


@law
def own_advance(a, b, fired, drive, noise, p, q, k):
    """Stay."""
    return a, b


@law
def own_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    """Learn nothing."""
    return 0.0


@register_jitable
def detect(form, state, k, fired):
    """Write who fires into ``fired``."""
    a, b = state[0], state[1]
    if form == 0:
        for i in range(len(fired)):
            fired[i] = izh_fires(a[i], b[i], k)
    elif form == 1:
        for i in range(len(fired)):
            fired[i] = leaky_fires(a[i], b[i], k)
    elif form == 2:
        for i in range(len(fired)):
            fired[i] = map_fires(a[i], b[i], k)
    else:
        for i in range(len(fired)):
            fired[i] = own_fires(a[i], b[i], k)


@register_jitable
def advance(form, state, k, cells, fired, field, noise):
    """Advance every cell by one step."""
    a, b, p, q = state[0], state[1], cells[0], cells[1]
    if form == 0:
        for i in range(len(fired)):
            a[i], b[i] = izh_advance(a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k)
    elif form == 1:
        for i in range(len(fired)):
            a[i], b[i] = leaky_advance(
                a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k
            )
    elif form == 2:
        for i in range(len(fired)):
            a[i], b[i] = map_advance(a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k)
    else:
        for i in range(len(fired)):
            a[i], b[i] = own_advance(a[i], b[i], fired[i] != 0, field[i], np.float64(noise[i]), p[i], q[i], k)


@register_jitable
def _fold(weights, scale, stored_sum, total):
    """Multiply the scales into the stored weights; a unit that won has the sum ``total``."""
    n, units = weights.shape
    for i in range(n):
        for j in range(units):
            weights[i, j] *= scale[j]
    for j in range(units):
        if scale[j] != 1.0:
            scale[j], stored_sum[j] = 1.0, total


@register_jitable
def _spread(places, firing):
    """Return the mean square distance of the firing cells to their centroid."""
    square = 0.0
    for axis in range(places.shape[1]):
        mean = 0.0
        for i in firing:
            mean += places[i, axis]
        mean /= len(firing)
        for i in firing:
            square += (places[i, axis] - mean) ** 2
    return square / len(firing)


@register_jitable
def _is_open(firing, places, min_active, max_spread):
    """Say whether a step teaches: enough cells fire, and not too far apart."""
    return len(firing) >= min_active and (max_spread == 0.0 or _spread(places, firing) <= max_spread**2)


@register_jitable
def _compete(firing, drives, scale, thresholds, peak, places, min_active, max_spread):
    """Return the winner and its drive, -1 and 0 where learning is gated; keep the largest drives."""
    winner, y = -1, 0.0
    if _is_open(firing, places, min_active, max_spread):
        best = -np.inf
        for j in range(len(thresholds)):
            drive = scale[j] * drives[j]
            if drive > peak[j]:
                peak[j] = drive
            if drive - thresholds[j] > best:
                winner, best, y = j, drive - thresholds[j], drive
    return winner, y


@register_jitable
def _recruit(wins, thresholds, peak, least, divisor):
    """Lower the thresholds of units with few wins."""
    for j in range(len(wins)):
        if wins[j] < least:
            thresholds[j] = peak[j] / divisor


@register_jitable
def _learn_motion(now, firing, learner, r):
    """Take a frame where one is due."""
    _, _, _, weights, thresholds, wins, peak, pre, _, places = learner
    every = int(r[2])
    if now % every == 0:
        e = difference(now // every, _is_open(firing, places, r[0], r[1]), firing, pre, r)
        turn(e, weights, thresholds, wins, peak, r)


@register_jitable
def _changed(rule, firing, winner, y, learner, r):
    """Let a rule change its weights; returns by what the winner's threshold rises, 0 where it did not learn."""
    drives, scale, stored_sum, weights, thresholds, _, _, pre, post, _ = learner
    if rule == 1:  # decays traces at every step, whoever wins
        return stdp_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    if rule == OWN:
        return own_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    if winner < 0:
        return 0.0
    if rule == 3:
        return best_units(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    if rule == 4:
        return oja_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    if rule == 5:
        return bcm_rule(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)
    return hebbian(firing, winner, y, drives, scale, stored_sum, weights, thresholds, pre, post, r)


hebbian_units, stdp_units, best_taught, oja_units, bcm_units = (
    register_jitable(rule.teach_kernel) for rule in (hebbian_wta, stdp, k_winners, oja, bcm)
)


@register_jitable
def teach(rule, firing, f, weights, pre, post, r):
    """Let unit j learn by a built-in rule as one that is active by f_j."""
    if rule == 1:
        stdp_units(firing, f, weights, pre, post, r)
    elif rule == 3:
        best_taught(firing, f, weights, pre, post, r)
    elif rule == 4:
        oja_units(firing, f, weights, pre, post, r)
    elif rule == 5:
        bcm_units(firing, f, weights, pre, post, r)
    else:
        hebbian_units(firing, f, weights, pre, post, r)


@register_jitable
def learn(now, firing, changed, signs, rule, learner, r):
    """Take the learning part of one step: drives, competition, the rule, thresholds, recruitment."""
    drives, scale, stored_sum, weights, thresholds, wins, peak, _, _, places = learner
    if rule == 2:  # learns from differences in time, not from who fires now
        _learn_motion(now, firing, learner, r)
        return
    total, min_active, recruit_every, recruit_wins, recruit_divisor, c_plus, c_decay, max_spread = r[:8]
    units = len(thresholds)
    afresh = now % REFRESH == 0
    if afresh:
        _fold(weights, scale, stored_sum, total)
    sum_rows(drives, weights, firing, changed, signs, afresh or r[8] != 0.0)
    winner, y = _compete(firing, drives, scale, thresholds, peak, places, min_active, max_spread)
    if (
        winner >= 0
    ):  # its drive afresh: by changes, a drive near 0 may come out below, and the event would be lost
        drives[winner] = 0.0
        for i in firing:
            drives[winner] += weights[i, winner]
        y = scale[winner] * drives[winner]
    rise = _changed(rule, firing, winner, y, learner, r)
    if rise > 0.0:
        for j in range(units):
            thresholds[j] -= thresholds[j] * (c_decay / units)
        thresholds[winner] += c_plus * rise
        wins[winner] += 1
    if recruit_every > 0 and (now + 1) % recruit_every == 0:
        _recruit(wins, thresholds, peak, recruit_wins, recruit_divisor)
