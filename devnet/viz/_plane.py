"""A functionally invariant path in the plane of weight space that shows most of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.viz._paths import PathLike
from devnet.viz.style import INK, LINES, MUTED, WIDTH, Panels, panels, ramp, styled

CHANGES = ramp("cividis", 0.0, 0.92)
"""Outputs unchanged to outputs changed most."""


class PlacedPath(PathLike, Protocol):
    """What is drawn of a path in weight space; ``devnet.fip.Path`` has it."""

    @property
    def deltas(self) -> Any:
        """Change of the weights at each way-point, (K, P)."""
        ...


def plane(
    deltas: Sequence[Float[np.ndarray, "k P"]],
) -> tuple[list[Float[np.ndarray, "k 2"]], Float[np.ndarray, " 2"]]:
    """Project way-points on the two directions in which they lie farthest from the start.

    The start stays at (0, 0): the directions are the first two right singular vectors of all changes together.

    Args:
        deltas: Changes of the weights of each path, from the same start.

    Returns:
        Places of each path's way-points, and which share of their squared distance from the start each direction has.
    """
    rows = np.concatenate([np.asarray(delta, np.float64) for delta in deltas])
    gram = rows @ rows.T  # a small matrix: way-points are few, weights are many
    value, vector = np.linalg.eigh(gram)
    first = np.argsort(value)[::-1][:2]
    value, vector = np.maximum(value[first], 0.0), vector[:, first]
    placed = vector * np.sqrt(value)
    if placed.shape[1] < 2:
        placed, value = np.pad(placed, ((0, 0), (0, 1))), np.pad(value, (0, 1))
    turn = np.sign(placed[np.abs(placed).argmax(axis=0), [0, 1]])
    placed = placed * np.where(turn == 0, 1.0, turn)  # largest excursion to the right and up, every time
    ends = np.cumsum([len(delta) for delta in deltas])[:-1]
    return np.split(placed, ends), value / max(float(np.trace(gram)), np.finfo(np.float64).tiny)


@styled
def path_plane(*paths: PlacedPath, labels: Sequence[str] = (), axes: Panels = None) -> Figure:
    """Draw paths that start at the same network, in the plane of weight space that shows most of them.

    A dot is a way-point, colored by how far the outputs moved; a square is a path's start, a diamond its end; the dashed
    line is the straight way there. A cross marks the network from which changes count, where a path starts elsewhere.

    Args:
        *paths: The paths.
        labels: Name of each; by default none.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No path, paths of different networks, labels that do not fit, or the wrong number of Axes.
    """
    if not paths:
        raise ConfigError("paths", "none", "at least one path")
    if len({np.shape(path.deltas)[1] for path in paths}) > 1:
        raise ConfigError("paths", "networks of different size", "paths that start at the same network")
    if len(labels) not in {0, len(paths)}:
        raise ConfigError("labels", f"{len(labels)} labels", f"one a path ({len(paths)}), or none")
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 2.6))
    placed, share = plane([path.deltas for path in paths])
    norm = Normalize(0, max(1e-12, *(float(np.max(path.distance)) for path in paths)))
    for number, (points, path) in enumerate(zip(placed, paths, strict=True)):
        color = LINES[number % len(LINES)]
        place.plot(*points.T, color=color, linewidth=1.0, zorder=1)
        place.plot(*points[[0, -1]].T, color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0.5)
        place.scatter(*points.T, s=16, c=CHANGES(norm(np.asarray(path.distance))), zorder=2, linewidth=0)
        place.plot(*points[-1], "D", color=color, markersize=6, markerfacecolor="none", zorder=3)
        if labels:
            place.annotate(
                labels[number],
                points[-1],
                xytext=(7, 5),
                textcoords="offset points",
                color=INK,
                va="center",
            )
    starts = np.unique(np.round([points[0] for points in placed], 9), axis=0)
    away = -1 if np.concatenate(placed)[:, 1].mean() > starts[0, 1] else 1  # where fewer paths run
    _mark(place, starts, "s", "start", away)
    if starts.any():
        _mark(place, np.zeros((1, 2)), "+", "unchanged", away)
    first, second = (f"{100 * part:.0f} %" for part in share)
    place.set_aspect("equal", adjustable="datalim")
    place.set(xlabel=f"first direction ({first} of squared distance)", ylabel=f"second direction ({second})")
    place.margins(x=0.16, y=0.14)
    if axes is None:
        bar = figure.colorbar(ScalarMappable(norm, CHANGES), ax=place, pad=0.02, aspect=18)
        bar.set_label("change of outputs")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def _mark(place: Axes, points: Float[np.ndarray, "k 2"], shape: str, word: str, side: int) -> None:
    place.plot(*points.T, shape, color=INK, markersize=6, markerfacecolor="none", zorder=3)
    place.annotate(
        word,
        points[0],
        xytext=(0, 10 * side),
        textcoords="offset points",
        color=INK,
        ha="center",
        va="center",
    )
