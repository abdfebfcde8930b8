"""Spiking units in every layer: M20's below, and above them units that are set back by a spike and tire."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from _stacks import FRESH, draw_map, rows_of, square_sheet
from matplotlib.figure import Figure

from devnet.measure import relay_statistics
from devnet.organization import organize_stack, simulate_stack
from devnet.sheet import Stack
from devnet.spec import LayerSpec, StackSpec
from devnet.study.figure import Answer, Effort, Found, main
from devnet.waves import simulate

STEPS = 650_000
SPIKING = {
    "form": "spiking", "tau_x": 5.0, "h": 0.05, "tau_a": 200.0, "psp": 10, "mature_after": 80_000, "prune": 0.2
}  # fmt: skip
"""Constants of both layers; a spike of any of them drives the layer above for ten steps."""


def spiking_stack(sides: tuple[int, ...], steps: int, seed: int, *, learn: bool = True) -> Stack:
    """Let M20's units wire layers of spiking units."""
    layers = {
        f"layer{number}": LayerSpec(units=side**2, min_active=8 if number == 2 else 2, **SPIKING)
        for number, side in enumerate(sides[1:], start=2)
    }
    spec = StackSpec(dynamics="adaptive_leaky", layers=layers)
    return organize_stack(square_sheet(sides[0]), spec, steps=steps, rng=seed, learn=learn)


def run(effort: Effort) -> Found:
    """Wire stacks over seeds, and look at who fires when they have learned."""
    sides = effort.pick((20, 6, 4), (26, 16, 8), (26, 16, 8))  # one bump at a time with the published radii
    steps, seeds = effort.pick(3000, STEPS, STEPS), effort.pick(1, 1, 10)
    began = perf_counter()
    rows, relays, frozen, shown = [], [], [], None
    for seed in range(FRESH, FRESH + seeds):
        stack = spiking_stack(sides, steps, seed)
        shown = shown or stack
        rows.append(rows_of(stack))
        frozen.append(rows_of(spiking_stack(sides, 1, seed, learn=False))["order_31"])
        recording = simulate(
            stack.sheet, "adaptive_leaky", steps=effort.pick(500, 10_000, 10_000), rng=seed + 50
        )
        below, *above = simulate_stack(stack, recording)
        relays.append([relay_statistics(below, frames, min_active=1) for frames in above])
    answers = {
        "coverage": Answer(
            [min(row["coverage_2"], row["coverage_3"]) for row in rows], perf_counter() - began
        ),
        "organized": Answer([min(row["organized_2"], row["organized_3"]) for row in rows], 0.0),
        "order_2": Answer([row["order_2"] for row in rows], 0.0),
        "order_3": Answer([row["order_31"] for row in rows], 0.0),
        "folds": Answer([max(row["folds_2"], row["folds_3"]) for row in rows], 0.0),
        "ratio_31": Answer([row["ratio_31"] for row in rows], 0.0),
        "over_frozen": Answer([row["order_31"] - none for row, none in zip(rows, frozen, strict=True)], 0.0),
        "before": Answer([float(max(layer.before for layer in layers)) for layers in relays], 0.0),
        "share_2": Answer([layers[0].when_active for layers in relays], 0.0),
    }
    return Found(answers, shown)


def plot(data: Any) -> Figure:
    """Draw the maps of both layers."""
    figure = Figure(figsize=(4.6, 2.5), layout="constrained")
    for panel, number in zip(figure.subplots(1, 2), (2, 3), strict=True):
        draw_map(panel, data, number)
        panel.set_title(f"layer {number} in M20's units")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
