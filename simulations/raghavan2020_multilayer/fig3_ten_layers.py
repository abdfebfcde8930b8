"""Ten layers of 24 x 24 cells, all learning at once: what is left of the map in each of them."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from _stacks import FRESH, organized_stack, rows_of
from matplotlib.figure import Figure

from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import OURS, PATCHES, styled


def run(effort: Effort) -> Found:
    """Wire deep stacks."""
    sides = effort.pick((20, 6, 6, 6), (24,) * 4, (24,) * 10)
    steps, seeds = effort.pick(2000, 400_000, 2_400_000), effort.pick(1, 1, 2)
    began = perf_counter()
    rows = [rows_of(organized_stack(sides, steps, seed)[0]) for seed in range(FRESH, FRESH + seeds)]
    spent = perf_counter() - began
    uppers = range(2, len(sides) + 1)

    def least(name: str) -> list[float]:
        return [min(row[f"{name}_{number}"] for number in uppers) for row in rows]

    return Found(
        {
            "order": Answer(least("order"), spent),
            "coverage": Answer(least("coverage"), 0.0),
            "order_top": Answer([row[f"order_{len(sides)}1"] for row in rows], 0.0),
            "ratio_top": Answer([row[f"ratio_{len(sides)}1"] for row in rows], 0.0),
        },
        (uppers, rows),
    )


@styled
def plot(data: Any) -> Figure:
    """Draw order by depth, a line a seed."""
    figure = Figure(figsize=(3.6, 2.3), layout="constrained")
    axes = figure.subplots()
    uppers, rows = data
    kinds = (("", PATCHES[1], "over the layer below"), ("1", OURS, "seen in the first sheet"))
    for mark, color, label in kinds:
        orders = np.array([[row[f"order_{number}{mark}"] for number in uppers] for row in rows]).T
        first, *_ = axes.plot(uppers, orders, "o-", color=color, markersize=3)
        first.set_label(label)
    axes.legend(loc="lower left")
    axes.set(xlabel="layer", ylabel="topographic order", ylim=(0, 1.02), xticks=uppers)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
