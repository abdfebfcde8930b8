"""Recordings that keep one thing about waves and destroy another: what controls of learning are replayed from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int

from devnet._core.random import as_key
from devnet.sheet import Recording


def shuffled_frames(recording: Recording, *, rng: Any = None) -> Recording:
    """Return the same steps in random order: each step's pattern stays, all motion is lost.

    Args:
        recording: Who fired when.
        rng: Seed as ``as_key`` takes it.

    Returns:
        The recording of the shuffled steps.
    """
    place = as_key(rng).stream("surrogate.frames").permutation(0, recording.steps)
    return _sorted(recording, place[recording.time], recording.cell)


def shifted_trains(recording: Recording, *, rng: Any = None) -> Recording:
    """Return each cell's spikes moved in time by its own random shift, around the recording's end.

    Each cell keeps its rate and its rhythm; what cells do together, the waves, is lost.

    Args:
        recording: Who fired when.
        rng: Seed as ``as_key`` takes it.

    Returns:
        The recording of the shifted spikes.
    """
    draws = as_key(rng).stream("surrogate.shift").uniform(0, recording.sheet.n)
    shift = (draws * recording.steps).astype(np.int64)
    return _sorted(recording, (recording.time + shift[recording.cell]) % recording.steps, recording.cell)


def _sorted(recording: Recording, time: Int[np.ndarray, " K"], cell: Int[np.ndarray, " K"]) -> Recording:
    order = np.lexsort((cell, time))
    return replace(recording, time=time[order].astype(np.int32), cell=cell[order])
