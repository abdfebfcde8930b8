"""Sums over the firing cells: the same whatever step they start from, and without drift."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from devnet._core.random import Key
from devnet.backends.numba_ import sums

N = 200


@njit
def _fields(matrix, firing_by_step, fields, flags, afresh_every):
    """Return the field of each step."""
    held, newest = 1, 0
    found = np.zeros((len(firing_by_step), matrix.shape[0]))
    before = np.zeros(flags.shape[1], np.uint8)
    firing, changed, signs = np.empty(N, np.int64), np.empty(N, np.int64), np.empty(N, np.int64)
    for t in range(len(firing_by_step)):
        fired = firing_by_step[t]
        active = firing[: sums.list_firing(fired, firing)]
        flips = changed[: sums.list_changes(fired, before, changed, signs)]
        held, newest = sums.sum_from_nearest(
            fields, flags, held, newest, matrix, fired, active, flips, signs, t % afresh_every == 0
        )
        found[t] = fields[newest]
        before[:] = fired
    return found


def firing_sets(kind: str, steps: int) -> np.ndarray:
    """Who fires: few flips a step, sets that take turns and change slowly, or nothing in common."""
    draws = Key(3).stream(kind)
    padded = -(-N // 64) * 64
    sets = np.zeros((steps, padded), np.uint8)
    for t in range(steps):
        u = draws.uniform(t, N)
        back = {"slow": 1, "in turns": 3}.get(kind, 0)
        if t < back or back == 0:
            sets[t, :N] = u < 0.3
        else:
            sets[t, :N] = sets[t - back, :N] ^ (u < 0.02)
    return sets


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["slow", "in turns", "unlike"])
def test_every_field_is_the_sum_of_the_firing_rows(kind: str, dtype: type) -> None:
    matrix = Key(1).stream("matrix").uniform(0, N * N).reshape(N, N).astype(dtype)
    sets = firing_sets(kind, 900)
    fields, flags = np.zeros((sums.HISTORY, N)), np.zeros((sums.HISTORY, sets.shape[1]), np.uint8)
    found = _fields(matrix, sets, fields, flags, 1024)
    wanted = sets[:, :N].astype(float) @ matrix.astype(float)
    assert wanted.max() > 10
    assert np.abs(found - wanted).max() < 1e-11
    # Cut where sums start afresh, the later part gives the same bits from nothing.
    whole = _fields(matrix, sets, fields, flags, 100)
    fields[:], flags[:] = 0, 0
    assert whole[800:].tobytes() == _fields(matrix, sets[800:], fields, flags, 100).tobytes()
