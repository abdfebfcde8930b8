"""Named random streams: every draw is a function of (key, stream, step, cell, draw).

There is no generator state. The word that belongs to cell ``i`` at a step is one of the four words of
Philox4x32-10 (Salmon et al. 2011) at counter ``(block counter, step, draw, stream)``, so a result depends neither on
the order in which cells are visited nor on chunking, threads, backend, or where a run was resumed, and a sheet that
grows keeps the draws of the cells it already had.

Cells are served in blocks of 64: with ``i = 64 b + 16 j + c`` the word is number ``j`` of counter ``16 b + c``
(``0 <= j < 4``, ``0 <= c < 16``). That layout lets a compiled kernel make 16 counters at a time in vector registers
and store the words to consecutive cells.

A Gaussian is made by Box-Muller from a pair of words in float32, from integer operations, additions, products and a
square root alone, in one stated order. IEEE 754 fixes each of them, so NumPy, numba and PyTorch agree bit for bit;
no mathematical library is called. Words 0 and 1 of a counter give the Gaussians of lanes 0 and 1, words 2 and 3
those of lanes 2 and 3. The largest possible value is sqrt(2 * 32 ln 2) = 6.66.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from devnet._core.errors import ConfigError

ROUNDS: Final = 10
MULTIPLIER_0: Final = 0xD2511F53
MULTIPLIER_1: Final = 0xCD9E8D57
WEYL_0: Final = 0x9E3779B9
WEYL_1: Final = 0xBB67AE85
BLOCK: Final = 64
LANES: Final = 16

# log(1+f) = f - f^2/2 + f^3 P(f) on [sqrt(1/2)-1, sqrt(2)-1]; sin and cos on [-pi/4, pi/4]. Least-squares fits at
# Chebyshev nodes in float64, then rounded to float32: `tests/_core/test_random.py` rederives and checks them.
LOG_POLY: Final = tuple(
    np.float32(c)
    for c in (
        0.33333331,
        -0.2499999,
        0.20000708,
        -0.1666848,
        0.14249937,
        -0.12411051,
        0.11661511,
        -0.11571201,
        0.071497537,
    )
)
SIN_POLY: Final = tuple(np.float32(c) for c in (-0.16666664, 0.0083327489, -0.0001958795))
COS_POLY: Final = tuple(np.float32(c) for c in (0.041666664, -0.0013888304, 2.4547991e-05))
TWO_M31: Final = np.float32(2.0**-31)
LN2: Final = np.float32(0.6931472)
SQRT_HALF_BITS: Final = 0x3F3504F3
ANGLE: Final = np.float32(1.4629180792671596e-09)  # (pi/2) / 2^30: one signed 30-bit step of a quarter turn


def philox(
    counter: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike], key: tuple[int, int]
) -> tuple[npt.NDArray[np.uint32], ...]:
    """Philox4x32-10: four 32-bit words for each counter.

    Args:
        counter: Four broadcastable arrays of 32-bit counter words.
        key: Two 32-bit key words.

    Returns:
        Four arrays of words, each of the broadcast shape.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, dtype=np.uint64) for c in counter))
    k0, k1 = key
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    for _ in range(ROUNDS):
        p0 = c0 * np.uint64(MULTIPLIER_0)
        p1 = c2 * np.uint64(MULTIPLIER_1)
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0 = (k0 + WEYL_0) & 0xFFFFFFFF
        k1 = (k1 + WEYL_1) & 0xFFFFFFFF
    return tuple(c.astype(np.uint32) for c in (c0, c1, c2, c3))


def gaussian_pair(
    radius_word: npt.NDArray[np.uint32], angle_word: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Turn pairs of words into pairs of independent standard Gaussians (Box-Muller, float32, fixed order).

    ``u = (float32(w0 >> 1) + 1/2) 2^-31``, ``r = sqrt(-2 ln u)``, the angle is ``w1`` as a fraction of a turn:
    its two top bits choose the quadrant, the other 30 the place within [-pi/4, pi/4).

    Args:
        radius_word: Words that set the radius.
        angle_word: Words that set the angle, of the same shape.

    Returns:
        ``(r cos, r sin)``, float32 arrays of the same shape.
    """
    one = np.float32(1.0)
    half = np.float32(0.5)
    w = (radius_word >> np.uint32(1)).view(np.int32)
    u = w.astype(np.float32) + half  # in units of 2^-31
    bits = u.view(np.uint32)
    # Split u = m 2^e with m in [sqrt(1/2), sqrt(2)); integer arithmetic only.
    shifted = bits - np.uint32(SQRT_HALF_BITS)
    exponent = (shifted.view(np.int32) >> np.int32(23)).astype(np.float32) - np.float32(31.0)
    mantissa = ((shifted & np.uint32(0x007FFFFF)) + np.uint32(SQRT_HALF_BITS)).view(np.float32)
    # Near u = 1 float32 cannot hold u; the distance from 1 it can.
    from_one = ((np.int32(0x7FFFFFFF) - w).astype(np.float32) + half) * -TWO_M31
    f = np.where(exponent == np.float32(0.0), from_one, mantissa - one)
    p = LOG_POLY[8] * f + LOG_POLY[7]
    for c in LOG_POLY[6::-1]:
        p = p * f + c
    log_m = f - f * f * (half - f * p)
    minus_log = -(exponent * LN2 + log_m)
    r = np.sqrt(minus_log + minus_log)
    quadrant = angle_word >> np.uint32(30)
    place = (angle_word & np.uint32(0x3FFFFFFF)).view(np.int32) - np.int32(0x20000000)
    x = place.astype(np.float32) * ANGLE
    x2 = x * x
    s = x + x * x2 * (SIN_POLY[0] + x2 * (SIN_POLY[1] + x2 * SIN_POLY[2]))
    c = one - x2 * half + x2 * x2 * (COS_POLY[0] + x2 * (COS_POLY[1] + x2 * COS_POLY[2]))
    odd = (quadrant & np.uint32(1)) != 0
    first = np.where(odd, s, c)
    second = np.where(odd, c, s)
    flip_first = ((quadrant + np.uint32(1)) & np.uint32(2)) != 0
    flip_second = (quadrant & np.uint32(2)) != 0
    return r * np.where(flip_first, -first, first), r * np.where(flip_second, -second, second)


def stream_id(name: str) -> int:
    """Return the 32-bit number under which a stream's name enters the counter."""
    return zlib.crc32(name.encode())


@dataclass(frozen=True)
class Stream:
    """One named sequence of draws of a key; random access by step, cell and draw."""

    key: Key
    name: str

    def _words4(self, step: int, n: int, draw: int) -> npt.NDArray[np.uint32]:
        """Return words laid out as ``[block, lane word, counter in block]``."""
        if not (0 <= step < 2**32 and 0 <= draw < 2**32):
            raise ConfigError("step", (step, draw), "step and draw numbers in [0, 2^32)")
        blocks = -(-n // BLOCK)
        counters = np.arange(blocks * LANES, dtype=np.uint64)
        words = philox((counters, step, draw, stream_id(self.name)), self.key.words)
        return np.stack([w.reshape(blocks, LANES) for w in words], axis=1)

    def words(self, step: int, n: int, draw: int = 0) -> npt.NDArray[np.uint32]:
        """Return the 32-bit words of cells ``0..n-1``.

        Args:
            step: Time step, below 2^32.
            n: Number of cells.
            draw: Which of several draws of the same cell and step.

        Returns:
            ``n`` words.
        """
        return self._words4(step, n, draw).reshape(-1)[:n]

    def uniform(self, step: int, n: int, draw: int = 0) -> npt.NDArray[np.float64]:
        """Return uniform numbers ``word 2^-32`` in [0, 1) of cells ``0..n-1``; arguments as ``words``."""
        return self.words(step, n, draw).astype(np.float64) * 2.0**-32

    def normal(self, step: int, n: int, draw: int = 0) -> npt.NDArray[np.float32]:
        """Return standard Gaussians of cells ``0..n-1``; arguments as ``words``."""
        w = self._words4(step, n, draw)
        out = np.empty(w.shape, dtype=np.float32)
        out[:, 0], out[:, 1] = gaussian_pair(w[:, 0], w[:, 1])
        out[:, 2], out[:, 3] = gaussian_pair(w[:, 2], w[:, 3])
        return out.reshape(-1)[:n]

    def permutation(self, step: int, n: int) -> npt.NDArray[np.int64]:
        """Return a permutation of ``0..n-1``: the order of two 32-bit words a cell, ties broken by cell number."""
        return np.lexsort((self.words(step, n, 1), self.words(step, n, 0)))


@dataclass(frozen=True)
class Key:
    """The one 64-bit number from which a result draws all its randomness; it is what a result records."""

    value: int

    def __post_init__(self) -> None:
        if not 0 <= self.value < 2**64:
            raise ConfigError("rng", self.value, "a key in [0, 2^64)")

    @property
    def words(self) -> tuple[int, int]:
        """The two 32-bit halves, low first."""
        return self.value & 0xFFFFFFFF, self.value >> 32

    def stream(self, name: str) -> Stream:
        """Return the stream of that name."""
        return Stream(self, name)

    def child(self, *path: str | int) -> Key:
        """Return the key at the end of a path of names and numbers, for example ``child("grow", 3)``."""
        key = self
        for part in path:
            name, number = (f"child {part}", 0) if isinstance(part, str) else ("child", part)
            w = key.stream(name).words(number, 2)
            key = Key(int(w[0]) | int(w[1]) << 32)
        return key


def as_key(rng: Any) -> Key:
    """Make the key of a result from what a user passed as ``rng``.

    A Generator or BitGenerator is asked for one 64-bit number and for nothing after that. An integer or a sequence
    of integers is hashed by SeedSequence. None takes entropy from the operating system; the key is recorded in the
    result, so even that run can be repeated.

    Args:
        rng: None, int, sequence of int, SeedSequence, BitGenerator, Generator, or a Key, which is returned as is.

    Returns:
        The key.

    Raises:
        ConfigError: ``rng`` is none of these.
    """
    if isinstance(rng, Key):
        return rng
    if isinstance(rng, (np.random.RandomState, bool)):
        raise ConfigError("rng", rng, "None, an int, a SeedSequence, a numpy Generator or a Key")
    if isinstance(rng, np.random.BitGenerator):
        rng = np.random.Generator(rng)
    if isinstance(rng, np.random.Generator):
        return Key(int(rng.integers(0, 2**64, dtype=np.uint64)))
    try:
        sequence = rng if isinstance(rng, np.random.SeedSequence) else np.random.SeedSequence(rng)
    except (TypeError, ValueError):
        raise ConfigError(
            "rng", rng, "None, a non-negative int, a SeedSequence, a numpy Generator or a Key"
        ) from None
    low, high = sequence.generate_state(2, np.uint32)
    return Key(int(low) | int(high) << 32)
