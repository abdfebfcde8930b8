"""The whole story in one wide picture: growth, waves, pools, and a path."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devnet.sheet import Recording, Sheet, Wiring
from devnet.viz._learning import times
from devnet.viz._paths import PathLike
from devnet.viz._pools import centers, draw_fields, neighbor_colors, spread_units
from devnet.viz._waves import draw_firing, follow
from devnet.viz.style import AGES, FIRE, INK, MUTED, OURS, UNIT, by_birth, dots, sheet_panel, styled

# Inches. Everything has its place beforehand: a layout that is solved for differs in its last digits from run to run.
_BLOCK, _HEIGHT = 3.05, 3.68
_MAP = (1.42, 1.5)
_ROW = 1.71
_HEAD = 0.23


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
        sheet: A sheet; of one whose cells were scattered no growth is drawn.
        recording: Its waves.
        wiring: Its pools.
        path: A path that sparsifies a network behind such pools; or None.
        accuracy: Test accuracy at the path's way-points, in per cent; or None.

    Returns:
        The figure.
    """
    grown = not sheet.model.growth.scattered
    blocks = 2 + grown
    figure = Figure(figsize=(_BLOCK * (blocks + 0.85 * (path is not None)), _HEIGHT))
    if grown:
        _growth(_four(figure, 0, "One cell grows into two layers"), sheet)
    _waves(_four(figure, blocks - 2, "Waves run over it" if grown else "Waves run over a sheet"), recording)
    _pools(_four(figure, blocks - 1, "Waves wire pools"), wiring)
    if path is not None:
        _head(figure, blocks, "A path thins it out")
        _path(_panel(figure, blocks * _BLOCK + 0.5, 0.45, 2.0, 2.8), path, accuracy)
    return figure


def _panel(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    across, up = figure.get_size_inches()
    return figure.add_axes((x / across, y / up, width / across, height / up))


def _head(figure: Figure, block: int, title: str) -> None:
    across, up = figure.get_size_inches()
    x, y = (_BLOCK * block + 0.06) / across, 1 - 0.05 / up
    figure.text(x, y, f"{block + 1}  {title}", va="top", fontsize=10.5, fontweight="bold")


def _four(figure: Figure, block: int, title: str) -> list[Axes]:
    _head(figure, block, title)
    corners = [
        (block * _BLOCK + 0.04 + column * (_MAP[0] + 0.06), _HEIGHT - _HEAD - (row + 1) * _ROW)
        for row in (0, 1)
        for column in (0, 1)
    ]
    return [_panel(figure, x, y, *_MAP) for x, y in corners]


def _growth(places: list[Axes], sheet: Sheet) -> None:
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


def _waves(places: list[Axes], recording: Recording) -> None:
    shot = follow(recording, len(places))
    for place, step in zip(places, shot.steps, strict=True):
        draw_firing(place, recording, step, shot.window, f"step {step}")


def _pools(places: list[Axes], wiring: Wiring) -> None:
    steps, weights = times(wiring)
    chosen = spread_units(wiring.weights, 24)
    colors = neighbor_colors(centers(wiring.weights[:, chosen], wiring.sheet))
    for place, k in zip(places, np.linspace(0, len(steps) - 1, len(places)).round().astype(int), strict=True):
        text = "before" if steps[k] == 0 else f"{steps[k]:,} steps"
        draw_fields(place, wiring.sheet, weights[k][:, chosen], colors, text)


def _path(place: Axes, path: PathLike, accuracy: np.ndarray | None) -> None:
    rows = [("weights at zero", 100.0 * path.sparsity, FIRE, (-8, -24), "top")]
    if accuracy is not None:
        rows.append(("images told right", np.asarray(accuracy), OURS, (0, 7), "bottom"))
    for name, values, color, shift, side in rows:
        place.plot(path.steps, values, "o-", color=color, markersize=3, clip_on=False)
        at = -1 if side == "bottom" else int(np.argmax(values > 0.5 * values[-1]))
        text = f"{name}: {values[-1]:.1f} %" if side == "bottom" else f"{name}:\n{values[-1]:.0f} %"
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
