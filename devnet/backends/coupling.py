"""The lateral coupling of a sheet, resolved to the sheet's own lengths, and its dense matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from devnet._core.errors import ResourceError
from devnet.sheet import PLANE, Sheet, Surface
from devnet.spec import CouplingSpec

MAX_DENSE = 20_000
"""Most cells whose coupling is kept as a matrix (3.2 GB in float64)."""


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
    """

    positions: Float[np.ndarray, "n 2"]
    r_i: float
    r_o: float
    a_i: float
    a_o: float
    decay: float
    surface: Surface = PLANE

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
        if self.n > MAX_DENSE:
            raise ResourceError(
                f"field: {self.n} cells are more than {MAX_DENSE}, the most whose coupling fits a matrix; "
                "use field='fast' on a sheet of the plane"
            )
        distance = self.surface.distances(self.positions, self.positions)
        matrix = np.exp(distance / -self.decay)
        matrix *= -self.a_o
        matrix[distance <= self.r_o] = 0.0
        matrix[distance < self.r_i] += self.a_i
        np.fill_diagonal(matrix, 0.0)
        return matrix

    @cached_property
    def rounded_matrix(self) -> Float[np.ndarray, "n n"]:
        """The matrix in float32: half the memory to read, each entry off by at most 6e-8 of itself."""
        return self.matrix.astype(np.float32)
