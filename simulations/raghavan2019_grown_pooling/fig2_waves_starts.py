"""Where waves start, held against the density of cells: everywhere, but not evenly.

A start is the centroid of a wave's first body, which cannot lie at the border itself: of the outermost fifth of the cells
the figures tell too little.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _waves import SETTINGS, measured, on_squares
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.sheet import Sheet
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz.style import ABOVE, FIRE, INK, MUTED, OURS, RESTING, WIDTH, dots, sheet_panel, styled

FORMS = ("map", "g19")
"""Waves of M20's first retina never die out, so next to none start."""
REGIONS = 3
"""The sheet is cut into so many regions a side."""
CONTROLS = 20
"""So many times as many cells are drawn at random."""
BANDS = 5
"""The sheet is cut into so many bands of equally many cells by the distance to the border."""


def excess(starts: np.ndarray, sheet: Sheet) -> float:
    """Return chi-square per degree of freedom of starts in the regions against the share of cells there."""
    side = sheet.scaffold.bounds[2]

    def counts(places: np.ndarray) -> np.ndarray:
        region = np.minimum((places / side * REGIONS).astype(int), REGIONS - 1) @ [REGIONS, 1]
        return np.bincount(region, minlength=REGIONS**2)

    expected = counts(sheet.positions) * len(starts) / sheet.n
    return float(((counts(starts) - expected) ** 2 / expected).sum() / (REGIONS**2 - 1))


def in_bands(places: np.ndarray, sheet: Sheet) -> np.ndarray:
    """Return the density of places, relative to that of cells, in bands from the border inwards."""
    side = sheet.scaffold.bounds[2]
    depth, cells = (np.minimum(p, side - p).min(axis=1) for p in (places, sheet.positions))
    edges = np.quantile(cells, np.linspace(0, 1, BANDS + 1)[1:-1])
    return np.bincount(np.searchsorted(edges, depth), minlength=BANDS) / max(1, len(places)) * BANDS


def run(effort: Effort) -> Found:
    """Collect the places where waves start, and as many random cells as the control."""
    seeds, steps = effort.pick(1, 2, 10), effort.pick(1500, 20000, 30000)
    answers: dict[str, Answer] = {}
    data = {}
    for form in FORMS:
        setting, began = SETTINGS[form], perf_counter()

        def starts(sheet, seed, setting=setting):
            found, _ = measured(sheet, setting.spec, steps, seed, setting.window)
            stream = Key(seed).stream("control")
            draws = [stream.uniform(step, max(1, len(found.starts))) for step in range(CONTROLS)]
            return sheet, found.starts, [sheet.positions[(draw * sheet.n).astype(int)] for draw in draws]

        found, lost = on_squares(setting, seeds, starts)
        bands = np.array([in_bands(places, sheet) for sheet, places, _ in found])
        values = {
            "waves": [float(len(places)) for _, places, _ in found],
            "regions": [
                len(np.unique((places / setting.side * REGIONS).astype(int) @ [REGIONS, 1])) / REGIONS**2
                for _, places, _ in found
            ],
            "uneven": [excess(places, sheet) if len(places) else 0.0 for sheet, places, _ in found],
            "control": [
                float(np.mean([excess(places, sheet) for places in drawn])) for sheet, _, drawn in found
            ],
            "border": [float(row[0]) for row in bands],
        }
        seconds = perf_counter() - began
        answers |= {f"{form}_{name}": Answer(v, seconds) for name, v in values.items()}
        control = np.array([in_bands(places, sheet) for sheet, _, drawn in found for places in drawn])
        data[form] = {"found": found, "bands": bands, "control": control, "lost": lost}
    return Found(answers, data)


@styled
def plot(data) -> Figure:
    """Draw the starts of all sheets, and their density from the border inwards beside that of random cells."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    *maps, profile = figure.subplots(1, len(FORMS) + 1, width_ratios=[1] * len(FORMS) + [1.15])
    for axes, form, color in zip(maps, FORMS, (OURS, FIRE), strict=True):
        found, setting = data[form]["found"], SETTINGS[form]
        sheet_panel(axes, found[0][0])
        dots(axes, found[0][0].positions, 0.3 * found[0][0].spacing, RESTING)
        places = np.concatenate([places for _, places, _ in found])
        axes.plot(*places.T, ".", color=color, markersize=3, markeredgewidth=0, alpha=0.7, zorder=ABOVE)
        axes.set_title(
            f"{setting.name}: {len(places)} starts, {len(found)} sheets", loc="center", fontsize=7.5
        )
        bands = data[form]["bands"]
        x = np.arange(BANDS) + (0.08 if form == FORMS[0] else -0.08)
        profile.errorbar(x, bands.mean(axis=0), bands.std(axis=0), color=color, marker="o", markersize=3,
                         elinewidth=0.8, label=setting.name)  # fmt: skip
    control = np.concatenate([data[form]["control"] for form in FORMS])
    profile.fill_between(np.arange(BANDS), control.mean(axis=0) - control.std(axis=0),
                         control.mean(axis=0) + control.std(axis=0), color=MUTED, alpha=0.25, linewidth=0,
                         label="random cells")  # fmt: skip
    profile.axhline(1.0, color=INK, linewidth=0.6, linestyle=":")
    profile.set(xlabel="fifths of the cells, from the border inwards", ylabel="starts per cell, mean 1",
                xticks=range(BANDS), xticklabels=range(1, BANDS + 1), ylim=(0, 3.0))  # fmt: skip
    profile.legend()
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
