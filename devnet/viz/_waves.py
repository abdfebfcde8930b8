"""Waves: frames that follow one wave, and how many cells are active over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.measure.waves import ACTIVE_SHARE
from devnet.sheet import Recording
from devnet.spec import ModelSpec
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


def form_name(model: ModelSpec, name: str) -> str:
    """Return what a model's dynamics are called in pictures: its form, and its own name where that tells more."""
    form = model.dynamics[name].form
    words = FORMS.get(form, form.replace("_", " "))  # a form of the user's own
    return words if name == form else f"{words}, {name.replace('_', ' ')}"


def called(recording: Recording) -> str:
    """Return what the dynamics of a recording are called."""
    model = recording.sheet.model
    known = [name for name, spec in model.dynamics.items() if spec == recording.dynamics]
    return (
        form_name(model, known[0]) if known else FORMS.get(recording.dynamics.form, recording.dynamics.form)
    )


def follow(recording: Recording, count: int = 6) -> Shot:
    """Choose frames that follow one wave on a long way.

    Between two frames the wave moves by little more than its own radius, and a frame looks back over half of the time between
    them, so that the eye can follow. Of all stretches of activity without a pause the one is taken in which the
    centroid of the firing cells moves most while they stay together.

    Args:
        recording: Who fired when.
        count: Number of frames.

    Returns:
        The frames; where no wave lasts long enough, they are spread over the whole recording.
    """
    center, spread = _bodies(recording)
    wave = recording.active > ACTIVE_SHARE * recording.sheet.n
    radius = float(np.median(spread[wave])) if wave.any() else 0.0
    best, shot = 0.0, None
    for gap in _GAPS:
        starts = _starts(wave, gap * (count - 1))
        if not len(starts) or count < 2:
            continue
        steps = starts[:, None] + gap * np.arange(count)
        way = np.hypot(*np.diff(center[steps], axis=1).transpose(2, 0, 1))
        across = np.hypot(*(center[steps[:, -1]] - center[steps[:, 0]]).T)
        torn = np.maximum(0.0, spread[steps] - 1.3 * radius).sum(axis=1)
        worth = (way - 2.0 * np.maximum(0.0, way - _WAY * radius)).sum(axis=1) + 2.0 * across - 3.0 * torn
        if worth.max() > 1.05 * best:  # a wider pace must be worth it: over long gaps chance looks like a way
            best, first = float(worth.max()), int(np.argmax(worth))
            shot = Shot(tuple(steps[first].tolist()), max(1, round(gap / 2)))
    if shot is None:
        steps = np.linspace(0, recording.steps - 1, count + 2)[1:-1].astype(int)
        shot = Shot(tuple(steps.tolist()), max(1, recording.steps // (4 * count)))
    return shot


_GAPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300)
_WAY = 1.3
"""Way between two frames, in rms radii of a wave, that is best to follow."""


def _starts(wave: Bool[np.ndarray, " steps"], span: int) -> Int[np.ndarray, " k"]:
    """Return the steps from which a wave is there for ``span`` steps more without a pause."""
    pauses = np.concatenate([[0], np.cumsum(~wave)])
    if span >= len(wave):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(pauses[span + 1 :] == pauses[: len(wave) - span])


def _bodies(recording: Recording) -> tuple[Float[np.ndarray, "steps 2"], Float[np.ndarray, " steps"]]:
    """Return centroid and rms radius of the cells that fire in each step; 0 where none does."""
    step, place = recording.time, recording.sheet.positions[recording.cell]
    count = np.maximum(recording.active, 1)
    sums = [np.bincount(step, place[:, axis], minlength=recording.steps) for axis in (0, 1)]
    center = np.stack(sums, axis=1) / count[:, None]
    square = np.bincount(step, ((place - center[step]) ** 2).sum(axis=1), minlength=recording.steps)
    return center, np.sqrt(square / count)


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
        steps: Steps to be shown, or None to follow a wave on a long way.
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
        below.set_title(f"{called(recording)}{span}; upright lines: the frames above", color=MUTED)
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
    place.set_title(called(recording), color=MUTED)
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
        place.annotate(
            words,
            (1, 1),
            (-2, -2),
            "axes fraction",
            "offset points",
            ha="right",
            va="top",
            fontsize=7,
            color=MUTED,
        )  # inside, as a long title above would run into it
