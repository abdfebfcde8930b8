"""Waves in three forms of cell, and on 100 000 cells: bumps are local, travel, and start in many places."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _waves import SETTINGS, measured, on_squares, square
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.sheet import Recording
from devnet.spec import RateMapSpec
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz import wave_frames
from devnet.viz.style import ABOVE, AGES, INK, MUTED, WIDTH, crowd, styled
from devnet.waves import simulate, uncoupled

FRAMES = 6
TRAIL = 150
"""Steps over which the picture of the large sheet looks back."""
REGIONS = 4
"""The large sheet is cut into so many regions a side."""


def run(effort: Effort) -> Found:
    """Run the three forms and their controls without coupling, then a large sheet of the map."""
    seeds, steps, shot = effort.pick(1, 2, 10), effort.pick(600, 2000, 6000), effort.pick(600, 2000, 2000)
    answers: dict[str, Answer] = {}
    shown: list[Recording] = []
    for form, setting in SETTINGS.items():
        began = perf_counter()

        def spread(sheet, seed, form=form, setting=setting):
            """Return size of a wave and of matched noise as shares of the sheet's, speed in spacings a step."""
            waves, _ = measured(sheet, setting.spec, steps, seed, setting.window)
            noise = uncoupled(sheet, setting.spec, Key(seed).child("probe"))
            apart, _ = measured(sheet, noise, max(300, steps // 8), seed, setting.window)
            sizes = [(s.rms_radius_mean or np.inf) / sheet.rms_radius for s in (waves, apart)]
            return *sizes, (waves.body_speed or 0.0) / sheet.spacing, waves.single_share or 0.0

        found, _ = on_squares(setting, seeds, spread)
        seconds = perf_counter() - began
        for name, column in zip(("size", "noise", "speed", "single"), zip(*found, strict=True), strict=True):
            answers[f"{form}_{name}"] = Answer(column, seconds)
        (recording,), _ = on_squares(
            setting,
            1,
            lambda sheet, seed, s=setting: simulate(sheet, s.spec, steps=shot, rng=seed),
        )
        shown.append(recording)
    large, numbers = _large(effort, seeds)
    return Found(answers | numbers, {"shown": shown, "large": large})


def _large(effort: Effort, seeds: int):
    """Run the map on a large sheet; return what the picture needs and the answers."""
    began = perf_counter()
    side, steps = effort.pick(95, 120, 316), effort.pick(200, 512, 1024)
    spec = RateMapSpec()
    _, small = measured(square(1600, 40.0, 0), spec, effort.pick(600, 6000, 6000), 0, 1)
    at_once, sizes, places, speeds = [], [], [], []
    picture = {}
    for seed in range(seeds):
        sheet = square(side**2, side, seed)
        if seed == 0:
            last = np.full(sheet.n, -TRAIL, dtype=np.int64)
            recording = simulate(sheet, spec, steps=steps, rng=seed, field="fast")
            last[recording.cell] = recording.time  # later spikes overwrite earlier ones
            picture = {"sheet": sheet, "age": steps - 1 - last}
        found, bodies = measured(sheet, spec, steps, seed, 1, warm=0, field="fast")
        if seed == 0:
            picture |= {"starts": found.starts[found.start_frames > steps - TRAIL]}
        at_once.append(float(found.series.components[steps // 2 :].mean()) / sheet.n * 1e5)
        sizes.append(float(np.median(bodies.cells) / np.median(small.cells)))
        speeds.append(found.body_speed or 0.0)
        region = (found.starts / side * REGIONS).astype(int)
        places.append(len(np.unique(region @ [REGIONS, 1])) / REGIONS**2)
    seconds = perf_counter() - began
    values = {"large_at_once": at_once, "large_size": sizes, "large_speed": speeds, "large_places": places}
    return picture, {name: Answer(v, seconds) for name, v in values.items()}


@styled
def plot(data) -> dict[str, Figure]:
    """Draw frames of a wave a form, and the large sheet with the trails of its waves."""
    return {"forms": _forms(data["shown"]), "large": _large_picture(data["large"])}


def _forms(shown: list[Recording]) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.42 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), FRAMES)
    for row, recording, setting in zip(grid, shown, SETTINGS.values(), strict=True):
        wave_frames(recording, count=FRAMES, axes=row)
        row[0].text(
            -0.12, 0.5, setting.name, rotation=90, ha="right", va="center", transform=row[0].transAxes
        )
    return figure


def _large_picture(large) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
    whole, part = figure.subplots(1, 2)
    positions, age = large["sheet"].positions, large["age"]
    side = large["sheet"].scaffold.bounds[2]
    trail = np.flatnonzero(age < TRAIL)
    trail = trail[np.argsort(-age[trail])]
    begin = _busiest(positions[trail], side)
    for axes, size, low, high in (
        (whole, 0.25, np.zeros(2), np.full(2, side)),
        (part, 5.0, begin, begin + side / 4),
    ):
        crowd(axes)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.spines[:].set(visible=True, color=MUTED, zorder=ABOVE)
        marks = axes.scatter(*positions[trail].T, c=age[trail], s=size, cmap=AGES.reversed(), vmin=0, vmax=TRAIL,
                             linewidths=0)  # fmt: skip
        axes.plot(*large["starts"].T, "+", color=INK, markersize=5, markeredgewidth=0.9, zorder=ABOVE)
    box = begin + side / 4 * np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    whole.plot(*box.T, color=INK, linewidth=0.8, zorder=ABOVE)
    whole.set_title(f"{len(positions)} cells; +: starts of the last {TRAIL} steps")
    part.set_title("the framed part")
    figure.colorbar(
        marks, ax=[whole, part], label="steps since a cell fired", location="bottom", shrink=0.4, aspect=40
    )
    return figure


def _busiest(points, side):
    """Return the lower left corner of the window of a quarter side that holds most points."""
    count, x, y = np.histogram2d(*points.T, bins=16, range=[[0, side], [0, side]])
    windows = np.lib.stride_tricks.sliding_window_view(count, (4, 4)).sum(axis=(2, 3))
    i, j = np.unravel_index(np.argmax(windows), windows.shape)
    return np.array([x[i], y[j]])


if __name__ == "__main__":
    main(__file__, run, plot)
