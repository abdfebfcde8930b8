"""The whole story in one wide picture: growth, waves, pools, and a path."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from devnet.sheet import Recording, Sheet, Wiring
from devnet.viz.learning import times
from devnet.viz.paths import PathLike
from devnet.viz.pools import centers, draw_fields, neighbor_colors, spread_units
from devnet.viz.style import AGES, FIRE, INK, MUTED, OURS, UNIT, by_birth, dots, sheet_panel, styled
from devnet.viz.waves import draw_firing, follow

_BLOCK = 3.05
"""Width of a block in inches."""


@styled
def story(
    sheet: Sheet,
    recording: Recording,
    wiring: Wiring,
    path: PathLike | None = None,
    accuracy: Float[np.ndarray, " K"] | None = None,
) -> Figure:
    """Draw how one cell becomes a wired network: four stages of growth, four of a wave, four of the pools.

    Args:
        sheet: A grown sheet.
        recording: Its waves.
        wiring: Its pools.
        path: A path that sparsifies a network behind such pools; or None.
        accuracy: Test accuracy at the path's way-points, in per cent; or None.

    Returns:
        The figure.
    """
    blocks = 3 if path is None else 4
    figure = Figure(figsize=(blocks * _BLOCK, 3.75), layout="constrained")
    parts: Any = figure.subfigures(1, blocks, wspace=0.04, width_ratios=[1.0, 1.0, 1.0, 0.85][:blocks])
    _growth(parts[0], sheet)
    _waves(parts[1], recording)
    _pools(parts[2], wiring)
    if path is not None:
        _path(parts[3], path, accuracy)
    return figure


def _four(part: SubFigure, number: int, title: str) -> list[Axes]:
    part.suptitle(f"{number}  {title}", x=0.02, ha="left", fontsize=10.5, fontweight="bold")
    return part.subplots(2, 2).ravel().tolist()


def _growth(part: SubFigure, sheet: Sheet) -> None:
    places = _four(part, 1, "One cell grows into two layers")
    curve = sheet.growth_curve
    sweeps = [0, *(int(np.searchsorted(curve, share * sheet.n)) for share in (0.03, 0.4)), int(sheet.sweeps)]
    colors = AGES(by_birth(sheet)(sheet.born))
    for place, sweep in zip(places, sweeps, strict=True):
        there, up = sheet.born <= sweep, sheet.emitted <= sweep
        cells = int(there.sum())
        text = "1 cell" if cells == 1 else f"{cells} cells"
        sheet_panel(place, sheet, f"{text}, {int(up.sum())} units" if up.any() else text)
        size = sheet.spacing * (1.0 + 2.0 / np.sqrt(cells))
        dots(place, sheet.positions[there], size, colors[there])
        if up.any():
            dots(place, sheet.unit_positions[up], 0.9 * sheet.spacing, UNIT, zorder=3.0)


def _waves(part: SubFigure, recording: Recording) -> None:
    places = _four(part, 2, "Waves run over it")
    shot = follow(recording, len(places))
    for place, step in zip(places, shot.steps, strict=True):
        draw_firing(place, recording, step, shot.window, f"step {step}")


def _pools(part: SubFigure, wiring: Wiring) -> None:
    places = _four(part, 3, "Waves wire pools")
    steps, weights = times(wiring)
    chosen = spread_units(wiring.weights, 24)
    colors = neighbor_colors(centers(wiring.weights[:, chosen], wiring.sheet))
    for place, k in zip(places, np.linspace(0, len(steps) - 1, len(places)).round().astype(int), strict=True):
        text = "before" if steps[k] == 0 else f"{steps[k]:,} steps"
        draw_fields(place, wiring.sheet, weights[k][:, chosen], colors, text)


def _path(part: SubFigure, path: PathLike, accuracy: np.ndarray | None) -> None:
    part.suptitle("4  A path thins it out", x=0.02, ha="left", fontsize=10.5, fontweight="bold")
    place = part.subplots(1, 1)
    rows = [("weights at zero", 100.0 * path.sparsity, FIRE, (-8, -24), "top")]
    if accuracy is not None:
        rows.append(("images told right", np.asarray(accuracy), OURS, (0, 7), "bottom"))
    for name, values, color, shift, side in rows:
        place.plot(path.steps, values, "o-", color=color, markersize=3, clip_on=False)
        at = -1 if side == "bottom" else int(np.argmax(values > 0.5 * values[-1]))
        text = f"{name}: {values[-1]:.1f} %" if side == "bottom" else f"{name}: {values[-1]:.0f} %"
        place.annotate(
            text,
            (path.steps[at], values[at]),
            xytext=shift,
            textcoords="offset points",
            ha="right",
            va=side,
            color=color,
            fontsize=8.5,
        )
    place.set(
        ylim=(0, 108), yticks=[0, 25, 50, 75, 100], xlim=(0, None), xlabel="step of the path", ylabel="%"
    )
    place.tick_params(colors=MUTED)
    place.yaxis.label.set_color(INK)
