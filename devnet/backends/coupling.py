"""The lateral coupling of a sheet, resolved to the sheet's own lengths, and its dense matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from devnet._core.errors import ResourceError
from devnet.sheet import PLANE, Sheet, Surface
from devnet.spec import CouplingSpec

MAX_DENSE = 20_000
"""Most cells whose coupling is kept as a matrix (3.2 GB in float64)."""
_ROWS = 32
"""Rows of the matrix that are made at once: what lies between distance and coupling then stays in the cache."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """S_ij = a_i [D < r_i] - a_o [D > r_o] exp(-D / decay), S_ii = 0, D the distance of cells i and j.

    Attributes:
        positions: (n, 2), places of the cells.
        r_i: Radius of excitation, in the sheet's length.
        r_o: Radius beyond which cells inhibit, in the sheet's length.
        a_i: Strength of excitation.
        a_o: Strength of inhibition.
        decay: Decay length of inhibition, in the sheet's length.
        surface: Along what distances are measured.
        distances: D, where it is held because the constants are changed again and again; else it is computed, three
            quarters of a matrix's time, and not kept.
    """

    positions: Float[np.ndarray, "n 2"]
    r_i: float
    r_o: float
    a_i: float
    a_o: float
    decay: float
    surface: Surface = PLANE
    distances: Float[np.ndarray, "n n"] | None = None

    @classmethod
    def build(cls, sheet: Sheet, spec: CouplingSpec) -> Coupling:
        """Resolve a spec's lengths on a sheet: as they are, or times the sheet's mean spacing."""
        unit = sheet.spacing if spec.length_unit == "spacing" else 1.0
        lengths = (spec.r_i * unit, spec.r_o * unit, spec.a_i, spec.a_o, spec.decay * unit)
        return cls(sheet.positions, *lengths, sheet.scaffold.surface)

    @property
    def n(self) -> int:
        """Number of cells."""
        return len(self.positions)

    @property
    def absent(self) -> bool:
        """Whether cells do not act on one another at all."""
        return self.a_i == self.a_o == 0

    @property
    def places(self) -> Float[np.ndarray, "n d"]:
        """(n, d), places of the cells in space in units of r_o; of the sheet's length where r_o is 0."""
        return self.surface.lift(self.positions) / (self.r_o or 1.0)

    @cached_property
    def matrix(self) -> Float[np.ndarray, "n n"]:
        """(n, n) symmetric matrix S in float64.

        Raises:
            ResourceError: There are more cells than a matrix can hold.
        """
        return self._matrix(np.float64)

    @cached_property
    def rounded_matrix(self) -> Float[np.ndarray, "n n"]:
        """The matrix in float32: half the memory to read, each entry off by at most 6e-8 of itself.

        Raises:
            ResourceError: As for ``matrix``.
        """
        return self._matrix(np.float32)

    def _matrix(self, dtype: type[np.floating[Any]]) -> Float[np.ndarray, "n n"]:
        if self.n > MAX_DENSE:
            raise ResourceError(
                f"field: {self.n} cells are more than {MAX_DENSE}, the most whose coupling fits a matrix; "
                "use field='fast' on a sheet of the plane"
            )
        matrix = np.empty((self.n, self.n), dtype)
        for first in range(0, self.n, _ROWS):
            rows = slice(first, first + _ROWS)
            if self.distances is None:
                distance = self.surface.distances(self.positions[rows], self.positions)
            else:
                distance = self.distances[rows]
            values = np.exp(distance / -self.decay)
            values *= -self.a_o
            values *= distance > self.r_o
            values += self.a_i * (distance < self.r_i)
            matrix[rows] = values
        np.fill_diagonal(matrix, 0.0)
        return matrix
