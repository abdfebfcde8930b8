"""Rate-like map (ours): a leaky drive x against a threshold v that jumps when the cell fires and relaxes after.

A cell fires when x > v. Each step v <- v + h (1 + g_i) if it fires, else v <- v + (v_rest - v)/tau_v, and

    x <- x + (-x + I + noise N(0,1)) / tau_x.

Activity nucleates from noise, travels as a bump, dies of its own refractoriness and starts elsewhere. With
g_i = h_rim (r_i / R)^2, r_i the distance to the sheet's center and R half its larger side, the rim is more
refractory than the center, and waves visit the center more often.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from devnet._core.random import Key
from devnet.dynamics.base import Brian2Text, Cells, Constants, Form, register, select
from devnet.spec import RateMapSpec


def constants(spec: RateMapSpec) -> Constants:
    """Return (1/tau_x, h, 1/tau_v, v_rest, noise)."""
    return np.array([1 / spec.tau_x, spec.h, 1 / spec.tau_v, spec.v_rest, spec.noise])


def cells(spec: RateMapSpec, positions: Float[np.ndarray, "n 2"], key: Key) -> Cells:
    """Return g, by how much more refractory a cell is than one at the center, and zeros."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    half_side = max((high - low).max() / 2, np.finfo(float).tiny)
    square = (((positions - (low + high) / 2) / half_side) ** 2).sum(axis=1)
    return np.stack([spec.h_rim * square, np.zeros(len(positions))])


def start(spec: RateMapSpec, cells: Cells) -> Cells:
    """Start silent: x = 0, v = v_rest."""
    n = cells.shape[1]
    return np.stack([np.zeros(n), np.full(n, spec.v_rest)])


def fires(x, v, k):  # noqa: D103
    return x > v


def advance(x, v, fired, drive, noise, g, unused, k):  # noqa: D103
    v = v + select(fired, k[1] * (1.0 + g), k[2] * (k[3] - v))
    x = x + k[0] * (drive + k[4] * noise - x)
    return x, v


BRIAN2 = Brian2Text(
    state=("1", "1"),
    cells=(("g", "1"),),
    constants=(("rate_x", "1"), ("jump", "1"), ("rate_v", "1"), ("v_rest", "1"), ("amplitude", "1")),
    drive="1",
    threshold="x > v",
    update="""
        fired = int(x > v)
        v = v + fired*jump*(1 + g) + (1 - fired)*rate_v*(v_rest - v)
        x = x + rate_x*(I + amplitude*noise - x)
    """,
)

FORM = register(
    Form("rate_map", 2, ("x", "v"), constants, cells, start, fires, advance, lambda spec: 1, BRIAN2)
)
