"""The long-range inhibition of large sheets by a particle mesh: cost O(N + changes k), error below 1e-6.

With x = r / decay,

    exp(-x) = pi^-1/2 int_0^inf s^-1/2 exp(-s - x^2 / 4s) ds.

Dropping the widths s < s_min = (reach / 2 decay)^2 / 13 leaves a smooth S(r) that equals exp(-x) beyond ``reach`` to
1e-6 of one pair. S has a closed Fourier transform, so charges spread on a mesh with a window of 8 points (exponential of a
semicircle), a fast Fourier transform, and the same window backwards sum it over all firing cells at once. What the
mesh has wrong within ``reach`` (no inhibition below r_o, excitation below r_i, the dropped widths between) has a table
in r^2 and is brought up to date for the cells whose firing changed. Charges and near sums are kept in float64.

The dropped part is (1/2) [e^-x erfc(x/2U - U) - e^x erfc(x/2U + U)] with U = sqrt(s_min), and
S^(k) = 4 sqrt(pi) decay^2 (1 + q)^(-3/2) Gamma(3/2, s_min (1 + q)), q = (decay k)^2.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import fft as _fft
from scipy import special as _special

from devnet.backends.coupling import Coupling
from devnet.backends.numba_.mesh_kernels import WINDOW, near, read, spread

# scipy's own annotations promise less than its functions return.
fft: Any = _fft
special: Any = _special

# Chosen together by a scan of the error over six sheets, lone cells and bumps: at most 6e-7 of the largest drive.
DROP = 13.0
BETA = 18.0
POINTS_PER_REACH = 7.5
SPACINGS_PER_REACH = 6.0
"""Cells further apart than this many mean spacings (or r_o) meet through the mesh alone."""
NEGLIGIBLE = 18.0
"""Decay lengths after which inhibition is nothing: (1 + 18) e^-18 = 3e-7 of a uniform field."""
TABLE = 16_384


class MeshField:
    """Sums the coupling of one sheet; told which cells changed, it gives every cell's drive.

    Args:
        coupling: What is summed.
        threads: Threads to use; the result does not depend on it.
    """

    def __init__(self, coupling: Coupling, threads: int = 1) -> None:
        self.coupling = coupling
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        n = coupling.n
        low, high = coupling.positions.min(axis=0), coupling.positions.max(axis=0)
        extent = np.maximum(high - low, 1e-9)
        spacing = np.sqrt(extent.prod() / n)
        self.reach = max(coupling.r_o, SPACINGS_PER_REACH * spacing)
        self._rank_cells(low, extent)
        self._make_mesh(low, extent)
        self._make_tables()
        self._near = np.zeros(n)
        self._field = np.zeros(n)

    def _make_mesh(self, low: Float[np.ndarray, "2"], extent: Float[np.ndarray, "2"]) -> None:
        h = self.reach / POINTS_PER_REACH
        decay = self.coupling.decay
        s_min = (self.reach / (2 * decay)) ** 2 / DROP
        points = [int(np.ceil(e / h)) + WINDOW + 2 for e in extent[::-1]]
        # Room around the sheet until its periodic images are out of reach of the inhibition.
        wide = [fft.next_fast_len(p + int(np.ceil(NEGLIGIBLE * decay / h)), real=True) for p in points]
        at = (self.coupling.positions[self._order, ::-1] - low[::-1]) / h + WINDOW / 2
        first = np.floor(at).astype(np.int64) - (WINDOW // 2 - 1)
        z = (first[:, :, None] + np.arange(WINDOW) - at[:, :, None]) / (WINDOW / 2)
        self._corner = first.astype(np.int32)
        self._weights = np.exp(BETA * (np.sqrt(np.maximum(1 - z * z, 0)) - 1)).astype(np.float32)
        self._weights[np.abs(z) >= 1] = 0
        k_y = 2 * np.pi * np.fft.fftfreq(wide[0], h)
        k_x = 2 * np.pi * np.fft.rfftfreq(wide[1], h)
        q = decay**2 * (k_y[:, None] ** 2 + k_x[None, :] ** 2)
        upper = special.gammaincc(1.5, s_min * (1 + q)) * special.gamma(1.5)
        smooth = 4 * np.sqrt(np.pi) * decay**2 * (1 + q) ** -1.5 * upper
        window = _window_transform(k_y, h)[:, None] * _window_transform(k_x, h)[None, :]
        influence = smooth * h * h / window**2
        # On a sheet smaller than that room, twice its own size does: cut the kernel there.
        shape = [min(w, fft.next_fast_len(2 * p, real=True)) for w, p in zip(wide, points, strict=True)]
        kernel = fft.irfft2(influence, s=wide)
        for axis, (w, s) in enumerate(zip(wide, shape, strict=True)):
            lags = np.minimum(np.arange(s), s - np.arange(s))
            kernel = np.take(kernel, np.minimum(lags, w - lags), axis=axis)
        self._influence = fft.rfft2(kernel).real.astype(np.float32)
        self._mesh = np.zeros(shape)
        self._u = float(np.sqrt(s_min))

    def _rank_cells(self, low: Float[np.ndarray, "2"], extent: Float[np.ndarray, "2"]) -> None:
        edge = self.reach * (1 + 1e-9)
        x, y = self.coupling.positions.T
        self._columns, self._rows = (int(e / edge) + 1 for e in extent)
        box = ((y - low[1]) / edge).astype(np.int64) * self._columns + ((x - low[0]) / edge).astype(np.int64)
        self._order = np.argsort(box, kind="stable")
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(box))
        self._rank_start = np.searchsorted(box[self._order], np.arange(self._columns * self._rows + 1))
        self._x, self._y = np.ascontiguousarray(x[self._order]), np.ascontiguousarray(y[self._order])
        self._edge, self._low = edge, low

    def _make_tables(self) -> None:
        r = np.sqrt(np.linspace(0, self.reach**2, TABLE + 1))
        x, u = r / self.coupling.decay, self._u
        with np.errstate(over="ignore"):
            dropped = 0.5 * (
                np.exp(-x) * special.erfc(x / (2 * u) - u) - np.exp(x) * special.erfc(x / (2 * u) + u)
            )
        self._outer = np.append(dropped, dropped[-1])
        smooth = np.exp(-x) - dropped
        self._inner = np.append(smooth, smooth[-1])
        # A firing cell meets the smooth potential of its own charge.
        self._own = float(smooth[0])
        self._per_square = TABLE / self.reach**2

    def reset(self) -> None:
        """Forget all charges: no cell fires."""
        self._mesh[:] = 0
        self._near[:] = 0

    def update(self, changed: Any, signs: Any) -> None:
        """Take over changes of firing.

        Args:
            changed: Cells whose firing changed.
            signs: +1 where a cell began to fire, -1 where it stopped.
        """
        if len(changed) == 0:
            return
        spread(self._mesh, self._corner, self._weights, self._place, changed, signs)
        c = self.coupling
        self.split(
            near, self._rows, 1, self._near, self._x, self._y, self._rank_start, self._columns, self._edge, *self._low,
            self._place, changed, signs, c.r_i, c.r_o, self.reach, c.a_i, c.a_o, self._inner, self._outer,
            self._per_square,
        )  # fmt: skip

    def evaluate(self, fired: Any, anybody: bool) -> Float[np.ndarray, " n"]:
        """Return the lateral drive of every cell.

        Args:
            fired: Who fires, as flags.
            anybody: Whether any does; when none does, sums start afresh from exact zeros.

        Returns:
            (n,) drives; the array is reused by the next call.
        """
        if not anybody:
            self.reset()
            self._field[:] = 0
            return self._field
        spectrum = fft.rfft2(self._mesh.astype(np.float32), workers=self.threads)
        spectrum *= self._influence
        potential = fft.irfft2(spectrum, s=self._mesh.shape, workers=self.threads, overwrite_x=True)

        self.split(
            read, len(self._field), 1, self._field, potential, self._corner, self._weights, self._order, self._near,
            fired, self._own, self.coupling.a_o,
        )  # fmt: skip
        return self._field

    def split(self, kernel: Callable[..., None], length: int, multiple: int, *arguments: Any) -> None:
        """Run ``kernel(*arguments, first, last)`` over pieces of ``range(length)``, one a thread.

        Args:
            kernel: What to run; pieces must not touch what other pieces write.
            length: Length of the range.
            multiple: Pieces begin at multiples of this.
            *arguments: The kernel's other arguments.
        """
        if self._pool is None:
            kernel(*arguments, 0, length)
            return
        cuts = [length * t // self.threads // multiple * multiple for t in range(self.threads)] + [length]
        list(self._pool.map(lambda first, last: kernel(*arguments, first, last), cuts[:-1], cuts[1:]))


def _window_transform(k: Float[np.ndarray, " m"], h: float) -> Float[np.ndarray, " m"]:
    """Return the Fourier transform of the window, by Gauss-Legendre quadrature."""
    z, w = np.polynomial.legendre.leggauss(200)
    half = WINDOW / 2 * h
    values = np.exp(BETA * (np.sqrt(1 - z * z) - 1))
    return half * (w * values) @ np.cos(half * np.outer(z, k))
