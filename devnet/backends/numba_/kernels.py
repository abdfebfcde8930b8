"""The fused kernel: noise, field, state, spikes, competition and plasticity of one sheet, many steps a call."""

from __future__ import annotations

from functools import cache
from types import FunctionType, SimpleNamespace

import numpy as np
from numba import njit
from numba.extending import register_jitable

from devnet._core.compile import jit
from devnet.backends.numba_ import laws
from devnet.backends.numba_.laws import OWN, REFRESH, advance, detect, law, learn
from devnet.backends.numba_.philox import fill_normal
from devnet.backends.numba_.sums import list_changes, list_firing, sum_from_nearest

CHECK = 64
"""Steps between two looks for NaN and infinity."""


@register_jitable
def _sick(state):
    """Say whether a state holds NaN or infinity."""
    check = 0.0
    for i in range(state.shape[1]):
        check += 0.0 * state[0, i] + 0.0 * state[1, i]
    return check != 0.0  # NaN compares unequal to all


@jit()
def run(
    form, k, cells, coupling, state, was_firing, past, step, steps, hold, key, given, record, spike_time, spike_cell,
    dead, rule, learner, r,
):  # fmt: skip
    """Take up to ``steps`` steps from ``step``; stop early when the next step's spikes might not fit.

    Arrays are named as in ``backends.base`` and ``hebbian_wta``. ``past`` is (fields, flags, [held, newest]), see
    ``sum_from_nearest``. ``key`` is (low word, high word, stream); ``given`` is noise from outside, one row a step, or
    has no rows. ``dead`` lists the cells that never fire. ``rule`` is the number of the learning rule and
    ``r`` its constants. ``learner`` is (drives, scale, stored_sum, weights, thresholds, wins, peak, pre, post, places): a unit's weights are ``scale`` times the stored ones and its drive ``scale`` times the
    stored one, so that rescaling a unit is one number; ``stored_sum`` is the sum of its stored weights.

    Returns:
        Steps taken, spikes written, and 0 or the step by which a state was found not finite.
    """
    n = len(was_firing)
    fields, flags, kept = past
    blocks = (n + 63) // 64
    noise = np.empty(blocks * 64, np.float32)
    fired, before = np.zeros(blocks * 64, np.uint8), np.zeros(blocks * 64, np.uint8)
    for i in range(n):  # loops, because numba takes seconds to compile an assignment of slices
        fired[i] = was_firing[i]
    firing, changed, signs = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    spikes = 0
    done = 0
    sick = 0
    while done < steps and sick == 0:
        if record and spikes + n > len(spike_time):
            break
        now = step + done
        fired, before = before, fired
        detect(form, state, k, fired[:n])
        for i in dead:
            fired[i] = 0
            state[0, i] = state[1, i] = 0.0
        active = firing[: list_firing(fired, firing)]
        flips = changed[: list_changes(fired, before, changed, signs)]
        if len(coupling) > 0:  # without coupling there is no matrix
            kept[0], kept[1] = sum_from_nearest(
                fields, flags, kept[0], kept[1], coupling, fired, active, flips, signs, now % REFRESH == 0
            )
        if len(given) > 0:
            for i in range(n):
                noise[i] = given[done, i]
        elif done == 0 or now % hold == 0:
            fill_normal(noise, key[0], key[1], now // hold, 0, key[2], 0, blocks)
        advance(form, state, k, cells, fired[:n], fields[kept[1]], noise)
        if learner is not None:  # else not even compiled
            learn(now, active, flips, signs, rule, learner, r)
        if record:
            for i in active:
                spike_time[spikes] = now
                spike_cell[spikes] = i
                spikes += 1
        done += 1
        if ((now + 1) % CHECK == 0 or done == steps) and _sick(state):
            sick = now + 1
    for i in range(n):
        was_firing[i] = fired[i] != 0
    return done, spikes, sick


@jit()
def look(form, k, state, fired, first, last):
    """Write who fires among cells ``first..last-1``: the first part of a step, for sheets stepped piece by piece."""
    detect(form, state[:, first:last], k, fired[first:last])


@jit()
def list_cells(fired, before, firing, changed, signs):
    """List who fires and whose firing changed; returns both counts."""
    return list_firing(fired, firing), list_changes(fired, before, changed, signs)


@jit()
def move(form, k, cells, state, fired, field, noise, fresh, key, draw_step, first, last):
    """Draw noise where ``fresh`` and advance cells ``first..last-1``; ``first`` is a multiple of 64."""
    if fresh:
        fill_normal(noise, key[0], key[1], draw_step, 0, key[2], first // 64, (last + 63) // 64)
    advance(
        form,
        state[:, first:last],
        k,
        cells[:, first:last],
        fired[first:last],
        field[first:last],
        noise[first:last],
    )


is_sick = jit()(_sick)
learn_step = jit()(learn)


@cache
def customized(form, rule):
    """Return these kernels with the laws of a form or rule that is not built in; compiled anew in each process.

    Args:
        form: The form; its law is used where its number says that it is not built in.
        rule: The rule, likewise, or None.

    Returns:
        Names as in this module.
    """
    scope = vars(laws) | globals()
    if form.number == OWN:
        scope |= {"own_fires": law(form.fires), "own_advance": law(form.advance)}
    if rule is not None and rule.number == OWN:
        scope["own_rule"] = law(rule.kernel)
    for name in ("detect", "advance", "_changed", "learn", "run", "look", "move", "learn_step"):
        code = getattr(scope[name], "py_func", scope[name]).__code__
        scope[name] = njit(nogil=True, error_model="numpy")(FunctionType(code, scope, name))
    return SimpleNamespace(**scope)
