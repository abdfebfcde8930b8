"""The particle mesh of ``backends.mesh``, carried out by compiled kernels and scipy's Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from devnet.backends.coupling import Coupling
from devnet.backends.mesh import MeshPlan, fft
from devnet.backends.numba_.mesh_kernels import near, read, spread
from devnet.backends.numba_.team import Team

LANES = 16
"""Transforms are dealt out in multiples of so many: at most that many are done side by side in one register."""


class MeshField:
    """Sums the coupling of one sheet; told which cells changed, it gives every cell's drive.

    Args:
        coupling: What is summed.
        team: Threads to use; the result does not depend on how many.
    """

    def __init__(self, coupling: Coupling, team: Team) -> None:
        self.coupling = coupling
        self._team = team
        self._plan = plan = MeshPlan.build(coupling)
        (rows, columns), (_, width) = plan.points, plan.shape
        self._charge = np.zeros((rows, columns))
        self._spectrum = np.empty((rows, width // 2 + 1), np.complex64)
        self._potential = np.empty((rows, columns), np.float32)
        self._base = (plan.corner[:, 0].astype(np.int64) * columns + plan.corner[:, 1]).astype(np.int32)
        self._near = np.zeros(coupling.n)
        self._field = np.zeros(coupling.n)

    def reset(self) -> None:
        """Forget all charges: no cell fires."""
        self._charge[:] = 0
        self._near[:] = 0

    def update(self, changed: Any, signs: Any) -> None:
        """Take over changes of firing.

        Args:
            changed: Cells whose firing changed.
            signs: +1 where a cell began to fire, -1 where it stopped.
        """
        plan, c, boxes = self._plan, self.coupling, self._plan.boxes

        def correct(part: int) -> None:
            near(
                self._near, boxes.x, boxes.y, boxes.start, boxes.rows, boxes.columns, boxes.edge, *boxes.low, boxes.rank,
                changed, signs, c.r_i, c.r_o, plan.reach, c.a_i, c.a_o, plan.inner, plan.outer, plan.per_square, part,
                self._team.size,
            )  # fmt: skip

        if len(changed) > 0:
            spread(self._charge, self._base, plan.weights, boxes.rank, changed, signs)
            self._team.share(correct)

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
        plan, team, spectrum, potential = self._plan, self._team, self._spectrum, self._potential
        (rows, columns), (height, width) = plan.points, plan.shape

        def along_rows(part: int) -> None:
            first, last = team.piece(part, rows, LANES)
            charge = self._charge[first:last].astype(np.float32)
            spectrum[first:last] = fft.rfft(charge, n=width, axis=1, overwrite_x=True)

        def along_columns(part: int) -> None:
            first, last = team.piece(part, width // 2 + 1, LANES)
            values = fft.fft(spectrum[:, first:last], n=height, axis=0)
            values *= plan.influence[:, first:last]
            spectrum[:, first:last] = fft.ifft(values, axis=0, overwrite_x=True)[:rows]

        def back_along_rows(part: int) -> None:
            first, last = team.piece(part, rows, LANES)
            potential[first:last] = fft.irfft(spectrum[first:last], n=width, axis=1)[:, :columns]

        def at_cells(part: int) -> None:
            read(
                self._field, potential.reshape(-1), columns, self._base, plan.weights, plan.boxes.order, self._near,
                fired, plan.own, self.coupling.a_o, *team.piece(part, len(self._field), 1),
            )  # fmt: skip

        for stage in (along_rows, along_columns, back_along_rows, at_cells):
            team.share(stage)
        return self._field
