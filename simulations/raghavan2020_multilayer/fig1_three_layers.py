"""Three sheets, 40 x 40 -> 16 x 16 -> 8 x 8, from all-to-all random weights, both projections learning at once."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter, process_time
from typing import Any

import numpy as np
from _stacks import FRESH, draw_map, frame, looks_at, organized_stack, rows_of, square_sheet, stack_spec
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.measure.stacks import centers_of_activity
from devnet.organization import organize_stack, simulate_stack
from devnet.organization.stack import CHUNK
from devnet.sheet import Stack
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import INK
from devnet.waves import simulate

STEPS = 560_000
WATCHED = 3
"""Seeds whose learning is watched."""
EVERY = 20 * CHUNK
"""Steps between two looks."""
CHANGE = 0.01
"""Coverage and order have settled when none changes by a larger share of itself from one look to the next, up to the end."""
CONTROLS = {
    "shuffled": (STEPS, {"activity": "shuffled"}),
    "uncoupled": (STEPS, {"changes": {"width": (1e-3, 1e-3), "least_width": 0.3, "winners": (1e-6, 1e-6)}}),
}
"""The sheet's steps in another order; layers without gap junctions. With the number of steps."""
CORNERS = (("#56b4e9", "#009e73"), ("#d55e00", "#f0e442"))
"""Colors of layer 1's corners, left and right, each below and above: a unit has the color of where it looks."""


def run(effort: Effort) -> Found:
    """Wire stacks over seeds, and their controls."""
    sides = effort.pick((20, 6, 4), (40, 16, 8), (40, 16, 8))
    steps, seeds = effort.pick(4000, STEPS, STEPS), effort.pick(1, 2, 10)
    rows, seconds, frozen, first = [], [], [], None
    began = perf_counter()
    for seed in range(FRESH, FRESH + seeds):
        stack, took = organized_stack(sides, steps, seed)
        first = first or stack
        rows.append(rows_of(stack))
        seconds.append(took)
        frozen.append(rows_of(_as_drawn(stack, seed))["order_31"])
    spent = perf_counter() - began
    column = {name: [row[name] for row in rows] for name in rows[0]}
    began = perf_counter()
    watched = [
        _watched(sides, steps, seed, effort.pick(CHUNK, EVERY, EVERY)).settled()
        for seed in range(FRESH, FRESH + effort.pick(1, 1, WATCHED))
    ]
    watching = perf_counter() - began
    answers = {
        "coverage": Answer([min(r["coverage_2"], r["coverage_3"]) for r in rows], spent),
        "organized": Answer([min(r["organized_2"], r["organized_3"]) for r in rows], 0.0),
        "order_2": Answer(column["order_2"], 0.0),
        "order_3": Answer(column["order_31"], 0.0),
        "ordered_seeds": Answer([float(min(r["order_2"], r["order_31"]) >= 0.97) for r in rows], 0.0),
        "folds": Answer([max(r["folds_2"], r["folds_3"]) for r in rows], 0.0),
        "ratio_31": Answer(column["ratio_31"], 0.0),
        "ratio_2": Answer(column["ratio_2"], 0.0),
        "deeper_wider": Answer([r["ratio_31"] - r["ratio_2"] for r in rows], 0.0),
        "seconds": Answer(seconds, 0.0),
        "settled_steps": Answer([step for step, _ in watched], watching),
        "settled_seconds": Answer([took for _, took in watched], 0.0),
        "over_frozen": Answer([float(np.mean(column["order_31"]) - order) for order in frozen], 0.0),
    }
    for name, (length, options) in CONTROLS.items():
        began = perf_counter()
        found = [
            rows_of(organized_stack(sides, effort.pick(2000, length, length), seed, **options)[0])
            for seed in range(FRESH, FRESH + effort.pick(1, 1, 10))
        ]
        ours = np.mean(column["order_31"])
        answers[f"over_{name}"] = Answer(
            [float(ours - row["order_31"]) for row in found], perf_counter() - began
        )
    return Found(answers, (first, column))


def _as_drawn(stack: Stack, seed: int) -> Stack:
    """Return a stack that has learned nothing: each unit has as many synapses as it has there, drawn at random, of weights as drawn."""
    drawn = organize_stack(stack.sheet, stack.spec, steps=1, rng=seed, learn=False)
    layers = []
    for number, (layer, learned) in enumerate(zip(drawn.layers, stack.layers, strict=True), start=2):
        draws = Key(seed).child("as drawn", number).stream("synapses")
        rank = np.stack([draws.permutation(unit, len(layer.weights)) for unit in range(layer.units)], axis=1)
        kept = np.where(rank < np.count_nonzero(learned.weights, axis=0), layer.weights, 0.0)
        layers.append(replace(layer, weights=kept / kept.sum(axis=0)))
    return replace(drawn, layers=tuple(layers))


class _Watch:
    """Looks at a stack while it learns, in the place of a checkpoint.

    Attributes:
        looks: Step, processor seconds without those of looking, and coverage and order of each layer.
    """

    def __init__(self, drawn: Stack, every: int) -> None:
        self._drawn, self._every, self._chunks, self._began = drawn, every, 0, process_time()
        self.looks: list[tuple[int, float, np.ndarray]] = []

    def load(self, what: dict[str, Any], whole: Any = None) -> None:
        """Start from nothing."""

    def due(self) -> bool:
        """Say whether it is time for a look; asked at the end of every chunk."""
        self._chunks += 1
        return self._chunks * CHUNK % self._every == 0

    def save(self, arrays: Any, numbers: dict[str, Any], segment: Any = None) -> None:
        """Look."""
        seconds = process_time() - self._began
        layers = [
            replace(layer, weights=arrays[f"{name}.weights"].copy(), late_wins=arrays[f"{name}.wins"].copy())
            for name, layer in zip(self._drawn.spec.layers, self._drawn.layers, strict=True)
        ]
        row = rows_of(replace(self._drawn, layers=tuple(layers)))
        seen = [row[name] for name in ("coverage_2", "coverage_3", "order_2", "order_31")]
        self.looks.append((numbers["step"], seconds, np.array(seen)))
        self._began = process_time() - seconds

    def settled(self) -> tuple[int, float]:
        """Return step and seconds of the look from which on nothing changes by more than CHANGE; the last where all does."""
        seen = np.array([numbers for *_, numbers in self.looks])
        moving = (np.abs(np.diff(seen, axis=0)) > CHANGE * np.abs(seen[1:])).any(axis=1)
        step, seconds, _ = self.looks[int(np.flatnonzero(moving).max(initial=-1)) + 1]
        return step, seconds


def _watched(sides: tuple[int, ...], steps: int, seed: int, every: int) -> _Watch:
    """Let a stack wire itself and look at it meanwhile."""
    sheet, spec = square_sheet(sides[0]), stack_spec(sides)
    watch = _Watch(organize_stack(sheet, spec, steps=1, rng=seed, learn=False), every)
    organize_stack(sheet, spec, steps=steps, rng=seed, checkpoint=watch)
    return watch


def plot(data: Any) -> Figure:
    """Draw the stack: one instant of the wave in every layer, the maps, and receptive fields by depth."""
    stack, column = data
    figure = Figure(figsize=(7.2, 6.6), layout="constrained")
    axes = figure.subplots(3, 3)
    for letter, panel in zip("abcdefghi", axes.flat, strict=True):
        panel.text(-0.02, 1.06, letter, transform=panel.transAxes, ha="right", weight="bold")
    _instant(axes[0], stack)
    for panel, (number, seen_in) in zip(axes[1], ((2, 1), (3, 2), (3, 1)), strict=True):
        draw_map(panel, stack, number, seen_in)
        order = column[_order(number, seen_in)][0]
        panel.set_title(f"map: {number} in {seen_in}, order {order:.3f}", fontsize=9)
    for panel, (number, seen_in) in zip(axes[2], ((2, 1), (3, 2), (3, 1)), strict=True):
        _fields(panel, stack, number, seen_in)
        panel.set_title(f"fields at half height: {number} in {seen_in}", fontsize=9)
    return figure


def _order(number: int, seen_in: int) -> str:
    return f"order_{number}" if seen_in == number - 1 else f"order_{number}{seen_in}"


def _instant(axes: Any, stack: Stack) -> None:
    frames = simulate_stack(stack, simulate(stack.sheet, "rate_map", steps=4000, rng=1))
    path = centers_of_activity(frames[0], stack.places(1), min_active=30)
    x0, y0, x1, y1 = stack.sheet.scaffold.bounds
    off = np.abs(path - (0.65 * x0 + 0.35 * x1, 0.65 * y0 + 0.35 * y1)).sum(axis=1)
    step = int(np.argmin(np.where(np.isfinite(off), off, np.inf)))  # a bump away from rim and middle
    for number, (panel, layer) in enumerate(zip(axes, frames, strict=True), start=1):
        at = stack.places(1) if number == 1 else looks_at(stack, number)
        colors = _of_place((at - (x0, y0)) / (x1 - x0, y1 - y0))
        fired = layer.part(step, step + 1).cells
        colors[fired] = to_rgb(INK)
        side = round(len(at) ** 0.5)
        panel.imshow(colors.reshape(side, side, 3), origin="lower", extent=(x0, x1, y0, y1))
        panel.set_title(f"layer {number}: {len(fired)} of {side}x{side} fire", fontsize=9)
        frame(panel, stack)


def _of_place(at: np.ndarray) -> np.ndarray:
    """Return a color for every place of a square of side 1, mixed from its four corners' ``[N, 3]``."""
    x, y = np.clip(at, 0.0, 1.0).T[..., None]
    left, right = ((1 - y) * to_rgb(low) + y * to_rgb(high) for low, high in CORNERS)
    return (1 - x) * left + x * right


def _fields(axes: Any, stack: Stack, number: int, seen_in: int) -> None:
    weights, places = stack.weights(number, seen_in), stack.places(seen_in)
    side = round(len(places) ** 0.5)
    x0, y0, x1, y1 = stack.sheet.scaffold.bounds
    units = round(weights.shape[1] ** 0.5)
    shown = [i * units + j for i in (1, units // 2, units - 2) for j in (1, units // 2, units - 2)]
    for color, unit in enumerate(shown):
        level = weights[:, unit].reshape(side, side)
        axes.contour(
            np.linspace(x0, x1, side), np.linspace(y0, y1, side), level, [level.max() / 2],
            colors=[("#0072b2", "#d55e00", "#009e73")[color % 3]], linewidths=1.2,
        )  # fmt: skip
    frame(axes, stack)


if __name__ == "__main__":
    main(__file__, run, plot)
