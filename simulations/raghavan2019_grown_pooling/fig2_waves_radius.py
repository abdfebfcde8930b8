"""Radius and speed of a bump of the rate-like map against the fixed point of ``devnet.measure.bump``; nothing is fitted."""

from __future__ import annotations

from itertools import product
from time import perf_counter

import numpy as np
from _waves import inner, measured, square
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from devnet.measure import resting_radius, travelling_disc
from devnet.spec import RateMapSpec
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz.style import INK, MUTED, OURS, PATCHES, THEIRS, WIDTH, styled

SIDE = 48
GRID = {"r_i": (2.5, 3.0, 3.5), "r_o": (4.0, 6.0, 9.0), "a_i": (4.0, 6.0), "a_o": (1.5, 3.0)}
QUICK = {"r_i": (2.5, 3.5), "r_o": (4.0, 6.0, 9.0), "a_i": (4.0, 6.0), "a_o": (2.0,)}
SMOKE = {"r_i": (2.5, 3.5), "r_o": (4.0, 6.0), "a_i": (5.0,), "a_o": (2.0,)}
FEWEST = 100
"""Bodies away from the border below which a setting has no measured radius."""


def run(effort: Effort) -> Found:
    """Measure bumps over a grid of (r_i, r_o, a_i, a_o) and hold them against the prediction."""
    began = perf_counter()
    grid = effort.pick(SMOKE, QUICK, GRID)
    settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    specs = [RateMapSpec(coupling=RateMapSpec().coupling.replace(**setting)) for setting in settings]
    discs = [travelling_disc(spec) for spec in specs]
    seeds, steps = effort.pick(1, 2, 10), effort.pick(500, 2500, 5000)
    radius, speed = (np.full((seeds, len(specs)), np.nan) for _ in range(2))
    for seed in range(seeds):
        sheet = square(SIDE**2, SIDE, seed)
        for number, spec in enumerate(specs):
            _, bodies = measured(sheet, spec, steps, seed, 1)
            kept = inner(bodies, sheet, spec.coupling.r_o)
            if kept.sum() >= FEWEST:
                radius[seed, number] = np.sqrt(np.median(bodies.cells[kept]) / np.pi)
                speed[seed, number] = np.nanmedian(bodies.speed[kept])
    seconds = perf_counter() - began
    predicted = np.array([(np.nan, np.nan) if disc is None else disc for disc in discs])
    rest = np.array([resting_radius(spec.coupling, spec.v_rest) or np.nan for spec in specs])
    data = {"settings": settings, "radius": radius, "speed": speed, "predicted": predicted, "rest": rest}

    def errors(found: np.ndarray, by: np.ndarray) -> list[float]:
        return [100 * float(np.nanmedian(np.abs(by / row - 1))) for row in found]

    def ranks(found: np.ndarray, by: np.ndarray) -> list[float]:
        return [float(spearmanr(by, row, nan_policy="omit").statistic) for row in found]

    worst = 100 * np.nanmax(np.abs(predicted[:, 0] / np.nanmean(radius, axis=0) - 1))
    values = {
        "measured": [100 * float(np.isfinite(row).mean()) for row in radius],
        "error": errors(radius, predicted[:, 0]),
        "worst": [float(worst)],
        "rank": ranks(radius, predicted[:, 0]),
        "speed_error": errors(speed, predicted[:, 1]),
        "speed_rank": ranks(speed, predicted[:, 1]),
        "rest_error": errors(radius, rest),
    }
    return Found({name: Answer(v, seconds) for name, v in values.items()}, data)


@styled
def plot(data) -> Figure:
    """Draw measured against predicted radius and speed, a dot a setting with its spread over seeds."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    inhibition = np.array([setting["r_o"] for setting in data["settings"]])
    for axes, name, column, unit in zip(
        figure.subplots(1, 2),
        ("radius", "speed"),
        (0, 1),
        ("mean spacings", "mean spacings per step"),
        strict=True,
    ):
        kept = np.isfinite(data[name]).any(axis=0)
        mean = np.nanmean(data[name][:, kept], axis=0)
        sd = np.nanstd(data[name][:, kept], axis=0)
        x = data["predicted"][kept, column]
        for color, r_o in zip((PATCHES[1], OURS, PATCHES[3]), np.unique(inhibition), strict=False):
            here = inhibition[kept] == r_o
            axes.errorbar(x[here], mean[here], sd[here], fmt="o", markersize=3.5, color=color, elinewidth=0.8,
                          label=f"r_o = {r_o:g}")  # fmt: skip
        if column == 0:
            axes.plot(data["rest"][kept], mean, "x", color=THEIRS, markersize=3.5, label="disc at rest")
            handles, names = axes.get_legend_handles_labels()
            axes.legend(handles[1:] + handles[:1], names[1:] + names[:1], loc="lower right")
        top = 1.08 * max(x.max(), mean.max(), data["rest"][kept].max() if column == 0 else 0)
        axes.plot([0, top], [0, top], color=INK, linewidth=0.6, linestyle=":")
        axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")
        axes.set(xlabel=f"predicted {name} [{unit}]", ylabel=f"measured {name} [{unit}]")
    figure.axes[1].text(0.03, 0.97, "dotted: equal; nothing is fitted", va="top", color=MUTED, fontsize=7,
                        transform=figure.axes[1].transAxes)  # fmt: skip
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
