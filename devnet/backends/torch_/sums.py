"""Sums of tensors in one stated order, because torch's own depend on the number of threads and on the device."""

from __future__ import annotations

from torch import Tensor

ROWS = 256
"""Most rows of a matrix gathered at a time."""


def fold(rows: Tensor) -> Tensor:
    """Sum over the first axis by adding its second half to its first, again and again."""
    if len(rows) == 0:
        return rows.new_zeros(rows.shape[1:])
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = rows[:half] + rows[half : 2 * half]
        if len(rows) % 2:
            pairs[0] += rows[-1]
        rows = pairs
    return rows[0]


def sum_rows(matrix: Tensor, index: Tensor, signs: Tensor | None = None) -> Tensor:
    """Sum rows of a matrix, each with its sign, in an order that depends on their number alone."""
    result = matrix.new_zeros(matrix.shape[1:])
    for first in range(0, len(index), ROWS):
        part = matrix[index[first : first + ROWS]]
        if signs is not None:
            part = part * signs[first : first + ROWS, None]
        result = result + fold(part)
    return result
