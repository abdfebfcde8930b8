"""G19 form: Izhikevich units.

For cells that fire (v >= v_peak): v <- c, u <- u + d. Then twice, half a millisecond each,

    v <- v + 0.5 (0.04 v^2 + 5 v + 140 - u + I + noise N(0,1)),

and u <- u + a (b v - u). One step is 1 ms. Source: G19, released programs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from devnet._core.random import Key
from devnet.dynamics.base import Brian2Text, Cells, Constants, Form, register, select
from devnet.spec import IzhikevichSpec


def constants(spec: IzhikevichSpec) -> Constants:
    """Return (a, b, v_peak, noise)."""
    return np.array([spec.a, spec.b, spec.v_peak, spec.noise])


def cells(spec: IzhikevichSpec, positions: Float[np.ndarray, "n 2"], key: Key) -> Cells:
    """Draw reset potential c and recovery jump d of each cell: ``c + c_spread U^2``, and d by its profile."""
    n = len(positions)
    draws = key.stream("izhikevich.cells")
    c = spec.c + spec.c_spread * draws.uniform(0, n) ** 2
    if spec.d_profile == "random":
        fall = draws.uniform(0, n) ** 2
    else:
        center = (positions.min(axis=0) + positions.max(axis=0)) / 2
        fall = np.exp(-np.sqrt(((positions - center) ** 2).sum(axis=1)) / spec.d_length)
    return np.stack([c, spec.d - spec.d_spread * fall])


def start(spec: IzhikevichSpec, cells: Cells) -> Cells:
    """Start at rest: v = v_start, u = b v."""
    v = np.full(cells.shape[1], spec.v_start)
    return np.stack([v, spec.b * v])


def fires(v, u, k):  # noqa: D103
    return v >= k[2]


def advance(v, u, fired, drive, noise, c, d, k):  # noqa: D103
    current = drive + k[3] * noise
    v = select(fired, c, v)
    u = select(fired, u + d, u)
    v = v + 0.5 * (0.04 * v * v + 5.0 * v + 140.0 - u + current)
    v = v + 0.5 * (0.04 * v * v + 5.0 * v + 140.0 - u + current)
    u = u + k[0] * (k[1] * v - u)
    return v, u


BRIAN2 = Brian2Text(
    state=("mV", "mV"),
    cells=(("c", "mV"), ("d", "mV")),
    constants=(("a", "1"), ("b", "1"), ("v_peak", "mV"), ("amplitude", "mV")),
    drive="mV",
    threshold="v >= v_peak",
    update="""
        fired = int(v >= v_peak)
        current = I + amplitude*noise
        v = fired*c + (1 - fired)*v
        u = u + fired*d
        v = v + 0.5*(0.04*v*v/millivolt + 5.0*v + 140.0*millivolt - u + current)
        v = v + 0.5*(0.04*v*v/millivolt + 5.0*v + 140.0*millivolt - u + current)
        u = u + a*(b*v - u)
    """,
)

FORM = register(
    Form("izhikevich", 0, ("v", "u"), constants, cells, start, fires, advance, lambda spec: 1, BRIAN2)
)
