"""The compiled part of wave statistics: takes spikes in order, closes frame after frame, follows parts of firing cells.

Sums run in the order of the spikes and go on where the chunk before left them, so cutting a recording changes no bit.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from devnet._core.compile import jit

FRAME_COLUMNS = 4
"""Of a frame with a wave: centroid (2), quantile of the distances to it, root mean square distance."""
BODY_COLUMNS = 7
"""Of a body: frame, cells, centroid (2), quantile of the distances, root mean square distance, speed (NaN: unknown)."""


@register_jitable
def _spread(positions, cells, x, y, quantile):
    """Return a quantile (linear interpolation) and the root mean square of the distances of cells to a point."""
    distance = np.empty(len(cells))
    square = 0.0
    for a in range(len(cells)):
        dx, dy = positions[cells[a], 0] - x, positions[cells[a], 1] - y
        square += dx * dx + dy * dy
        distance[a] = np.sqrt(dx * dx + dy * dy)
    distance.sort()
    place = quantile * (len(cells) - 1)
    below = int(place)
    above = min(below + 1, len(cells) - 1)
    return distance[below] + (place - below) * (distance[above] - distance[below]), np.sqrt(
        square / len(cells)
    )


@register_jitable
def _room(table, rows):
    """Return the table, with twice the room where it is full."""
    if rows < len(table):
        return table
    larger = np.empty((2 * len(table) + 8, table.shape[1]))
    larger[:rows] = table[:rows]
    return larger


@register_jitable
def _divide(cells, stamp, now, part, first, link_end, partner, order):
    """Number the connected parts of a frame's cells and list the cells part by part; returns the parts' ends."""
    ends = np.empty(len(cells), np.int64)
    parts = 0
    done = 0
    for a in range(len(cells)):
        if part[cells[a]] >= 0:
            continue
        order[done] = cells[a]
        part[cells[a]] = parts
        head = done
        done += 1
        while head < done:
            i = order[head]
            head += 1
            for k in range(first[i], link_end[i]):
                j = partner[k]
                if stamp[j] == now and part[j] < 0:
                    part[j] = parts
                    order[done] = j
                    done += 1
        ends[parts] = done
        parts += 1
    return ends[:parts]


@register_jitable
def _touches(cells, in_wave, before, first, partner):
    """Say whether one of the cells, or one within reach of them, belonged to a wave in the frame before."""
    for i in cells:
        if in_wave[i] == before:
            return True
    for i in cells:
        for k in range(first[i], first[i + 1]):
            if in_wave[partner[k]] == before:
                return True
    return False


@register_jitable
def _origin(cells, body_of, body_frame, before, claimed, number):
    """Return the one body of the frame before that shares cells with this one, or -1; and claim all that do."""
    origin = -1
    for i in cells:
        if body_frame[i] == before:
            b = body_of[i]
            if claimed[b] == -1:
                claimed[b] = number
            elif claimed[b] != number:
                claimed[b] = -2
            if origin == -1:
                origin = b
            elif origin != b:
                origin = -2
    return max(origin, -1)


@register_jitable
def _center(positions, cells):
    """Return the centroid of cells."""
    x = y = 0.0
    for i in cells:
        x += positions[i, 0]
        y += positions[i, 1]
    return x / len(cells), y / len(cells)


@register_jitable
def _judge(
    frame,
    order,
    ends,
    large,
    positions,
    quantile,
    first,
    partner,
    in_wave,
    of_wave,
    table,
    rows,
    starts,
    started,
):
    """Find out which parts belong to waves, measure the bodies, note where waves start."""
    begin = 0
    for p in range(len(ends)):
        mine = order[begin : ends[p]]
        begin = ends[p]
        led = _touches(mine, in_wave, frame + 1, first, partner)
        of_wave[p] = led or len(mine) > large
        if len(mine) <= large:
            continue
        x, y = _center(positions, mine)
        if not led:
            starts = _room(starts, started)
            starts[started, 0], starts[started, 1], starts[started, 2] = frame, x, y
            started += 1
        table = _room(table, rows)
        row = table[rows]
        row[0], row[1], row[2], row[3], row[6] = frame, len(mine), x, y, np.nan
        row[4], row[5] = _spread(positions, mine, x, y, quantile)
        rows += 1
    return table, rows, starts, started


@register_jitable
def _trace(before, order, ends, large, body_of, body_frame, centers, held, bodies, window):
    """Write into each body's row how fast it came from the one body of the frame before that it shares cells with."""
    claimed = np.full(held, -1, np.int64)
    origins = np.empty(len(bodies), np.int64)
    begin = body = 0
    for end in ends:
        if end - begin > large:
            origins[body] = _origin(order[begin:end], body_of, body_frame, before, claimed, body)
            body += 1
        begin = end
    for b in range(len(bodies)):
        origin = origins[b]
        if origin >= 0 and claimed[origin] == b:
            dx, dy = bodies[b, 2] - centers[origin, 0], bodies[b, 3] - centers[origin, 1]
            bodies[b, 6] = np.sqrt(dx * dx + dy * dy) / window
    centers[: len(bodies)] = bodies[:, 2:4]


@register_jitable
def _remember(now, order, ends, large, of_wave, in_wave, body_of, body_frame, visits):
    """Write for each cell what the next frame will ask, and count visits."""
    begin = body = 0
    for p in range(len(ends)):
        mine = order[begin : ends[p]]
        begin = ends[p]
        if not of_wave[p]:
            continue
        for i in mine:
            visits[i] += in_wave[i] != now - 1
            in_wave[i] = now
        if len(mine) > large:
            for i in mine:
                body_of[i] = body
                body_frame[i] = now
            body += 1


@register_jitable
def _sum_up(bodies, totals):
    for row in bodies:
        totals[0] += 1
        totals[1] += row[1]
        totals[2] += row[4]
        if not np.isnan(row[6]):
            totals[3] += 1
            totals[4] += row[6]


@jit()
def follow(
    time, cell, steps, window, quantile, busy, large, positions, first, link_end, partner,
    at, members, stamp, part, in_wave, body_of, body_frame, centers, visits, totals,
):  # fmt: skip
    """Take the spikes of some steps and close every frame that they complete.

    Frame number g is stamped g + 2; 0 stands for never. Everything from ``at`` on is carried from call to call.

    Args:
        time: (K,), step of each spike from this call's first, ascending.
        cell: (K,).
        steps: Steps of this call.
        window: Steps in a frame.
        quantile: Which quantile of the distances is a radius.
        busy: A frame has a wave when more than so many cells are active,
        large: or when it holds a body: a part of more than so many cells.
        positions: (n, 2).
        first: (n + 1,), where the partners of a cell begin.
        link_end: (n,), where its linked partners end; the others are within reach only.
        partner: The partners.
        at: Steps and members of the open frame, its number, bodies of the frame before.
        members: (n,), cells of the open frame.
        stamp: (n,), frame of which a cell is a member.
        part: (n,), its part there.
        in_wave: (n,), last frame in which it belonged to a wave.
        body_of: (n,), its body in frame ``body_frame``.
        body_frame: (n,).
        centers: (most bodies, 2), centroids of the bodies of the frame before.
        visits: (n,), how often it began to belong to a wave.
        totals: Sums over bodies: bodies, cells, radii, known speeds, their sum.

    Returns:
        Active cells and bodies of each closed frame, whether it has a wave, its row of numbers; the bodies; where waves
        started: (frame, x, y).
    """
    frames = (at[0] + steps) // window
    active, bodies = np.zeros(frames, np.int64), np.zeros(frames, np.int64)
    has_wave, numbers = np.zeros(frames, np.bool_), np.zeros((frames, FRAME_COLUMNS))
    table, rows = np.empty((frames + 8, BODY_COLUMNS)), 0
    starts, started = np.empty((8, 3)), 0
    order = np.empty(len(members), np.int32)
    spike = closed = 0
    for step in range(steps):
        frame, now = at[2], at[2] + 2
        while spike < len(time) and time[spike] == step:
            i = cell[spike]
            spike += 1
            if stamp[i] != now:
                stamp[i] = now
                part[i] = -1
                members[at[1]] = i
                at[1] += 1
        at[0] += 1
        if at[0] < window:
            continue
        cells = members[: at[1]]
        ends = _divide(cells, stamp, now, part, first, link_end, partner, order)
        of_wave = np.zeros(len(ends), np.bool_)
        old_rows = rows
        table, rows, starts, started = _judge(
            frame, order, ends, large, positions, quantile, first, partner, in_wave, of_wave, table, rows, starts, started,
        )  # fmt: skip
        fresh = table[old_rows:rows]
        _trace(now - 1, order, ends, large, body_of, body_frame, centers, at[3], fresh, window)
        _remember(now, order, ends, large, of_wave, in_wave, body_of, body_frame, visits)
        _sum_up(fresh, totals)
        active[closed], bodies[closed] = len(cells), len(fresh)
        if len(cells) > busy or len(fresh) > 0:
            has_wave[closed] = True
            row = numbers[closed]
            row[0], row[1] = _center(positions, cells)
            row[2], row[3] = _spread(positions, cells, row[0], row[1], quantile)
        closed += 1
        at[0] = at[1] = 0
        at[2] += 1
        at[3] = len(fresh)
    return active, bodies, has_wave, numbers, table[:rows], starts[:started]
