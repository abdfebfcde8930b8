"""Every cell is visited, and how evenly; what refractoriness graded from the center does to it."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _waves import LEARNING, SETTINGS, WARM, measured, on_squares
from matplotlib.figure import Figure

from devnet.sheet import Sheet
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz.style import FIRE, INK, OURS, PATCHES, THEIRS, WIDTH, crowd, styled
from devnet.waves import simulate

SHEETS = SETTINGS | {"learning": LEARNING}
RINGS = 6
"""The learning sheet is cut into so many rings of equally many cells around its center."""


def even(sheet: Sheet):
    """Return the learning form with every cell's d at the mean of the graded ones."""
    spec = LEARNING.spec
    low, high = sheet.positions.min(axis=0), sheet.positions.max(axis=0)
    distance = np.hypot(*(sheet.positions - (low + high) / 2).T)
    return spec.replace(
        d=float(np.mean(spec.d - spec.d_spread * np.exp(-distance / spec.d_length))), d_spread=0.0
    )


def rings(values: np.ndarray, sheet: Sheet) -> np.ndarray:
    """Return the mean of values over the cells of each ring, from the center outwards, relative to the whole mean."""
    order = np.argsort(np.hypot(*(sheet.positions - np.array(sheet.scaffold.bounds[2:]) / 2).T))
    return np.array([values[ring].mean() for ring in np.array_split(order, RINGS)]) / max(values.mean(), 1e-9)


def run(effort: Effort) -> Found:
    """Count visits on every sheet, without coupling as the control, and with graded against even refractoriness."""
    seeds, steps = effort.pick(1, 2, 10), effort.pick(400, 4000, 20000)
    answers: dict[str, Answer] = {}
    data = {"cv": {}}
    for form, setting in SHEETS.items():
        began = perf_counter()

        def visits(sheet, seed, setting=setting):
            found, _ = measured(sheet, setting.spec, steps, seed, setting.window)
            alone = setting.with_coupling(a_i=0.0, a_o=0.0)
            control, _ = measured(sheet, alone, steps, seed, setting.window)
            return found.visited, found.visits_cv or 0.0, control.visited, (sheet, found.visits)

        found, lost = on_squares(setting, seeds, visits)
        visited, cv, control, maps = zip(*found, strict=True)
        seconds = perf_counter() - began
        answers[f"{form}_visited"] = Answer(visited, seconds)
        answers[f"{form}_cv"] = Answer(cv, seconds)
        if form != "m20":  # its cells fire by noise alone
            answers[f"{form}_uncoupled"] = Answer(control, seconds)
        if form in ("g19", "learning"):
            answers[f"{form}_lost"] = Answer([lost], seconds)
        data["cv"][form] = cv
        data.setdefault("maps", {})[form] = maps[0]

    began = perf_counter()

    def graded(sheet, seed):
        rows = []
        for spec in (LEARNING.spec, even(sheet)):
            recording = simulate(sheet, spec, steps=WARM + max(400, steps // 2), rng=seed)
            rows.append(rings(np.bincount(recording.cell[recording.time >= WARM], minlength=sheet.n), sheet))
        return rows

    found, _ = on_squares(LEARNING, seeds, graded)
    profiles = np.array(found)
    contrast = profiles[:, :, : RINGS // 2].mean(axis=2) / profiles[:, :, RINGS // 2 :].mean(axis=2)
    seconds = perf_counter() - began
    answers["graded_rate"] = Answer((contrast[:, 0] / contrast[:, 1]).tolist(), seconds)
    answers["even_rate"] = Answer(contrast[:, 1].tolist(), seconds)
    return Found(answers, data | {"profiles": profiles})


@styled
def plot(data) -> Figure:
    """Draw visits a cell on one sheet a form, how uneven they are, and firing from the center outwards."""
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.15, 1])
    for axes, (form, (sheet, visits)) in zip(top.subplots(1, len(SHEETS)), data["maps"].items(), strict=True):
        crowd(axes)
        side = sheet.scaffold.bounds[2]
        size = 22000 / sheet.n
        marks = axes.scatter(*sheet.positions.T, c=visits / max(visits.mean(), 1e-9), s=size / 4, cmap="viridis",
                             vmin=0, vmax=2, linewidths=0)  # fmt: skip
        axes.set(xlim=(0, side), ylim=(0, side))
        axes.set_title(SHEETS[form].name, loc="center")
    top.colorbar(marks, ax=top.axes, label="visits / mean", shrink=0.8, ticks=[0, 1, 2])
    spread, profile = bottom.subplots(1, 2, width_ratios=[1, 1.2])
    colors = (OURS, FIRE, PATCHES[2], PATCHES[5])
    for number, (form, color) in enumerate(zip(SHEETS, colors, strict=True)):
        values = data["cv"][form]
        spread.plot(np.linspace(-0.15, 0.15, len(values)) + number, values, "o", color=color, markersize=3)
        spread.hlines(np.mean(values), number - 0.25, number + 0.25, color=color)
    spread.set(ylabel="sd / mean of visits", ylim=(0, None), xticks=range(len(SHEETS)))
    spread.set_xticklabels([setting.name.replace(", ", ",\n") for setting in SHEETS.values()], fontsize=6.5)
    for number, (name, color) in enumerate(
        (("d graded from the center", PATCHES[5]), ("d everywhere its mean", THEIRS))
    ):
        rows = data["profiles"][:, number]
        profile.errorbar(np.arange(RINGS) + 0.06 * number, rows.mean(axis=0), rows.std(axis=0), color=color,
                         marker="o", markersize=3, elinewidth=0.8, label=name)  # fmt: skip
    profile.axhline(1.0, color=INK, linewidth=0.6, linestyle=":")
    profile.set(xlabel="sixths of the cells, from the center outwards", ylabel="spikes per cell, mean 1", ylim=(0, None),
                xticks=range(RINGS), xticklabels=range(1, RINGS + 1))  # fmt: skip
    profile.legend()
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
