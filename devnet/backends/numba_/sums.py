"""Sums over the firing cells, kept up to date by the cells whose firing changed."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic, register_jitable

HISTORY = 8
"""Fields of recent steps that are kept.

Cells that fire for one step and then wait make a step unlike the one before it, but much like one two to eight steps
back: of 124 firing cells of the M20 form, 55 differ from the nearest of eight. More than eight gain nothing.
"""


@intrinsic
def _ones(typingctx, word):  # how many bits of a uint64 are set
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@register_jitable
def list_firing(fired, firing):
    """List who fires and return how many; flags are bytes, looked at eight at a time."""
    words = fired.view(np.uint64)
    count = 0
    for w in range(len(words)):
        if words[w] != 0:
            for i in range(8 * w, 8 * w + 8):
                if fired[i]:
                    firing[count] = i
                    count += 1
    return count


@register_jitable
def list_changes(fired, before, changed, signs):
    """List whose firing changed, with +1 where it began and -1 where it ended, and return how many."""
    words, old_words = fired.view(np.uint64), before.view(np.uint64)
    count = 0
    for w in range(len(words)):
        if words[w] != old_words[w]:
            for i in range(8 * w, 8 * w + 8):
                if fired[i] != before[i]:
                    changed[count] = i
                    signs[count] = 1 if fired[i] else -1
                    count += 1
    return count


@register_jitable
def _count_changes(fired, before):
    words, old_words = fired.view(np.uint64), before.view(np.uint64)
    count = np.uint64(0)
    for w in range(len(words)):
        count += _ones(words[w] ^ old_words[w])  # pyright: ignore[reportCallIssue]
    return np.int64(count)


@register_jitable
def _add_rows(total, matrix, rows, signs):
    """Add rows to a total, each with its sign: eight in one pass, because reading them is what takes the time."""
    c = 0
    pick, f = np.empty(8, np.int64), np.empty(8, np.float32)
    while len(rows) - c > 2:
        for k in range(8):  # the last row again, times 0, where fewer are left
            pick[k] = rows[min(c + k, len(rows) - 1)]
            f[k] = signs[c + k] if c + k < len(rows) else 0
        a0, a1, a2, a3 = matrix[pick[0]], matrix[pick[1]], matrix[pick[2]], matrix[pick[3]]
        b0, b1, b2, b3 = matrix[pick[4]], matrix[pick[5]], matrix[pick[6]], matrix[pick[7]]
        p0, p1, p2, p3, q0, q1, q2, q3 = f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
        # Products with 1, -1 and 0 are exact in float32 as in float64.
        for j in range(len(total)):
            a = np.float64(p0 * a0[j]) + np.float64(p1 * a1[j])
            a += np.float64(p2 * a2[j]) + np.float64(p3 * a3[j])
            b = np.float64(q0 * b0[j]) + np.float64(q1 * b1[j])
            b += np.float64(q2 * b2[j]) + np.float64(q3 * b3[j])
            total[j] += a + b
        c += 8
    while c < len(rows):
        row, sign = matrix[rows[c]], np.float32(signs[c])
        for j in range(len(total)):
            total[j] += np.float64(sign * row[j])
        c += 1


@register_jitable
def sum_rows(total, matrix, firing, changed, signs, afresh):
    """Bring ``total = sum of the firing cells' rows`` up to date, by the cheaper of two ways."""
    rows, row_signs = changed, signs
    if afresh or len(changed) >= len(firing):
        rows, row_signs = firing, np.ones(len(firing), np.int64)
        total[:] = 0.0
    _add_rows(total, matrix, rows, row_signs)


@register_jitable
def sum_from_nearest(fields, flags, held, newest, matrix, fired, firing, changed, signs, afresh):
    """Sum the firing cells' rows, from the field of that step, among those kept, in which almost the same cells fired.

    Args:
        fields: (HISTORY, n), fields of recent steps.
        flags: (HISTORY, padded n), who fired in them.
        held: How many of them are kept.
        newest: Where the last step's is.
        matrix: (n, n), the coupling.
        fired: (padded n,), who fires, as flags.
        firing: Who fires, as a list.
        changed: Whose firing changed since the last step.
        signs: +1 where it began, -1 where it ended.
        afresh: Forget what is kept.

    Returns:
        How many fields are kept now, and where this step's is.
    """
    rows, row_signs = changed, signs
    if afresh or 2 * len(changed) > len(firing):  # else a search could not gain much
        if afresh:
            held, newest = 0, -1
        base, fewest = -1, len(firing)
        for slot in range(held):
            count = _count_changes(fired, flags[slot])
            if count < fewest:
                base, fewest = slot, count
        newest = (newest + 1) % len(fields)
        rows, row_signs = firing, np.ones(fewest, np.int64)
        field = fields[newest]
        for j in range(len(field)):  # a loop, because numba takes seconds to compile an assignment of slices
            field[j] = fields[base, j] if base >= 0 else 0.0
        if base >= 0:
            rows = np.empty(fewest, np.int64)
            list_changes(fired, flags[base], rows, row_signs)
        held = max(held, newest + 1)
    _add_rows(fields[newest], matrix, rows, row_signs)
    for i in range(len(fired)):
        flags[newest, i] = fired[i]
    return held, newest
