"""Layer 2's wave: nothing before the first trigger, there whenever layer 1 is active, and on its own way when it is cut off."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from _stacks import FRESH, frame, organized_stack, rows_of
from matplotlib.figure import Figure

from devnet.measure import relay_statistics
from devnet.measure.stacks import centers_of_activity, lifetime, speed
from devnet.measure.topography import centers
from devnet.organization import simulate_stack
from devnet.sheet import Recording, Stack
from devnet.study.figure import Answer, Effort, Found, main
from devnet.waves import simulate

OWN = {"recurrence": 0.9, "h": 0.02, "tau_a": 100.0, "reach": 1.5}
"""Excitation of a bump by itself, and adaptation that drives it on; both set in as a layer matures."""
CUTS = 12
"""Times at which the trigger is cut, spread over the recording."""


def run(effort: Effort) -> Found:
    """Wire stacks whose layer 2 has dynamics of its own, on all the while, and cut its trigger."""
    sides = effort.pick((20, 6), (40, 16), (40, 16))
    steps, seeds = effort.pick(3000, 300_000, 300_000), effort.pick(1, 2, 10)
    names = (
        "order",
        "when_active",
        "before",
        "alive",
        "relay_alive",
        "speed_ratio",
        "size_ratio",
        "when_silent",
    )
    found: dict[str, list[float]] = {name: [] for name in names}
    began = perf_counter()
    shown = None
    for seed in range(FRESH, FRESH + seeds):
        stack, _ = organized_stack(sides, steps, seed, changes=OWN)
        recording = simulate(
            stack.sheet, "rate_map", steps=effort.pick(2000, 10_000, 10_000), rng=1000 + seed
        )
        frames = simulate_stack(stack, recording)
        relay = relay_statistics(frames[0], frames[1])
        own = _after_cuts(stack, recording)
        plain = _after_cuts(_without_own(stack), recording)
        found["order"].append(rows_of(stack)["order_2"])
        found["when_active"].append(relay.when_active)
        found["before"].append(float(relay.before))
        found["when_silent"].append(float(np.nan_to_num(relay.when_silent)))
        found["alive"].append(float(np.mean([life for life, _, _ in own])))
        found["relay_alive"].append(float(np.mean([life for life, _, _ in plain])))
        seen = centers(stack.weights(2), stack.places(1))
        driven = speed(centers_of_activity(frames[1], seen))
        alone = [speed(path) for _, path, _ in own]
        alone = [value for value in alone if np.isfinite(value)]
        found["speed_ratio"].append(float(np.mean(alone) / driven) if alone and driven > 0 else 0.0)
        counts = np.diff(frames[1].first)
        under = counts[(recording.active >= 20) & (counts > 0)]
        sizes = np.concatenate([size for *_, size in own])
        found["size_ratio"].append(float(sizes.mean() / under.mean()) if len(sizes) and len(under) else 0.0)
        shown = shown or (stack, [path for _, path, _ in own])
    spent = perf_counter() - began
    answers = {name: Answer(values, spent if name == "order" else 0.0) for name, values in found.items()}
    return Found(answers, shown)


def _without_own(stack: Stack) -> Stack:
    layers = tuple(replace(layer, spec=layer.spec.replace(recurrence=0.0)) for layer in stack.layers)
    return replace(stack, layers=layers)


def _after_cuts(stack: Stack, recording: Recording) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Cut the trigger when layer 1 is active; return how long layer 2 lives on, its bump's way in layer 1, and its sizes."""
    active = np.flatnonzero(recording.active >= 20)
    seen = centers(stack.weights(2), stack.places(1))
    found: list[tuple[int, np.ndarray, np.ndarray]] = []
    for cut in active[np.linspace(len(active) // 4, len(active) * 3 // 4, CUTS).astype(int)]:
        kept = recording.time < cut
        muted = replace(recording, time=recording.time[kept], cell=recording.cell[kept])
        layer = simulate_stack(stack, muted)[1]
        life = lifetime(layer, int(cut))
        lives = slice(int(cut), int(cut) + life)
        found.append((life, centers_of_activity(layer, seen)[lives], np.diff(layer.first)[lives]))
    return found


def plot(data: Any) -> Figure:
    """Draw the ways of layer 2's bump, seen in layer 1, after its trigger was cut."""
    stack, paths = data
    figure = Figure(figsize=(3.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for path in paths:
        if len(path):
            axes.plot(path[:, 0], path[:, 1], linewidth=1.2)
            axes.plot(*path[0], "o", color="black", markersize=3)
    axes.set_title("layer 2 after its trigger is cut (dots),\nseen in layer 1")
    frame(axes, stack)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
