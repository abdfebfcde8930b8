"""M20 form: leaky units with an adaptive threshold.

    dv/dt     = -v / tau_v + I + noise eta          (or all of it over tau_v: the second published variant)
    dtheta/dt = (v_threshold - theta) / tau_theta   of a silent cell,  theta_plus  of a firing one

A cell fires when v >= theta and is then set back to its own reset value. Firing and coupling are held over a step of
``dt``, noise over one unit of time. Integrated by classical Runge-Kutta or by Euler steps. Source: M20, released
programs; theta starts at 0.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from devnet._core.random import Key
from devnet.dynamics.base import Brian2Text, Cells, Constants, Form, register, select
from devnet.spec import AdaptiveLeakySpec


def constants(spec: AdaptiveLeakySpec) -> Constants:
    """Return (dt, 1/tau_v, gain of the drive, 1/tau_theta, theta_plus, v_threshold, noise, Runge-Kutta weights)."""
    gain = 1.0 if spec.drive == "per_time" else 1.0 / spec.tau_v
    higher = 1.0 if spec.integrator == "rk4" else 0.0
    return np.array(
        [
            spec.dt,
            1 / spec.tau_v,
            gain,
            1 / spec.tau_theta,
            spec.theta_plus,
            spec.v_threshold,
            spec.noise,
            higher,
        ]
    )


def cells(spec: AdaptiveLeakySpec, positions: Float[np.ndarray, "n 2"], key: Key) -> Cells:
    """Draw each cell's reset value ``reset N(0,1)^2``, once."""
    n = len(positions)
    normal = key.stream("adaptive_leaky.cells").normal(0, n).astype(np.float64)
    return np.stack([spec.reset * normal**2, np.zeros(n)])


def start(spec: AdaptiveLeakySpec, cells: Cells) -> Cells:
    """Start at v = reset value and theta = 0; with theta = 1 no wave ever starts (M20)."""
    return np.stack([cells[0], np.zeros(cells.shape[1])])


def fires(v, theta, k):  # noqa: D103
    return v >= theta


def advance(v, theta, fired, drive, noise, reset, unused, k):  # noqa: D103
    dt, leak, gain, slow, theta_plus, rest, amplitude, higher = k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
    # Both equations are linear with constant input y' = p - q y, so that one Runge-Kutta step is this polynomial;
    # its first term alone is the Euler step.
    z = dt * leak
    stretch = 1.0 - higher * (z / 2.0 - z * z / 6.0 + z * z * z / 24.0)
    v = v + dt * stretch * (gain * (drive + amplitude * noise) - leak * v)
    z = dt * slow
    stretch = 1.0 - higher * (z / 2.0 - z * z / 6.0 + z * z * z / 24.0)
    theta = theta + select(fired, dt * theta_plus, dt * stretch * slow * (rest - theta))
    return select(fired, reset, v), theta


BRIAN2 = Brian2Text(
    state=("1", "1"),
    cells=(("v_reset", "1"),),
    constants=(
        ("step", "ms"),
        ("leak", "1/ms"),
        ("gain", "1/ms"),
        ("slow", "1/ms"),
        ("theta_plus", "1/ms"),
        ("rest", "1"),
        ("amplitude", "1"),
        ("higher", "1"),
    ),
    drive="1",
    threshold="v >= theta",
    update="""
        fired = int(v >= theta)
        z = step*leak
        stretch = 1.0 - higher*(z/2.0 - z*z/6.0 + z*z*z/24.0)
        v = v + step*stretch*(gain*(I + amplitude*noise) - leak*v)
        z_slow = step*slow
        stretch_slow = 1.0 - higher*(z_slow/2.0 - z_slow*z_slow/6.0 + z_slow*z_slow*z_slow/24.0)
        theta = theta + fired*step*theta_plus + (1 - fired)*step*stretch_slow*slow*(rest - theta)
        v = fired*v_reset + (1 - fired)*v
    """,
    step="step",
)

FORM = register(
    Form(
        "adaptive_leaky",
        1,
        ("v", "theta"),
        constants,
        cells,
        start,
        fires,
        advance,
        lambda spec: round(1 / spec.dt),
        BRIAN2,
    )
)
