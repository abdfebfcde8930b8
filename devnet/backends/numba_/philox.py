"""The random streams of ``devnet._core.random`` as compiled code: the same bits, without a call per draw."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from devnet._core import random as law
from devnet._core.compile import jit

_M0, _M1 = np.uint64(law.MULTIPLIER_0), np.uint64(law.MULTIPLIER_1)
_W0, _W1 = np.uint32(law.WEYL_0), np.uint32(law.WEYL_1)
_S32 = np.uint64(32)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = law.LOG_POLY
_SIN0, _SIN1, _SIN2 = law.SIN_POLY
_COS0, _COS1, _COS2 = law.COS_POLY
_LN2, _ANGLE, _TWO_M31 = law.LN2, law.ANGLE, law.TWO_M31
_SQRT_HALF = np.uint32(law.SQRT_HALF_BITS)
_MANTISSA = np.uint32(0x007FFFFF)
_ZERO, _HALF, _ONE, _E31 = np.float32(0), np.float32(0.5), np.float32(1), np.float32(31)


@intrinsic
def _bits(typingctx, value):  # reinterpret float32 as uint32
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


@intrinsic
def _from_bits(typingctx, value):  # reinterpret uint32 as float32
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@jit(inline="always")
def philox4(c0, c1, c2, c3, k0, k1):
    """Return the four words of one counter; all arguments and results are uint32."""
    for _ in range(law.ROUNDS):
        p0 = np.uint64(c0) * _M0
        p1 = np.uint64(c2) * _M1
        c0 = np.uint32(np.uint32(p1 >> _S32) ^ c1 ^ k0)
        c1 = np.uint32(p1)
        c2 = np.uint32(np.uint32(p0 >> _S32) ^ c3 ^ k1)
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@jit(inline="always")
def gaussian_pair(w0, w1):
    """Box-Muller as in ``random.gaussian_pair``: the same operations in the same order."""
    w = np.int32(w0 >> np.uint32(1))
    u = np.float32(w) + _HALF
    shifted = np.uint32(_bits(u) - _SQRT_HALF)  # pyright: ignore[reportCallIssue]
    exponent = np.float32(np.int32(np.int32(shifted) >> np.int32(23))) - _E31
    mantissa = _from_bits(np.uint32((shifted & _MANTISSA) + _SQRT_HALF))  # pyright: ignore[reportCallIssue]
    from_one = (np.float32(np.int32(np.int32(0x7FFFFFFF) - w)) + _HALF) * -_TWO_M31
    f = from_one if exponent == _ZERO else mantissa - _ONE
    p = _L8 * f + _L7
    p = p * f + _L6
    p = p * f + _L5
    p = p * f + _L4
    p = p * f + _L3
    p = p * f + _L2
    p = p * f + _L1
    p = p * f + _L0
    log_m = f - f * f * (_HALF - f * p)
    minus_log = -(exponent * _LN2 + log_m)
    r = np.sqrt(minus_log + minus_log)
    quadrant = w1 >> np.uint32(30)
    x = np.float32(np.int32(np.int32(w1 & np.uint32(0x3FFFFFFF)) - np.int32(0x20000000))) * _ANGLE
    x2 = x * x
    s = x + x * x2 * (_SIN0 + x2 * (_SIN1 + x2 * _SIN2))
    c = _ONE - x2 * _HALF + x2 * x2 * (_COS0 + x2 * (_COS1 + x2 * _COS2))
    odd = (quadrant & np.uint32(1)) != 0
    first = s if odd else c
    second = c if odd else s
    if ((quadrant + np.uint32(1)) & np.uint32(2)) != 0:
        first = -first
    if (quadrant & np.uint32(2)) != 0:
        second = -second
    return r * first, r * second


@jit()
def fill_normal(out, key_low, key_high, step, draw, stream, first_block, last_block):
    """Write the Gaussians of cells ``64 first_block .. 64 last_block - 1`` into ``out`` (whole blocks, from 0)."""
    k0, k1 = np.uint32(key_low), np.uint32(key_high)
    c1, c2, c3 = np.uint32(step), np.uint32(draw), np.uint32(stream)
    for block in range(first_block, last_block):
        lane = out[block * 64 : block * 64 + 64]
        for c in range(16):
            w0, w1, w2, w3 = philox4(np.uint32(block * 16 + c), c1, c2, c3, k0, k1)
            a, b = gaussian_pair(w0, w1)
            d, e = gaussian_pair(w2, w3)
            lane[c] = a
            lane[c + 16] = b
            lane[c + 32] = d
            lane[c + 48] = e
