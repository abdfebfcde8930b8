"""Ways to sum the lateral coupling on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

import torch
from torch import Tensor

from devnet.backends.coupling import Coupling
from devnet.backends.mesh import TABLE, WINDOW, MeshPlan
from devnet.backends.torch_.sums import sum_rows

REFRESH = 1024
"""The field is summed afresh at every step number that this divides, so that sums by changes cannot drift."""
UNIT = 2.0**-40
"""Charges and near sums are whole numbers of this: exact whatever their order, so they cannot drift."""
CHANGES_AT_ONCE = 1 << 12
CELLS_AT_ONCE = 1 << 17


class LateralField(ABC):
    """Sums the coupling over the firing cells, step after step."""

    name: str

    @abstractmethod
    def start(self, fired: Tensor) -> None:
        """Begin with the cells that fire in the step before the first."""

    @abstractmethod
    def step(self, fired: Tensor, step: int) -> Tensor:
        """Return (n,) drives.

        Args:
            fired: (n,), who fires now, as flags.
            step: Number of the step.
        """


@final
class ChangesField(LateralField):
    """Rows of cells whose firing changed are added and subtracted, in one stated order."""

    name = "matrix, updated by changes"

    def __init__(self, matrix: Tensor) -> None:
        self._matrix = matrix

    def start(self, fired: Tensor) -> None:
        """Sum afresh; see ``LateralField``."""
        self._before, self._field = fired, sum_rows(self._matrix, torch.nonzero(fired)[:, 0])

    def step(self, fired: Tensor, step: int) -> Tensor:
        """Sum by the cheaper of two ways; see ``LateralField``."""
        firing = torch.nonzero(fired)[:, 0]
        changed = torch.nonzero(fired ^ self._before)[:, 0]
        if step % REFRESH == 0 or len(changed) >= len(firing):
            self._field = sum_rows(self._matrix, firing)
        else:
            signs = fired[changed].to(self._matrix.dtype) * 2.0 - 1.0
            self._field = self._field + sum_rows(self._matrix, changed, signs)
        self._before = fired
        return self._field


@final
class ProductField(LateralField):
    """A dense matrix product each step, whose rounding depends on device and threads."""

    name = "matrix, dense product"

    def __init__(self, matrix: Tensor) -> None:
        self._matrix = matrix

    def start(self, fired: Tensor) -> None:
        """Remember nothing."""

    def step(self, fired: Tensor, step: int) -> Tensor:
        """Multiply; see ``LateralField``."""
        return self._matrix @ fired.to(self._matrix.dtype)


@final
class MeshField(LateralField):
    """The particle mesh of ``backends.mesh``: memory and cost of order n, off by at most 1e-6 of the largest drive."""

    name = "particle mesh, near cells by changes"

    def __init__(self, coupling: Coupling, like: dict[str, Any]) -> None:
        self._plan = plan = MeshPlan.build(coupling)
        self._dtype = like["dtype"]
        device = like["device"]

        def tensor(array: Any, dtype: torch.dtype) -> Tensor:
            return torch.tensor(array, dtype=dtype, device=device)

        boxes, columns = plan.boxes, plan.points[1]
        self._order, self._rank, self._first = (
            tensor(a, torch.int64) for a in (boxes.order, boxes.rank, boxes.start)
        )
        self._place = torch.stack([tensor(a, torch.float64) for a in (boxes.x, boxes.y)])
        corner = tensor(plan.corner, torch.int64)
        self._row, self._column = corner[:, 0], corner[:, 1]
        self._weights = tensor(plan.weights, torch.float32)
        self._influence = tensor(plan.influence, torch.float32)
        self._inner, self._outer = (tensor(a, torch.float64) for a in (plan.inner, plan.outer))
        steps = torch.arange(WINDOW, device=device)
        self._window = (steps[:, None] * columns + steps[None, :]).reshape(-1)
        self._charge = torch.zeros(plan.points[0] * columns, dtype=torch.int64, device=device)
        self._near = torch.zeros(coupling.n, dtype=torch.int64, device=device)
        self._scale = UNIT * max(abs(coupling.a_i), abs(coupling.a_o))

    def start(self, fired: Tensor) -> None:
        """Forget all, then take over who fires; see ``LateralField``."""
        self._charge.zero_()
        self._near.zero_()
        self._before = torch.zeros_like(fired)
        self._update(fired)

    def step(self, fired: Tensor, step: int) -> Tensor:
        """Take over changes and read the drives off the mesh; see ``LateralField``."""
        self._update(fired)
        plan, (rows, columns) = self._plan, self._plan.points
        charge = (self._charge.view(rows, columns).to(torch.float64) * UNIT).to(torch.float32)
        spectrum = torch.fft.rfft2(charge, s=plan.shape) * self._influence
        potential = torch.fft.irfft2(spectrum, s=plan.shape)[:rows, :columns]
        windows = potential.unfold(0, WINDOW, 1).unfold(1, WINDOW, 1)
        values: list[Tensor] = []
        for first in range(0, len(self._row), CELLS_AT_ONCE):
            cells = slice(first, first + CELLS_AT_ONCE)
            terms = windows[self._row[cells], self._column[cells]] * self._weights[cells, 1, None, :]
            values.append(_halve(_halve(terms) * self._weights[cells, 0]))
        own = fired[self._order].to(torch.float64) * plan.own
        drive = self._near * self._scale - plan.coupling.a_o * (torch.cat(values).to(torch.float64) - own)
        return drive[self._rank].to(self._dtype)

    def _update(self, fired: Tensor) -> None:
        changed = torch.nonzero(fired ^ self._before)[:, 0]
        signs = torch.where(fired[changed], 1, -1)
        self._before = fired
        for first in range(0, len(changed), CHANGES_AT_ONCE):
            some = slice(first, first + CHANGES_AT_ONCE)
            self._spread(self._rank[changed[some]], signs[some])
            self._correct(self._rank[changed[some]], signs[some])

    def _spread(self, source: Tensor, signs: Tensor) -> None:
        weights = self._weights[source].to(torch.float64)
        share = torch.round(weights[:, 0, :, None] * weights[:, 1, None, :] / UNIT).to(torch.int64)
        at = (self._row * self._plan.points[1] + self._column)[source, None] + self._window
        self._charge.index_add_(0, at.view(-1), (share.view(len(source), -1) * signs[:, None]).view(-1))

    def _correct(self, source: Tensor, signs: Tensor) -> None:
        plan, boxes, c = self._plan, self._plan.boxes, self._plan.coupling
        here = self._place[:, source]
        column, row = (((here[a] - boxes.low[a]) / boxes.edge).to(torch.int64) for a in (0, 1))
        # Cells of three boxes side by side follow one another: three runs of ranks a source.
        rows = row[:, None] + torch.arange(-1, 2, device=row.device)
        inside = (rows >= 0) & (rows < boxes.rows)
        line = rows.clamp(0, boxes.rows - 1) * boxes.columns
        left = (column - 1).clamp(min=0)[:, None]
        right = (column + 1).clamp(max=boxes.columns - 1)[:, None]
        first = self._first[line + left].view(-1)
        count = torch.where(inside, self._first[line + right + 1] - self._first[line + left], 0).view(-1)
        run = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
        target = torch.arange(len(run), device=run.device) + (first - torch.cumsum(count, 0) + count)[run]
        pair = run // 3
        x, y = self._place[:, target] - here[:, pair]
        square = x * x + y * y
        keep = (square < plan.reach**2) & (target != source[pair])
        square, target, pair = square[keep], target[keep], pair[keep]
        at = square * plan.per_square
        index = at.to(torch.int64).clamp(max=TABLE)
        rest = at - index
        inner, outer = (t[index] + rest * (t[index + 1] - t[index]) for t in (self._inner, self._outer))
        value = torch.where(square <= c.r_o**2, inner, -outer) * c.a_o + (square < c.r_i**2) * c.a_i
        self._near.index_add_(0, target, torch.round(value / self._scale).to(torch.int64) * signs[pair])


def _halve(terms: Tensor) -> Tensor:
    """Sum over the last axis, of length ``WINDOW``, by adding its second half to its first."""
    while terms.shape[-1] > 1:
        half = terms.shape[-1] // 2
        terms = terms[..., :half] + terms[..., half:]
    return terms[..., 0]
