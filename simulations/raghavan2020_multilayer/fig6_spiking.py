"""Stacks on spiking cells: M20's leaky units with an adaptive threshold below, and pairs of spikes that teach the layers."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from _stacks import FRESH, draw_map, organized_stack, rows_of
from matplotlib.figure import Figure

from devnet.study.figure import Answer, Effort, Found, main

STEPS = 650_000
PSP = 10
"""Steps for which a spike of the first sheet drives; its cells fire once and are reset."""
FORMS = {"units": {}, "stdp": {"depression": 0.3}}
"""M20's units with the rule of the other figures; and with depression of synapses whose cell fires after its unit."""


def run(effort: Effort) -> Found:
    """Wire stacks on M20's units, with both rules."""
    sides = effort.pick((20, 6, 4), (26, 16, 8), (26, 16, 8))  # one bump at a time with the published radii
    steps, seeds = effort.pick(3000, STEPS, STEPS), effort.pick(1, 1, 10)
    answers, shown = {}, {}
    for form, rule in FORMS.items():
        began = perf_counter()
        rows = []
        for seed in range(FRESH, FRESH + seeds):
            stack, _ = organized_stack(
                sides, steps, seed, dynamics="adaptive_leaky", changes={"psp": PSP, **rule}
            )
            shown.setdefault(form, stack)
            rows.append(rows_of(stack))
        found = {
            "coverage": [min(row["coverage_2"], row["coverage_3"]) for row in rows],
            "organized": [min(row["organized_2"], row["organized_3"]) for row in rows],
            "order_2": [row["order_2"] for row in rows],
            "order_3": [row["order_31"] for row in rows],
            "folds": [max(row["folds_2"], row["folds_3"]) for row in rows],
            "ratio_31": [row["ratio_31"] for row in rows],
        }
        spent = perf_counter() - began
        for name, values in found.items():
            answers[f"{form}_{name}"] = Answer(values, spent if name == "coverage" else 0.0)
    return Found(answers, shown)


def plot(data: Any) -> Figure:
    """Draw the maps of both layers, for both rules."""
    figure = Figure(figsize=(4.6, 4.8), layout="constrained")
    for line, (form, stack) in zip(figure.subplots(2, 2), data.items(), strict=True):
        for panel, number in zip(line, (2, 3), strict=True):
            draw_map(panel, stack, number)
            rule = "with depression" if form == "stdp" else "potentiation alone"
            panel.set_title(f"layer {number} in M20's units,\n{rule}")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
