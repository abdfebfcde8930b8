"""The random streams of ``devnet._core.random`` as torch operations: the same bits on every device.

Words are held in int64 and every product stays below 2^49, so nothing overflows. All that follows is integer
arithmetic and single float32 additions and products, which IEEE 754 fixes. Torch's float32 square root is not
correctly rounded on every device; the float64 one rounded to float32 is.
"""

from __future__ import annotations

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from devnet._core import random as law
from devnet._core.random import BLOCK, LANES, Stream, stream_id

_MASK = 0xFFFFFFFF
_LOG, _SIN, _COS = (tuple(float(c) for c in p) for p in (law.LOG_POLY, law.SIN_POLY, law.COS_POLY))
_LN2, _ANGLE, _TWO_M31 = float(law.LN2), float(law.ANGLE), float(law.TWO_M31)


def _multiply(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """Return the high and the low 32 bits of a product of 32-bit numbers."""
    high, low = word * (multiplier >> 16), word * (multiplier & 0xFFFF)
    high = high + (low >> 16)  # the product without its last 16 bits
    return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(
    counter: tuple[Int64[Tensor, "..."], Int64[Tensor, "..."], int, int], key: tuple[int, int]
) -> tuple[Int64[Tensor, "..."], ...]:
    """Philox4x32-10: the four words of each counter; see ``random.philox``.

    Args:
        counter: Four counter words; the first two of broadcastable shapes.
        key: Two 32-bit key words.

    Returns:
        Four tensors of words in [0, 2^32).
    """
    c0, c1 = torch.broadcast_tensors(*counter[:2])
    c2, c3 = (torch.full_like(c0, word) for word in counter[2:])
    k0, k1 = key
    for _ in range(law.ROUNDS):
        high0, low0 = _multiply(c0, law.MULTIPLIER_0)
        high1, low1 = _multiply(c2, law.MULTIPLIER_1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + law.WEYL_0) & _MASK, (k1 + law.WEYL_1) & _MASK
    return c0, c1, c2, c3


def gaussian_pair(
    radius_word: Int64[Tensor, "..."], angle_word: Int64[Tensor, "..."]
) -> tuple[Float32[Tensor, "..."], Float32[Tensor, "..."]]:
    """Box-Muller as in ``random.gaussian_pair``: the same operations in the same order.

    Args:
        radius_word: Words that set the radius.
        angle_word: Words that set the angle.

    Returns:
        ``(r cos, r sin)``.
    """
    w = (radius_word >> 1).to(torch.int32)
    u = w.to(torch.float32) + 0.5
    shifted = u.view(torch.int32) - law.SQRT_HALF_BITS
    exponent = (shifted >> 23).to(torch.float32) - 31.0
    mantissa = ((shifted & 0x007FFFFF) + law.SQRT_HALF_BITS).view(torch.float32)
    from_one = ((0x7FFFFFFF - w).to(torch.float32) + 0.5) * -_TWO_M31
    f = torch.where(exponent == 0.0, from_one, mantissa - 1.0)
    p = f * _LOG[8] + _LOG[7]
    for c in _LOG[6::-1]:
        p = p * f + c
    log_m = f - f * f * (0.5 - f * p)
    minus_log = -(exponent * _LN2 + log_m)
    r = torch.sqrt((minus_log + minus_log).to(torch.float64)).to(torch.float32)
    quadrant = angle_word >> 30
    x = ((angle_word & 0x3FFFFFFF) - 0x20000000).to(torch.int32).to(torch.float32) * _ANGLE
    x2 = x * x
    s = x + x * x2 * (x2 * (x2 * _SIN[2] + _SIN[1]) + _SIN[0])
    c = 1.0 - x2 * 0.5 + x2 * x2 * (x2 * (x2 * _COS[2] + _COS[1]) + _COS[0])
    odd = (quadrant & 1) != 0
    first, second = torch.where(odd, s, c), torch.where(odd, c, s)
    first = torch.where(((quadrant + 1) & 2) != 0, -first, first)
    second = torch.where((quadrant & 2) != 0, -second, second)
    return r * first, r * second


def normal(
    stream: Stream, first_step: int, steps: int, n: int, device: torch.device | str = "cpu"
) -> Float32[Tensor, "steps n"]:
    """Return the Gaussians of cells ``0..n-1`` at consecutive steps: row s holds ``stream.normal(first_step + s, n)``.

    Args:
        stream: The stream.
        first_step: Its first step.
        steps: How many steps.
        n: Number of cells.
        device: Where the tensor is to lie.

    Returns:
        The samples.
    """
    blocks = -(-n // BLOCK)
    counters = torch.arange(blocks * LANES, dtype=torch.int64, device=device)[None]
    rows = torch.arange(first_step, first_step + steps, dtype=torch.int64, device=device)[:, None]
    words = philox((counters, rows, 0, stream_id(stream.name)), stream.key.words)
    lanes = [*gaussian_pair(*words[:2]), *gaussian_pair(*words[2:])]
    stacked = torch.stack([lane.reshape(steps, blocks, LANES) for lane in lanes], dim=2)
    return stacked.reshape(steps, blocks * BLOCK)[:, :n]
