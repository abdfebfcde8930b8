"""Units that learn the motion of waves, read out on MNIST: against averages, hand-made grids of the same kind, and controls."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from _readout import (
    GROWN,
    LATTICE,
    SIDE,
    SIZES,
    Images,
    Layout,
    even_map,
    grown,
    lattice,
    layout,
    motion,
    pixel_map,
    without_motion,
)
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.measure import paired_difference
from devnet.organization.oriented import Profile, oriented_grid, oriented_random
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz.style import INK, OURS, RULE, THEIRS, WIDTH, styled

AVERAGE = {
    49: Layout(Profile(1.4, "place", extent=24 / SIDE)),
    100: Layout(Profile(1.3, "place", extent=24 / SIDE)),
    196: Layout(Profile(1.1, "place")),
    400: Layout(Profile(0.8, "place", extent=24 / SIDE)),
}
"""The averaging grid: width and extent chosen among 9."""
EDGES = {
    49: layout("first", 1.5, 1.2, 2.5, 18, 4, 3),
    100: layout("first", 1.4, 1.2, 2.0, 16, 4, 1),
    196: layout("first", 1.4, 1.4, 2.5, 18, 8, 3),
    400: layout("first", 1.2, 1.2, 2.5, 18, 8, 4),
}
"""First differences: width, distance, elongation, extent, directions and shift chosen among 14 to 25."""
ROUND = {
    49: layout("first", 1.75, 2.0, 1.0, 16, 4, 7),
    100: layout("first", 1.75, 1.4, 1.0, 16, 4, 2),
    196: layout("first", 1.4, 1.4, 1.0, 18, 8, 6),
    400: layout("first", 1.4, 1.4, 1.0, 18, 8, 4),
}
"""First differences whose lobes are kept round: width, distance, extent, directions chosen among 20."""
BEST = {
    49: layout("second", 2.0, 1.5, 2.5, 18, 8, 2),
    100: layout("second", 1.75, 1.8, 1.5, 16, 8, 2),
    196: layout("second", 1.4, 1.8, 1.5, 18, 8, 6),
    400: layout("both", 1.2, 1.4, 2.5, 18, 8, 4),
}
"""The same of any order, chosen among 30 to 40."""

METHODS = {
    "motion": "learned from waves",
    "grown": "the same on grown sheets",
    "first": "learned, first differences only",
    "linear": "learned, no rectifier",
    "shuffled": "learned, frames shuffled",
    "edges": "hand-made, first differences",
    "round": "the same, round lobes",
    "whole": "the same, whole sheet",
    "best": "hand-made, best of all orders",
    "random": "first differences, at random",
    "gauss": "Gaussian random weights",
    "average": "hand-made, averages",
}
"""Rows of the figure, from the top."""


@dataclass(frozen=True)
class Budget:
    """How much is run.

    Attributes:
        sizes: Numbers of units.
        seeds: Replicates of what is learned.
        others: Replicates of controls, the first of those seeds.
        steps: Steps of learning.
        train: Training images.
        test: Test images.
        epochs: Passes of the read-out.
    """

    sizes: tuple[int, ...]
    seeds: int
    others: int
    steps: int
    train: int
    test: int
    epochs: int


BUDGETS = {
    Effort.SMOKE: Budget((49,), 2, 2, 3_000, 500, 200, 1),
    Effort.QUICK: Budget(SIZES, 2, 2, 20_000, 5_000, 2_000, 5),
    Effort.FULL: Budget(SIZES, 11, 11, 60_000, 60_000, 10_000, 10),
}


def maps(units: int, seed: int, budget: Budget, sheets: dict) -> dict[str, np.ndarray]:
    """Return every method's map from pixels to units, for one replicate."""
    flat = sheets["lattice"]
    found = {"motion": motion(flat, LATTICE[units], units, budget.steps, seed).weights}
    found["linear"] = found["motion"]
    if seed < budget.others:
        found["first"] = motion(flat, LATTICE[units], units, budget.steps, seed, "first").weights
        found["shuffled"] = without_motion(flat, LATTICE[units], units, budget.steps, seed).weights
        for name, made in (("edges", EDGES), ("round", ROUND), ("best", BEST), ("average", AVERAGE)):
            plan = made[units]
            found[name] = oriented_grid(
                flat, units, plan.profile, directions=plan.directions, shift=plan.shift
            )
        plan = EDGES[units]
        wide = Profile(
            plan.profile.width * 1.2, "first", plan.profile.distance * 1.2, plan.profile.elongation
        )
        found["whole"] = oriented_grid(flat, units, wide, directions=plan.directions, shift=plan.shift)
        found["random"] = oriented_random(flat, units, plan.profile, rng=seed)
        draws = Key(seed).stream("control.gauss").normal(units, flat.n * units)
        found["gauss"] = draws.reshape(flat.n, units).astype(float)
    seen = {name: pixel_map(flat, weights) for name, weights in found.items()}
    if seed < budget.others:
        sheet = sheets[seed]
        wired = motion(sheet, GROWN[units], units, budget.steps, seed)
        seen["grown"] = even_map(sheet, wired.weights)
    return seen


def measure(budget: Budget) -> dict:
    """Return accuracies by (method, units), one a seed, and some units to look at."""
    sheets = {"lattice": lattice()} | {seed: grown(seed) for seed in range(budget.others)}
    accuracy: dict[tuple[str, int], list[float]] = {}
    shown: dict[str, np.ndarray] = {}
    for seed in range(budget.seeds):
        images = Images.draw("mnist", budget.train, budget.test, Key(seed))
        for units in budget.sizes:
            for name, pixels in maps(units, seed, budget, sheets).items():
                rectified = name not in ("linear", "average")
                found = images.accuracy(pixels, seed, rectified=rectified, epochs=budget.epochs)
                accuracy.setdefault((name, units), []).append(found)
                if seed == 0 and units == budget.sizes[len(budget.sizes) // 2]:
                    shown[name] = pixels
    return {"accuracy": accuracy, "shown": shown, "budget": budget}


def against(data: dict, units: int, other: str, name: str = "motion") -> list[float]:
    """Return paired differences in points, one a seed that both have."""
    ours, theirs = data["accuracy"][name, units], data["accuracy"][other, units]
    return [a - b for a, b in zip(ours, theirs, strict=False)]


def run(effort: Effort) -> Found:
    """Wire units, lay out the others, and read all of them out."""
    began = perf_counter()
    data = measure(BUDGETS[effort])
    seconds = perf_counter() - began
    answers = {}
    for units in SIZES:
        held = units if units in data["budget"].sizes else data["budget"].sizes[0]  # a smoke runs one size
        answers[f"average_{units}"] = Answer(against(data, held, "average"), seconds)
        answers[f"edges_{units}"] = Answer(against(data, held, "edges"), seconds)
        answers[f"round_{units}"] = Answer(against(data, held, "round"), seconds)
        answers[f"best_{units}"] = Answer(against(data, held, "best"), seconds)
        answers[f"shuffled_{units}"] = Answer(against(data, held, "shuffled"), seconds)
        answers[f"random_{units}"] = Answer(against(data, held, "random"), seconds)
        answers[f"grown_{units}"] = Answer(against(data, held, "average", "grown"), seconds)
    for other in ("round", "edges"):
        means = sorted(np.mean(answers[f"{other}_{units}"].values) for units in SIZES)
        answers[f"{other}_second"] = Answer([float(means[-2])], seconds)
    return Found(answers, data)


@styled
def plot(data: dict) -> dict[str, Figure]:
    """Draw accuracies, a dot a seed; and some units as signed maps of pixels."""
    return {"": _accuracies(data), "units": _units(data)}


def _accuracies(data: dict) -> Figure:
    sizes, accuracy = data["budget"].sizes, data["accuracy"]
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    places = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for place, units in zip(places, sizes, strict=True):
        for row, name in enumerate(METHODS):
            values = np.array(accuracy[name, units])
            color = OURS if name in ("motion", "grown", "first") else THEIRS
            place.axhline(row, color=RULE, linewidth=0.5, zorder=0)
            spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
            place.plot(values, row + spread, "o", color=color, markersize=2.6, alpha=0.6, mew=0)
            place.plot([values.mean()] * 2, [row - 0.33, row + 0.33], color=color, linewidth=1.8)
        ours = np.mean(accuracy["motion", units])
        place.axvline(ours, color=OURS, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        told = paired_difference(*_pairs(data, units, "edges"))
        place.set_title(f"{units} units")
        difference = f"{told.mean:+.1f} [{told.low:+.1f}, {told.high:+.1f}]"
        place.set_xlabel(f"test accuracy, %\n\nlearned − first differences\n{difference}", fontsize=7)
        place.locator_params(axis="x", nbins=4, integer=True)
        place.spines["left"].set_visible(False)
        place.tick_params(axis="y", length=0, labelcolor=INK)
    places[0].set(
        yticks=range(len(METHODS)), yticklabels=list(METHODS.values()), ylim=(len(METHODS) - 0.4, -0.6)
    )
    return figure


def _pairs(data: dict, units: int, other: str) -> tuple[list[float], list[float]]:
    theirs = data["accuracy"][other, units]
    return data["accuracy"]["motion", units][: len(theirs)], theirs


def _units(data: dict) -> Figure:
    rows = {
        name: data["shown"][name]
        for name in ("motion", "first", "grown", "shuffled", "best")
        if name in data["shown"]
    }
    count = 14
    figure = Figure(figsize=(WIDTH, 0.56 * len(rows) + 0.1), layout="constrained")
    places = figure.subplots(len(rows), count, squeeze=False)
    for line, (name, pixels) in zip(places, rows.items(), strict=True):
        chosen = np.linspace(0, pixels.shape[1] - 1, count).astype(int)
        for place, unit in zip(line, chosen, strict=True):
            field = pixels[:, unit].reshape(SIDE, SIDE)
            limit = np.abs(field).max()
            place.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            place.set(xticks=[], yticks=[])
            for spine in place.spines.values():
                spine.set(visible=True, color=RULE, linewidth=0.5)
        line[0].set_ylabel(
            METHODS[name].replace(", ", ",\n").replace("the same on", "on\n"),
            rotation=0,
            ha="right",
            va="center",
            fontsize=6.8,
        )
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
