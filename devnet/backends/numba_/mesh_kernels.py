"""Kernels of the particle mesh: spread changes, correct near neighbors, read the potential off the mesh."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from devnet._core.compile import jit
from devnet.backends.mesh import WINDOW


@jit()
def spread(charge, base, weights, rank, changed, signs):
    """Add ``signs`` at the places of the changed cells to the charge on the mesh; ``base`` is flat."""
    flat, columns = charge.reshape(-1), charge.shape[1]
    for c in range(len(changed)):
        p = rank[changed[c]]
        for a in range(WINDOW):
            up = signs[c] * np.float64(weights[p, 0, a])
            at = base[p] + a * columns
            for b in range(WINDOW):
                flat[at + b] += up * np.float64(weights[p, 1, b])


@jit()
def near(
    total, x, y, start, rows, columns, edge, low_x, low_y, rank, changed, signs, r_i, r_o, reach, a_i, a_o, inner,
    outer, per_square, part, parts,
):  # fmt: skip
    """Add what the mesh has wrong within ``reach`` of the changed cells, to every ``parts``-th row of boxes.

    Cells are ranked by box (row by row); ``x``, ``y``, ``total`` are in that order and ``rank`` gives a cell's rank.
    ``inner`` and ``outer`` are tables over r^2 of what to give back within r_o and to take away beyond it.
    """
    inner_square, outer_square, reach_square = r_i * r_i, r_o * r_o, reach * reach
    for c in range(len(changed)):
        source = rank[changed[c]]
        sx, sy, sign = x[source], y[source], np.float64(signs[c])
        row, column = int((sy - low_y) / edge), int((sx - low_x) / edge)
        for box_row in range(max(row - 1, 0), min(row + 2, rows)):
            if box_row % parts != part:
                continue
            first = start[box_row * columns + max(column - 1, 0)]
            last = start[box_row * columns + min(column + 1, columns - 1) + 1]
            for p in range(first, last):
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


@intrinsic
def _window_sum(typingctx, potential, base, columns, weights, first):
    # A window of the potential times a cell's weights, in one stated order: sum_a w_a V[a, :], times the weights of the
    # columns, then ((0+1) + (2+3)) + ((4+5) + (6+7)). Vector instructions written out, because the compiler left it one
    # number at a time, three times slower.
    def codegen(context, builder, signature, args):
        vector, index = ir.VectorType(ir.FloatType(), WINDOW), ir.IntType(32)

        def load(array, at):
            pointer = context.make_array(signature.args[array])(context, builder, args[array]).data
            lanes = builder.load(builder.bitcast(builder.gep(pointer, [at]), vector.as_pointer()))
            lanes.align = 4
            return lanes

        def pick(lanes, places):
            mask = ir.Constant(ir.VectorType(index, len(places)), places)
            return builder.shuffle_vector(lanes, ir.Constant(lanes.type, ir.Undefined), mask)

        at, first = args[1], args[4]
        by_row = load(3, first)
        by_column = load(3, builder.add(first, ir.Constant(first.type, WINDOW)))
        total = builder.fmul(load(0, at), pick(by_row, [0] * WINDOW))
        for a in range(1, WINDOW):
            at = builder.add(at, args[2])
            total = builder.fadd(total, builder.fmul(load(0, at), pick(by_row, [a] * WINDOW)))
        total = builder.fmul(total, by_column)
        for half in (4, 2, 1):
            even, odd = range(0, 2 * half, 2), range(1, 2 * half, 2)
            total = builder.fadd(pick(total, list(even)), pick(total, list(odd)))
        return builder.extract_element(total, ir.Constant(index, 0))

    return types.float32(potential, types.int64, types.int64, weights, types.int64), codegen


@jit()
def read(field, potential, columns, base, weights, order, total, fired, own, a_o, first, last):
    """Write the lateral drive of the cells of ranks ``first..last-1``: mesh part, near part, without themselves."""
    flat = weights.reshape(-1)
    for p in range(first, last):
        at = np.int64(base[p])
        value = _window_sum(potential, at, columns, flat, np.int64(2 * WINDOW * p))  # pyright: ignore[reportCallIssue]
        cell = order[p]
        mine = own if fired[cell] else 0.0
        field[cell] = total[p] - a_o * (np.float64(value) - mine)
