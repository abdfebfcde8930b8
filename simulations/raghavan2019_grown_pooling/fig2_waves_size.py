"""Size of the waves against r_o and r_i, in three forms of cell."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _waves import SETTINGS, measured, on_squares
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz.style import FIRE, INK, MUTED, OURS, PATCHES, WIDTH, styled

# Lengths as the forms count them: mean spacings (map), the sheets' own unit (G19, M20). Below its first r_i the G19
# form is silent, above its last its steps are unstable.
RANGES = {
    "map": {"r_o": (3.5, 4.0, 5.0, 6.0, 8.0, 10.0), "r_i": (2.0, 2.5, 3.0, 3.5, 4.0, 4.5)},
    "g19": {"r_o": (3.0, 4.0, 5.0, 6.0, 8.0, 10.0), "r_i": (1.75, 2.0, 2.25, 2.5)},
    "m20": {"r_o": (3.0, 4.0, 5.0, 6.0, 7.0, 8.0), "r_i": (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)},
}
BASE = {"map": {}, "g19": {"r_o": 6.0}, "m20": {}}
COLORS = {"map": OURS, "g19": FIRE, "m20": PATCHES[2]}


def run(effort: Effort) -> Found:
    """Run each form with r_o and r_i varied one at a time, and measure the radius of its bodies."""
    seeds, steps = effort.pick(1, 2, 10), effort.pick(300, 1500, 6000)
    answers: dict[str, Answer] = {}
    data: dict[str, dict[str, np.ndarray]] = {}
    for form, setting in SETTINGS.items():
        data[form] = {}
        for name, whole in RANGES[form].items():
            began = perf_counter()
            values = effort.pick(whole[1:4:2], whole, whole)

            def radii(sheet, seed, name=name, values=values, form=form, setting=setting):
                found = []
                for value in values:
                    spec = setting.with_coupling(**BASE[form] | {name: value})
                    statistics, _ = measured(sheet, spec, steps, seed, setting.window)
                    found.append(statistics.body_radius or 0.0)  # no wave: no size
                return found

            found, _ = on_squares(setting, seeds, radii)
            data[form][name] = np.array(values), np.array(found)
            ranks = [float(spearmanr(values, row).statistic) if np.ptp(row) else 0.0 for row in found]
            answers[f"{form}_{name}"] = Answer(ranks, perf_counter() - began)
    return Found(answers, data)


@styled
def plot(data) -> Figure:
    """Draw radius against r_o and against r_i, a line a form, the spread over seeds as a band."""
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    for axes, name, words in zip(
        figure.subplots(1, 2, sharey=True),
        ("r_o", "r_i"),
        ("inhibition begins", "excitation ends"),
        strict=True,
    ):
        for form, setting in SETTINGS.items():
            values, radius = data[form][name]
            x = values / setting.spacing
            y = np.ma.masked_equal(radius, 0.0) / (setting.side / setting.cells**0.5)
            mean, sd = y.mean(axis=0), y.std(axis=0)
            axes.plot(x, mean, color=COLORS[form], marker="o", markersize=3, label=setting.name)
            axes.fill_between(x, mean - sd, mean + sd, color=COLORS[form], alpha=0.2, linewidth=0)
            base = getattr(setting.with_coupling(**BASE[form]).coupling, name) / setting.spacing
            axes.plot(
                base, np.interp(base, x, mean.filled(np.nan)), "o", markersize=7, mfc="none", mec=INK, mew=0.8
            )
        axes.set_xlabel(f"{name}: where {words} [mean spacings]")
    left, right = figure.axes
    left.set(ylabel="radius of a wave [mean spacings]", ylim=(0, None))
    left.legend(loc="upper left")
    right.text(0.98, 0.03, "rings: the value at which the other radius is varied", ha="right", color=MUTED, fontsize=7,
               transform=right.transAxes)  # fmt: skip
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
