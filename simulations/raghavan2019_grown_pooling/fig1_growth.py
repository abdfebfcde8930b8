"""Growth from one cell: counts, curve and layer-II units on the published areas, other shapes, large sheets, lineage."""

from __future__ import annotations

import math
from time import perf_counter, process_time

import numpy as np
from _pools import Pools
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.measure import wiring_statistics
from devnet.organization import grow_and_organize, organize
from devnet.spec import ModelSpec, load_model
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz import growth, lineage
from devnet.viz.style import INK, MUTED, OURS, THEIRS, UNIT, WIDTH, styled

AREAS = {"": 719, "/area542": 542, "/area476": 476, "/area366": 366, "/area211": 211}
CELLS = (2003, 1796, 1547, 1318, 442)
UNITS = (361, 289, 260, 205, 66)
CURVE = {5: 31, 10: 156, 20: 705, 40: 2001}
"""The re-simulation's sweep 1 is the lone cell, which is our sweep 0."""
SHAPES = {
    "C": ("", 45),
    "ring": ("/ring", 50),
    "two holes": ("/two_holes", 45),
    "disk": ("/disk", 40),
    "cap": ("/cap", 40),
}
"""Model, and divisions of a lineage: the published 40 where they reach the whole shape, else as many as it takes."""
LARGE = 100_000


def shaped(name: str, divisions: int) -> ModelSpec:
    """Return a model of another shape, grown instead of scattered."""
    model = load_model(f"raghavan2019_geometry{name}")
    return model.replace(growth=model.growth.replace(scattered=0, hayflick=divisions))


def disk(cells: int) -> ModelSpec:
    """Return a disk on which about so many cells grow; its lineages are long enough to reach the rim."""
    model = load_model("raghavan2019_growth")
    radius = math.sqrt(cells / (math.pi * 3.7))
    turns = 2 * math.pi * np.arange(96) / 96
    outline = tuple((radius * math.cos(t), radius * math.sin(t)) for t in turns)
    scaffold = model.scaffold.replace(outline=outline, seed_cell=(0.0, 0.0))
    return model.replace(scaffold=scaffold, growth=model.growth.replace(hayflick=1000, max_cells=10 * cells))


def run(effort: Effort) -> Found:
    """Grow the published areas and other shapes, time a large sheet, learn while growing and after."""
    answers: dict[str, Answer] = {}
    began = perf_counter()
    seeds = range(effort.pick(1, 5, 20))
    published = {
        area: [grow(f"raghavan2019_growth{tail}", rng=s) for s in seeds] for tail, area in AREAS.items()
    }
    lasted = perf_counter() - began
    first = published[719]
    cells = np.array([[sheet.n for sheet in sheets] for sheets in published.values()])
    ratio = np.array([[sheet.m / sheet.n for sheet in sheets] for sheets in published.values()])
    answers["cells_719"] = Answer(abs(cells[0] / CELLS[0] - 1), lasted)
    answers["cells_middle"] = Answer(abs(cells[1:4] / np.array(CELLS[1:4])[:, None] - 1).mean(axis=0), lasted)
    curves = np.array([sheet.growth_curve[list(CURVE)] for sheet in first])
    answers["curve"] = Answer(
        [abs(float(curves.mean(axis=0)[k]) / c - 1) for k, c in enumerate(CURVE.values())], lasted
    )
    answers["units"] = Answer(
        abs(ratio - np.array(UNITS)[:, None] / np.array(CELLS)[:, None]).mean(axis=0), lasted
    )

    began = perf_counter()
    shapes = {name: [grow(shaped(*how), rng=s) for s in seeds] for name, how in SHAPES.items()}
    density = {
        name: [sheet.density for sheet in sheets]
        for name, sheets in ({str(a): s for a, s in published.items()} | shapes).items()
    }
    within = [np.mean([2.5 <= d[s] <= 3.5 for d in density.values()]) for s in range(len(seeds))]
    answers["density"] = Answer(within, lasted + perf_counter() - began)

    grow(disk(1000), rng=0)  # what is compiled once is not timed
    seconds, large = [], None
    began = perf_counter()
    for seed in range(effort.pick(1, 1, 3)):
        start = process_time()
        large = grow(disk(effort.pick(2000, LARGE, LARGE)), rng=seed)
        seconds.append(process_time() - start)
    answers["large"] = Answer(seconds, perf_counter() - began)

    began = perf_counter()
    while_growing, after = [], []
    steps, rate = effort.pick(2000, 40_000, 40_000), effort.pick(5, 100, 100)
    for seed in range(effort.pick(1, 2, 10)):
        sheet = published[effort.pick(211, 719, 719)][seed]
        living = grow_and_organize(sheet, "rate_map", steps_per_sweep=rate, steps=steps, rng=seed)
        later = organize(sheet, "rate_map", steps=steps, rng=seed)
        while_growing.append(living)
        after.append(later)
    organized = [[wiring_statistics(w).organized for w in many] for many in (while_growing, after)]
    covered = [wiring_statistics(w).coverage for w in while_growing]
    took = perf_counter() - began
    answers["while_growing"] = Answer(organized[0], took)
    answers["while_growing_coverage"] = Answer(covered, took)
    answers["while_growing_against_after"] = Answer(np.subtract(*organized), took)
    data = {
        "sheet": first[0], "curves": [sheet.growth_curve for sheet in first], "density": density, "cells": cells,
        "ratio": ratio, "shapes": {name: sheets[0] for name, sheets in shapes.items()}, "large": large.n,
        "sizes": [Pools.of(w).size for w in (while_growing[0], after[0])],
    }  # fmt: skip
    return Found(answers, data)


@styled
def _numbers(data) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1))
    for curve in data["curves"]:
        left.plot(curve, color=OURS, linewidth=0.5, alpha=0.5)
    left.plot(
        *zip(*CURVE.items(), strict=True), "o", mfc="none", mec=INK, markersize=5, label="published program"
    )
    left.plot([], color=OURS, label="ours, one line a seed")
    left.set(xlim=(0, 60), yscale="log", xlabel="sweep", ylabel="layer-I cells")
    left.legend(loc="lower right")
    names = list(data["density"])
    middle.axhspan(2.5, 3.5, color=THEIRS, alpha=0.15, linewidth=0)
    for x, name in enumerate(names):
        values = data["density"][name]
        middle.plot(
            np.full(len(values), x) + np.linspace(-0.15, 0.15, len(values)),
            values,
            ".",
            color=OURS,
            markersize=3,
        )
    for x, (cells, area) in enumerate(zip(CELLS, AREAS.values(), strict=True)):
        middle.plot(x, cells / area, "o", mfc="none", mec=INK, markersize=5)
    middle.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    middle.set(ylabel="cells per unit area", ylim=(0, 4.4))
    middle.text(0.02, 0.03, "gray: the published aim", transform=middle.transAxes, color=MUTED, fontsize=7)
    areas = np.array(list(AREAS.values()))
    right.errorbar(
        areas,
        100 * data["ratio"].mean(axis=1),
        100 * data["ratio"].std(axis=1),
        fmt=".",
        color=UNIT,
        label="ours",
    )
    right.plot(
        areas,
        100 * np.array(UNITS) / np.array(CELLS),
        "o",
        mfc="none",
        mec=INK,
        markersize=5,
        label="published program",
    )
    right.set(
        xlabel="area of the scaffold", ylabel="layer-II units, % of cells", ylim=(0, 25), xlim=(100, 800)
    )
    right.legend(loc="lower right")
    return figure


@styled
def _shapes(data) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.9), layout="constrained")
    for axes, (name, sheet) in zip(figure.subplots(1, 5), data["shapes"].items(), strict=True):
        lineage(sheet, axes=axes)
        axes.set_title(f"{name}: {sheet.n} cells, {sheet.m} units", fontsize=7, loc="center")
    return figure


def plot(data) -> dict[str, Figure]:
    """Draw one sheet growing, counts against the published ones, and the lineages on other shapes."""
    return {"growing": growth(data["sheet"]), "numbers": _numbers(data), "shapes": _shapes(data)}


if __name__ == "__main__":
    main(__file__, run, plot)
