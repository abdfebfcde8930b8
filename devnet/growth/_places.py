"""Distances and ways on the scaffold's surface, written once: on numbers for compiled code, on arrays for NumPy.

``sphere`` is the radius R of the sphere whose chart holds the coordinates (see ``devnet.sheet.surface``), 0 on the plane.
"""

from __future__ import annotations

import numpy as np


def square(x, y, u, v, sphere):
    """Return the square of the straight distance, in space, of the points (x, y) and (u, v)."""
    dx, dy = x - u, y - v
    if sphere == 0.0:
        return dx * dx + dy * dy
    p, q = (x * x + y * y) / (sphere * sphere), (u * u + v * v) / (sphere * sphere)
    s, t = np.sqrt(1.0 - p / 4.0), np.sqrt(1.0 - q / 4.0)
    dx, dy, dz = x * s - u * t, y * s - v * t, sphere * (q - p) / 2.0
    return dx * dx + dy * dy + dz * dz


def step(x, y, a, b, distance, sphere):
    """Return where one arrives from (x, y) in the direction (a, b), of length 1, after a distance along the surface.

    On a sphere the directions at a point are those at the pole, carried along the meridian: for a direction drawn at
    random that is any frame. With n the point's unit vector, k = 1/(1 + n_z), e and f the frame and w = d/R, one arrives
    at n cos w + (a e + b f) sin w.
    """
    if sphere == 0.0:
        return x + distance * a, y + distance * b
    p = (x * x + y * y) / (sphere * sphere)
    s = np.sqrt(1.0 - p / 4.0) / sphere
    n, m, h = x * s, y * s, 1.0 - p / 2.0
    k = 1.0 / (1.0 + h)
    cosine, sine = np.cos(distance / sphere), np.sin(distance / sphere)
    n1 = n * cosine + (a * (1.0 - n * n * k) - b * n * m * k) * sine
    m1 = m * cosine + (b * (1.0 - m * m * k) - a * n * m * k) * sine
    h1 = h * cosine - (a * n + b * m) * sine
    if h1 <= -0.999:  # the chart ends at the other pole; no scaffold reaches there
        return np.inf, np.inf
    r = sphere * np.sqrt(2.0 / (1.0 + h1))
    return r * n1, r * m1
