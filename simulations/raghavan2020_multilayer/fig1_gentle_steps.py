"""Three sheets whose sizes fall less steeply, 40 x 40 -> 24 x 24 -> 16 x 16: smaller fields in the first."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from _stacks import FRESH, draw_map, organized_stack, rows_of
from matplotlib.figure import Figure

from devnet.study.figure import Answer, Effort, Found, main

STEPS = 560_000


def run(effort: Effort) -> Found:
    """Wire stacks over seeds."""
    sides, steps = effort.pick((20, 8, 6), (40, 24, 16), (40, 24, 16)), effort.pick(3000, STEPS, STEPS)
    began = perf_counter()
    rows, shown = [], None
    for seed in range(FRESH, FRESH + effort.pick(1, 1, 10)):
        stack, _ = organized_stack(sides, steps, seed)
        shown = shown or stack
        rows.append(rows_of(stack))
    answers = {
        "ratio_31": Answer([row["ratio_31"] for row in rows], perf_counter() - began),
        "order_3": Answer([row["order_31"] for row in rows], 0.0),
        "coverage": Answer([min(row["coverage_2"], row["coverage_3"]) for row in rows], 0.0),
        "folds": Answer([max(row["folds_2"], row["folds_3"]) for row in rows], 0.0),
    }
    return Found(answers, shown)


def plot(data: Any) -> Figure:
    """Draw both maps, seen in the first sheet."""
    figure = Figure(figsize=(4.6, 2.5), layout="constrained")
    for panel, number in zip(figure.subplots(1, 2), (2, 3), strict=True):
        draw_map(panel, data, number)
        panel.set_title(f"layer {number} in layer 1")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
