"""Kernels of the particle mesh: spread changes, correct near neighbors, read the potential off the mesh."""

from __future__ import annotations

import numpy as np

from devnet._core.compile import jit

WINDOW = 8
"""Mesh points that one cell touches along each axis."""


@jit()
def spread(mesh, corner, weights, place, changed, signs):
    """Add ``signs`` at the places of the changed cells to the charge on the mesh."""
    for c in range(len(changed)):
        p = place[changed[c]]
        row, column = corner[p, 0], corner[p, 1]
        for a in range(WINDOW):
            up = signs[c] * np.float64(weights[p, 0, a])
            for b in range(WINDOW):
                mesh[row + a, column + b] += up * np.float64(weights[p, 1, b])


@jit()
def near(
    total, x, y, rank_start, columns, edge, low_x, low_y, place, changed, signs, r_i, r_o, reach, a_i, a_o, inner,
    outer, per_square, first_row, last_row,
):  # fmt: skip
    """Add what the mesh has wrong within ``reach`` of the changed cells, to the cells of some rows of boxes.

    Cells are ranked by box (row by row); ``x``, ``y``, ``total`` are in that order and ``place`` gives a cell's rank.
    ``inner`` and ``outer`` are tables over r^2 of what to give back within r_o and to take away beyond it.
    """
    inner_square, outer_square, reach_square = r_i * r_i, r_o * r_o, reach * reach
    for c in range(len(changed)):
        source = place[changed[c]]
        sx, sy, sign = x[source], y[source], np.float64(signs[c])
        row, column = int((sy - low_y) / edge), int((sx - low_x) / edge)
        for box_row in range(max(row - 1, first_row), min(row + 2, last_row)):
            start = rank_start[box_row * columns + max(column - 1, 0)]
            stop = rank_start[box_row * columns + min(column + 1, columns - 1) + 1]
            for p in range(start, stop):
                dx, dy = x[p] - sx, y[p] - sy
                square = dx * dx + dy * dy
                if square >= reach_square or p == source:
                    continue
                at = square * per_square
                index = int(at)
                rest = at - index
                if square <= outer_square:
                    value = a_o * (inner[index] + rest * (inner[index + 1] - inner[index]))
                else:
                    value = -a_o * (outer[index] + rest * (outer[index + 1] - outer[index]))
                if square < inner_square:
                    value += a_i
                total[p] += sign * value


@jit()
def read(field, potential, corner, weights, order, total, fired, own, a_o, first, last):
    """Write the lateral drive of the cells of ranks ``first..last-1``: mesh part, near part, without themselves.

    Eight sums side by side, one a column of the window, become one vector register; their order is fixed.
    """
    zero = np.float32(0)
    for p in range(first, last):
        row, column = corner[p, 0], corner[p, 1]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
        for a in range(WINDOW):
            w = weights[p, 0, a]
            line = potential[row + a, column : column + WINDOW]
            s0 += w * line[0]
            s1 += w * line[1]
            s2 += w * line[2]
            s3 += w * line[3]
            s4 += w * line[4]
            s5 += w * line[5]
            s6 += w * line[6]
            s7 += w * line[7]
        x = weights[p, 1]
        left = (s0 * x[0] + s1 * x[1]) + (s2 * x[2] + s3 * x[3])
        value = left + ((s4 * x[4] + s5 * x[5]) + (s6 * x[6] + s7 * x[7]))
        cell = order[p]
        mine = own if fired[cell] else 0.0
        field[cell] = total[p] - a_o * (np.float64(value) - mine)
