"""Waves: frames that follow one wave, and how many cells are active over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.measure.waves import ACTIVE_SHARE
from devnet.sheet import Recording
from devnet.viz.style import (
    FIRE,
    INK,
    MUTED,
    RESTING,
    WIDTH,
    Panels,
    dots,
    panels,
    scale_bar,
    sheet_panel,
    styled,
)

FORMS = {
    "rate_map": "rate-like map",
    "izhikevich": "Izhikevich units (G19)",
    "adaptive_leaky": "leaky units with adaptive threshold (M20)",
}
"""What the forms are called in pictures."""


class Shot(NamedTuple):
    """What is shown: the last step of each frame, and how many steps a frame looks back."""

    steps: tuple[int, ...]
    window: int


def follow(recording: Recording, count: int = 6) -> Shot:
    """Choose frames that follow the waves of the longest stretch without a pause.

    They begin where it does, or in the middle of one that lasts over half of the recording: it never really began.
    From frame to frame the wave moves by about its own radius, and a frame looks back over half of the time between
    two, so that the eye can follow.

    Args:
        recording: Who fired when.
        count: Number of frames.

    Returns:
        The frames; where no wave came, they are spread over the whole recording.
    """
    wave = recording.active > ACTIVE_SHARE * recording.sheet.n
    edges = np.flatnonzero(np.diff(np.concatenate([[0], wave.astype(np.int8), [0]])))
    if len(edges):
        longest = np.argmax(edges[1::2] - edges[::2])
        first, last = int(edges[2 * longest]), int(edges[2 * longest + 1]) - 1
    else:
        first, last = 0, recording.steps - 1
    if len(edges) and last - first > recording.steps / 2:
        first = (first + last) // 2
    gap = (last - first) / count
    if len(edges) and last > first:
        radius, speed = _motion(recording, first, last)
        gap = min(gap, radius / speed) if speed > 0 else gap
    steps = np.minimum(np.round(first + gap * (np.arange(count) + 0.4)), last).astype(int)
    return Shot(tuple(steps.tolist()), max(1, round(gap / 2)))


def _motion(recording: Recording, first: int, last: int) -> tuple[float, float]:
    """Return the median rms radius of what fires in a step, and the median way of its centroid per step."""
    begin, end = np.searchsorted(recording.time, [first, last + 1])
    step, place = recording.time[begin:end] - first, recording.sheet.positions[recording.cell[begin:end]]
    count = np.bincount(step)
    center = np.stack([np.bincount(step, place[:, axis]) / count for axis in (0, 1)], axis=1)
    spread = np.bincount(step, ((place - center[step]) ** 2).sum(axis=1)) / count
    way = np.hypot(*np.diff(center, axis=0).T)
    return float(np.median(np.sqrt(spread))), float(np.median(way))


@styled
def wave_frames(
    recording: Recording,
    *,
    count: int = 6,
    steps: Sequence[int] | None = None,
    window: int | None = None,
    axes: Panels = None,
) -> Figure:
    """Draw who fires, in frames that follow one wave.

    A cell that fires in the frame's step is drawn in full color; one that fired up to ``window`` steps before it
    fades with the time since.

    Args:
        recording: Who fired when.
        count: Number of frames, where no steps are given.
        steps: Steps to be shown, or None to follow the longest wave from its start.
        window: Steps that a frame looks back, its own counted; None: half of the time between two frames.
        axes: One Axes a frame, or None for a new figure with the activity over time below them.

    Returns:
        The figure.

    Raises:
        ConfigError: A step that the recording does not have, a window below 1, or the wrong number of Axes.
    """
    if count < 1:
        raise ConfigError("count", count, "at least 1")
    shot = follow(recording, count) if steps is None else Shot(tuple(steps), _half_gap(steps))
    if not shot.steps or min(shot.steps) < 0 or max(shot.steps) >= recording.steps:
        raise ConfigError("steps", list(shot.steps), f"at least one step from 0 to {recording.steps - 1}")
    window = shot.window if window is None else window
    if window < 1:
        raise ConfigError("window", window, "at least 1")
    if axes is None:
        figure, places, below = _frames_and_activity(len(shot.steps))
        _draw_activity(below, recording)
        below.vlines(shot.steps, 0, 1, transform=below.get_xaxis_transform(), color=INK, linewidth=0.5)
    else:
        (figure, places), below = panels(axes, len(shot.steps)), None
    for place, step in zip(places, shot.steps, strict=True):
        draw_firing(place, recording, step, window, f"step {step}")
    if below is not None:
        scale_bar(places[0], recording.sheet)
        span = "" if window == 1 else f"; firing fades over {window} steps"
        form = FORMS[recording.dynamics.form]
        below.set_title(f"{form}{span}; upright lines: the frames above", color=MUTED)
    return figure


def _half_gap(steps: Sequence[int]) -> int:
    return max(1, round(float(np.diff(sorted(steps)).min()) / 2)) if len(steps) > 1 else 1


def _frames_and_activity(count: int) -> tuple[Figure, list[Axes], Axes]:
    figure = Figure(figsize=(WIDTH, 1.3 + 1.25 * WIDTH / count), layout="constrained")
    grid = figure.add_gridspec(2, count, height_ratios=[1.25 * WIDTH / count, 0.8])
    places = [figure.add_subplot(grid[0, column]) for column in range(count)]
    return figure, places, figure.add_subplot(grid[1, :])


def draw_firing(place: Axes, recording: Recording, step: int, window: int, title: str = "") -> None:
    """Draw one frame: resting cells, and those that fired in the last steps, fading with time."""
    sheet = recording.sheet
    sheet_panel(place, sheet, title)
    dots(place, sheet.positions, 0.55 * sheet.spacing, RESTING)
    age = ages(recording, step, window)
    fired = np.flatnonzero(age < window)
    fired = fired[np.argsort(-age[fired])]
    colors = np.repeat([to_rgba(FIRE)], len(fired), axis=0)
    colors[:, 3] = 1.0 - age[fired] / window
    dots(place, sheet.positions[fired], 1.1 * sheet.spacing, colors, zorder=3.0)


def ages(recording: Recording, step: int, window: int) -> Float[np.ndarray, " n"]:
    """Return how many steps ago each cell fired last; infinity where it did not within the window."""
    begin, end = np.searchsorted(recording.time, [step - window + 1, step + 1])
    age = np.full(recording.sheet.n, np.inf)
    age[recording.cell[begin:end]] = step - recording.time[begin:end]  # later spikes overwrite earlier ones
    return age


@styled
def activity(recording: Recording, *, axes: Panels = None) -> Figure:
    """Draw how many cells fire in each step.

    Args:
        recording: Who fired when.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: The wrong number of Axes.
    """
    figure, (place,) = panels(axes, 1, size=(WIDTH, 1.2))
    _draw_activity(place, recording)
    place.set_title(FORMS[recording.dynamics.form], color=MUTED)
    return figure


def _draw_activity(place: Axes, recording: Recording) -> None:
    step = np.arange(recording.steps)
    place.fill_between(step, recording.active, color=FIRE, alpha=0.3, linewidth=0)
    place.plot(step, recording.active, color=FIRE, linewidth=0.5)
    top = 1.2 * max(1.0, float(np.quantile(recording.active, 0.995)))
    place.set(xlabel="step", ylabel="active cells", xlim=(0, recording.steps), ylim=(0, top))
    if recording.active.max() > top:  # one volley of all cells would flatten the rest
        first = int(recording.active.argmax())
        words = f"↑ {recording.active[first]} cells in step {first}"
        place.text(
            0.99, 0.97, words, transform=place.transAxes, ha="right", va="top", fontsize=7, color=MUTED
        )
