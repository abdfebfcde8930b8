"""Branches of two scales: one layer feeds a fine sheet, 12 x 12, and a coarse one, 6 x 6, which look at it at once."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from _stacks import FRESH, draw_map, rows_of, square_sheet
from matplotlib.figure import Figure

from devnet.organization import organize_stack
from devnet.sheet import Stack
from devnet.spec import LayerSpec, StackSpec
from devnet.study.figure import Answer, Effort, Found, main

STEPS = 600_000
COARSE = (0.35, 0.1)
"""Gap junctions of the coarse branch end wider: of its side, a tenth. All else is as in the other figures."""


def branched(sides: tuple[int, int, int, int], steps: int, seed: int, *, learn: bool = True) -> Stack:
    """Return a sheet, a layer above it, and the fine and the coarse one that it feeds."""
    first, *units = (side**2 for side in sides)
    layers = {
        "layer2": LayerSpec(units=units[0], min_active=8),
        "fine": LayerSpec(units=units[1], below="layer2"),
        "coarse": LayerSpec(units=units[2], below="layer2", width=COARSE),
    }
    spec = StackSpec(dynamics="rate_map", layers=layers)
    return organize_stack(square_sheet(round(first**0.5)), spec, steps=steps, rng=seed, learn=learn)


def run(effort: Effort) -> Found:
    """Wire branched stacks over seeds; layers 3 and 4 are the fine and the coarse branch."""
    sides = effort.pick((20, 6, 5, 3), (40, 16, 12, 6), (40, 16, 12, 6))
    steps, seeds = effort.pick(3000, STEPS, STEPS), effort.pick(1, 1, 10)
    began = perf_counter()
    rows, frozen, shown = [], [], None
    for seed in range(FRESH, FRESH + seeds):
        stack = branched(sides, steps, seed)
        shown = shown or stack
        rows.append(rows_of(stack))
        frozen.append(rows_of(branched(sides, 1, seed, learn=False)))
    over = [
        min(row[f"order_{n}"] - none[f"order_{n}"] for n in (3, 4))
        for row, none in zip(rows, frozen, strict=True)
    ]
    answers = {
        "order_fine": Answer([row["order_3"] for row in rows], perf_counter() - began),
        "order_coarse": Answer([row["order_4"] for row in rows], 0.0),
        "coverage": Answer([min(row["coverage_3"], row["coverage_4"]) for row in rows], 0.0),
        "organized": Answer([min(row["organized_3"], row["organized_4"]) for row in rows], 0.0),
        "folds": Answer([max(row["folds_3"], row["folds_4"]) for row in rows], 0.0),
        "scales": Answer([row["ratio_41"] / row["ratio_31"] for row in rows], 0.0),
        "ratio_fine": Answer([row["ratio_31"] for row in rows], 0.0),
        "over_frozen": Answer(over, 0.0),
    }
    return Found(answers, shown)


def plot(data: Any) -> Figure:
    """Draw the maps of both branches, seen in the first sheet."""
    figure = Figure(figsize=(4.6, 2.5), layout="constrained")
    for panel, number, name in zip(figure.subplots(1, 2), (3, 4), ("fine", "coarse"), strict=True):
        draw_map(panel, data, number)
        panel.set_title(f"{name} branch in layer 1")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
