"""Waves wire pools on scaffolds of other shapes: a C, a ring, two holes, a disk, a sphere cap."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _pools import Pools, finite, geometry
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.measure import wiring_statistics
from devnet.organization import organize
from devnet.sheet import Wiring
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz import pools
from devnet.viz.style import FIRE, OURS, WIDTH, styled

SHAPES = {
    "C": "",
    "C, grown": "/grown",
    "ring": "/ring",
    "two holes": "/two_holes",
    "disk": "/disk",
    "cap": "/cap",
}


def run(effort: Effort) -> Found:
    """Wire 400 units on each shape: by the map form on several sheets, by the published form on fewer."""
    answers: dict[str, Answer] = {}
    shapes = effort.pick({name: SHAPES[name] for name in ("ring", "cap")}, SHAPES, SHAPES)
    steps, seeds = effort.pick(600, 20_000, 20_000), effort.pick(1, 2, 10)
    began = perf_counter()
    found = {
        shape: [
            organize(grow(f"raghavan2019_geometry{tail}", rng=s), "rate_map", steps=steps, rng=s)
            for s in range(seeds)
        ]
        for shape, tail in shapes.items()
    }
    told = {shape: [wiring_statistics(w) for w in many] for shape, many in found.items()}
    shaped = {shape: [geometry(w) for w in many] for shape, many in found.items()}
    took = perf_counter() - began
    worst = [
        [min(getattr(told[shape][s], name) for shape in shapes) for s in range(seeds)]
        for name in ("organized", "coverage")
    ]
    answers["organized"], answers["coverage"] = (Answer(values, took) for values in worst)
    compact = [min(shaped[shape][s].get("compactness", 0.0) for shape in shapes) for s in range(seeds)]
    answers["compactness"] = Answer(compact, took)

    began = perf_counter()
    long = effort.pick(600, 60_000, 120_000)
    ends = {}
    for shape, tail in shapes.items():

        def one(seed: int, tail=tail) -> Wiring:
            return organize(
                grow(f"raghavan2019_geometry{tail}", rng=seed), "izhikevich", steps=long, rng=seed
            )

        wirings, _ = finite(effort.pick(1, 1, 3), one)
        ends[shape] = [Pools.of(w) for w in wirings]
    took = perf_counter() - began
    answers["published_form"] = Answer(
        [min(p[s].small.mean() for p in ends.values()) for s in range(effort.pick(1, 1, 3))], took
    )
    return Found(answers, {"wirings": {shape: many[0] for shape, many in found.items()}, "told": told, "shaped": shaped,
                           "published": ends})  # fmt: skip


@styled
def _sheets(data) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    for axes, (shape, wiring) in zip(figure.subplots(2, 3).ravel(), data["wirings"].items(), strict=False):
        spare = figure.add_axes((0, 0, 0.01, 0.01))
        pools(wiring, shown=40, axes=(spare, axes))
        spare.remove()
        numbers = data["told"][shape][0]
        axes.set_title(
            f"{shape}: {wiring.sheet.n} cells, {100 * numbers.organized:.0f} % organized", loc="center"
        )
        for text in list(axes.texts):
            text.remove()
    return figure


@styled
def _numbers(data) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.1), layout="constrained")
    names = {"organized units, share": "organized", "covered cells, share": "coverage", "overlap": "overlap"}
    for axes, (label, name) in zip(figure.subplots(1, 4)[:3], names.items(), strict=True):
        for k, shape in enumerate(data["told"]):
            values = [getattr(s, name) for s in data["told"][shape]]
            axes.plot(
                np.full(len(values), k) + np.linspace(-0.2, 0.2, len(values)),
                values,
                "o",
                color=OURS,
                markersize=2.5,
            )
        axes.set_xticks(
            range(len(data["told"])), data["told"], rotation=45, ha="right", rotation_mode="anchor"
        )
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.set_ylabel(label)
    last = figure.axes[3]
    for k, shape in enumerate(data["told"]):
        values = [p.small.mean() for p in data["published"][shape]]
        last.plot(np.full(len(values), k), values, "o", color=FIRE, markersize=2.5)
    last.set_xticks(range(len(data["told"])), data["told"], rotation=45, ha="right", rotation_mode="anchor")
    last.set(ylabel="converged, published form", ylim=(0, 1.05))
    return figure


def plot(data) -> dict[str, Figure]:
    """Draw the pools of one sheet a shape, and what all sheets give."""
    return {"sheets": _sheets(data), "numbers": _numbers(data)}


if __name__ == "__main__":
    main(__file__, run, plot)
