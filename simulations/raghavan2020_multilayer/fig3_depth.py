"""Five layers, 40-28-20-14-10, all learning at once."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from _stacks import FRESH, draw_map, organized_stack, rows_of
from matplotlib.figure import Figure

from devnet.study.figure import Answer, Effort, Found, main


def run(effort: Effort) -> Found:
    """Wire deep stacks."""
    sides = effort.pick((20, 6, 5, 4), (40, 24, 16, 10), (40, 28, 20, 14, 10))
    steps, seeds = effort.pick(2000, 760_000, 1_050_000), effort.pick(1, 1, 10)
    top = len(sides)
    began = perf_counter()
    rows, shown = [], None
    for seed in range(FRESH, FRESH + seeds):
        stack, _ = organized_stack(sides, steps, seed)
        shown = shown or stack
        rows.append(rows_of(stack))
    spent = perf_counter() - began
    return Found(
        {
            "order": Answer([min(row[f"order_{n}"] for n in range(2, top + 1)) for row in rows], spent),
            "coverage": Answer([min(row[f"coverage_{n}"] for n in range(2, top + 1)) for row in rows], 0.0),
            "order_top": Answer([row[f"order_{top}1"] for row in rows], 0.0),
            "ratio_top": Answer([row[f"ratio_{top}1"] for row in rows], 0.0),
        },
        shown,
    )


def plot(data: Any) -> Figure:
    """Draw the map of every layer, seen in the first sheet."""
    top = len(data.layers) + 1
    figure = Figure(figsize=(2.0 * (top - 1), 2.3), layout="constrained")
    for panel, number in zip(figure.subplots(1, top - 1), range(2, top + 1), strict=True):
        draw_map(panel, data, number)
        panel.set_title(f"layer {number} in layer 1")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
