"""Long-range inhibition by a particle mesh: cost O(N + changes k), error below 1e-6. The plan; backends carry it out.

With x = r / decay,

    exp(-x) = pi^-1/2 int_0^inf s^-1/2 exp(-s - x^2 / 4s) ds.

Dropping the widths s < s_min = (reach / 2 decay)^2 / 13 leaves a smooth S(r) that equals exp(-x) beyond ``reach`` to
1e-6 of one pair. S has a closed Fourier transform, so charges spread on a mesh with a window of 8 points (exponential of a
semicircle), a fast Fourier transform, and the same window backwards sum it over all firing cells at once. What the
mesh has wrong within ``reach`` (no inhibition below r_o, excitation below r_i, the dropped widths between) has a table
in r^2 and is brought up to date for the cells whose firing changed. Charges and near sums are kept without drift.

The dropped part is (1/2) [e^-x erfc(x/2U - U) - e^x erfc(x/2U + U)] with U = sqrt(s_min), and
S^(k) = 4 sqrt(pi) decay^2 (1 + q)^(-3/2) Gamma(3/2, s_min (1 + q)), q = (decay k)^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import fft as _fft
from scipy import special as _special

from devnet._core.errors import ResourceError
from devnet.backends.coupling import Coupling

# scipy's own annotations promise less than its functions return.
fft: Any = _fft
special: Any = _special

MESH_FROM = 8_000
"""Cells from which the fast field of a sheet of the plane is a particle mesh; below, a matrix is faster."""
WINDOW = 8
"""Mesh points that one cell touches along each axis."""
# Chosen together by a scan of the error over six sheets, lone cells and bumps: at most 6e-7 of the largest drive.
DROP = 13.0
BETA = 18.0
POINTS_PER_REACH = 7.5
SPACINGS_PER_REACH = 6.0
"""Cells further apart than this many mean spacings (or r_o) meet through the mesh alone."""
NEGLIGIBLE = 18.0
"""Decay lengths after which inhibition is nothing: (1 + 18) e^-18 = 3e-7 of a uniform field."""
MAX_POINTS = 2**27
"""Of a mesh: 1 GB of float64 each of a few times."""
TABLE = 16_384


@dataclass(frozen=True, eq=False)
class Boxes:
    """Cells ranked by square boxes of side ``edge``, row by row, so that near ones lie near in memory.

    Attributes:
        edge: Side of a box, a little more than the reach.
        low: Where the first box begins.
        rows: Rows of boxes.
        columns: Boxes in a row.
        order: (n,), the cell of each rank.
        rank: (n,), the rank of each cell.
        start: (boxes + 1,), first rank of each box.
        x: (n,), by rank.
        y: (n,), by rank.
    """

    edge: float
    low: tuple[float, float]
    rows: int
    columns: int
    order: Int[np.ndarray, " n"]
    rank: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " m"]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]

    @classmethod
    def build(cls, positions: Float[np.ndarray, "n 2"], reach: float) -> Boxes:
        """Rank cells."""
        low, extent = _frame(positions)
        edge = reach * (1 + 1e-9)
        x, y = positions.T
        columns, rows = (int(e / edge) + 1 for e in extent)
        box = ((y - low[1]) / edge).astype(np.int64) * columns + ((x - low[0]) / edge).astype(np.int64)
        order = np.argsort(box, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(box))
        start = np.searchsorted(box[order], np.arange(columns * rows + 1))
        at = np.ascontiguousarray(positions[order].T)
        return cls(edge, (float(low[0]), float(low[1])), rows, columns, order, rank, start, at[0], at[1])


@dataclass(frozen=True, eq=False)
class MeshPlan:
    """All of the mesh method that does not change while a sheet runs.

    Attributes:
        coupling: What is summed.
        reach: Distance within which the mesh is corrected pair by pair.
        boxes: Ranks of the cells. All arrays over cells are by rank.
        corner: (n, 2), first mesh row and column that a cell touches.
        weights: (n, 2, WINDOW), its share in rows and in columns.
        points: Rows and columns of the mesh that cells touch.
        shape: Rows and columns of the periodic mesh, room around the sheet included.
        influence: (shape[0], shape[1] // 2 + 1), what a spectrum of charges is multiplied with.
        inner: (TABLE + 2,), over r^2: what is to be given back within r_o.
        outer: Likewise: what is to be taken away beyond r_o.
        own: What a firing cell meets of its own charge.
    """

    coupling: Coupling
    reach: float
    boxes: Boxes
    corner: Int[np.ndarray, "n 2"]
    weights: Float[np.ndarray, "n 2 w"]
    points: tuple[int, int]
    shape: tuple[int, int]
    influence: Float[np.ndarray, "h w"]
    inner: Float[np.ndarray, " t"]
    outer: Float[np.ndarray, " t"]
    own: float

    @classmethod
    def build(cls, coupling: Coupling) -> MeshPlan:
        """Plan the mesh of a sheet.

        Args:
            coupling: What is to be summed.

        Returns:
            The plan.
        """
        low, extent = _frame(coupling.positions)
        reach = max(coupling.r_o, SPACINGS_PER_REACH * float(np.sqrt(extent.prod() / coupling.n)))
        h = reach / POINTS_PER_REACH
        s_min = (reach / (2 * coupling.decay)) ** 2 / DROP
        boxes = Boxes.build(coupling.positions, reach)
        at = (coupling.positions[boxes.order, ::-1] - low[::-1]) / h + WINDOW / 2
        first = np.floor(at).astype(np.int64) - (WINDOW // 2 - 1)
        z = (first[:, :, None] + np.arange(WINDOW) - at[:, :, None]) / (WINDOW / 2)
        weights = np.exp(BETA * (np.sqrt(np.maximum(1 - z * z, 0)) - 1)).astype(np.float32)
        weights[np.abs(z) >= 1] = 0
        columns, rows = (int(np.ceil(e / h)) + WINDOW + 2 for e in extent)
        influence, shape = _influence(coupling.decay, s_min, h, (rows, columns))
        inner, outer = _tables(coupling.decay, np.sqrt(s_min), reach)
        return cls(
            coupling, reach, boxes, first.astype(np.int32), weights, (rows, columns), shape, influence, inner, outer, float(inner[0])
        )  # fmt: skip

    @property
    def per_square(self) -> float:
        """Table entries a unit of r^2."""
        return TABLE / self.reach**2


def _frame(positions: Float[np.ndarray, "n 2"]) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Return the lower left corner of the cells and the extents."""
    low = positions.min(axis=0)
    return low, np.maximum(positions.max(axis=0) - low, 1e-9)


def _influence(
    decay: float, s_min: float, h: float, points: tuple[int, int]
) -> tuple[Float[np.ndarray, "h w"], tuple[int, int]]:
    """Return the transform of S over that of two windows, and the shape of the mesh."""
    # Room around the sheet until its periodic images are out of reach of the inhibition.
    wide = [fft.next_fast_len(p + int(np.ceil(NEGLIGIBLE * decay / h)), real=True) for p in points]
    if wide[0] * wide[1] > MAX_POINTS:
        raise ResourceError(
            f"field: inhibition that decays over {decay:g} asks for a mesh of {wide[0]} x {wide[1]} points, more than "
            f"{MAX_POINTS}; use a shorter decay, or field='exact'"
        )
    k_y = 2 * np.pi * np.fft.fftfreq(wide[0], h)
    k_x = 2 * np.pi * np.fft.rfftfreq(wide[1], h)
    q = decay**2 * (k_y[:, None] ** 2 + k_x[None, :] ** 2)
    upper = special.gammaincc(1.5, s_min * (1 + q)) * special.gamma(1.5)
    smooth = 4 * np.sqrt(np.pi) * decay**2 * (1 + q) ** -1.5 * upper
    window = _window_transform(k_y, h)[:, None] * _window_transform(k_x, h)[None, :]
    # On a sheet smaller than that room, twice its own size does: cut the kernel there.
    shape = [min(w, fft.next_fast_len(2 * p, real=True)) for w, p in zip(wide, points, strict=True)]
    kernel = fft.irfft2(smooth * h * h / window**2, s=wide)
    for axis, (w, s) in enumerate(zip(wide, shape, strict=True)):
        lags = np.minimum(np.arange(s), s - np.arange(s))
        kernel = np.take(kernel, np.minimum(lags, w - lags), axis=axis)
    return fft.rfft2(kernel).real.astype(np.float32), (shape[0], shape[1])


def _window_transform(k: Float[np.ndarray, " m"], h: float) -> Float[np.ndarray, " m"]:
    """Return the Fourier transform of the window, by Gauss-Legendre quadrature."""
    z, w = np.polynomial.legendre.leggauss(200)
    half = WINDOW / 2 * h
    values = np.exp(BETA * (np.sqrt(1 - z * z) - 1))
    return half * (w * values) @ np.cos(half * np.outer(z, k))


def _tables(decay: float, u: float, reach: float) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Return S and the dropped part over r^2 from 0 to reach^2, the last entry twice."""
    r = np.sqrt(np.linspace(0, reach**2, TABLE + 1))
    x = np.append(r, r[-1]) / decay
    with np.errstate(over="ignore"):
        dropped = 0.5 * (
            np.exp(-x) * special.erfc(x / (2 * u) - u) - np.exp(x) * special.erfc(x / (2 * u) + u)
        )
    return np.exp(-x) - dropped, dropped
