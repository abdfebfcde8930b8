"""Numbers of a stack: how each layer maps the one below and the first sheet, and whose waves its waves are."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int

from devnet._core.errors import ConfigError
from devnet.measure._parts import LINK_SPACINGS, Neighbors, mean_spacing
from devnet.measure.pooling import coverage, organized, sheet_rms_radius, weighted_rms_radius
from devnet.measure.topography import folded_share, topographic_order
from devnet.measure.waves import ACTIVE_SHARE
from devnet.sheet import Frames, Stack
from devnet.sheet.sampling import receptive_fields

SILENCE = 21
"""A sheet counts as silent when none of so many steps, the present one included, was active."""


@dataclass(frozen=True)
class LayerStatistics:
    """How a layer maps a layer below it.

    Attributes:
        organized: Share of units that are organized; see ``measure.pooling``.
        coverage: Share of cells below that lie in the receptive field of an organized unit.
        ratio: Median rms radius of the units' weights, over that of the sheet.
        order: Topographic order.
        folds: Share of triangles turned over.
    """

    organized: float
    coverage: float
    ratio: float
    order: float
    folds: float

    def numbers(self) -> dict[str, float]:
        """Return all of them by name."""
        return asdict(self)


def layer_statistics(stack: Stack, number: int, seen_in: int | None = None) -> LayerStatistics:
    """Measure one layer of a stack.

    Args:
        stack: The stack.
        number: The layer, from 2.
        seen_in: A layer below it, in whose places its units are looked at; None for the one that feeds it.

    Returns:
        The numbers.

    Raises:
        ConfigError: No such layer, or one that does not feed it.
    """
    top = len(stack.layers) + 1
    if not 2 <= number <= top:
        raise ConfigError("number", number, f"a layer from 2 to {top}")
    first = stack.spec.feeding[number - 2] if seen_in is None else seen_in
    if not 1 <= first < number:
        raise ConfigError("seen_in", seen_in, f"a layer from 1 to {number - 1}")
    weights, places = stack.weights(number, first), stack.places(first)
    good = organized(weights, places, stack.layers[number - 2].late_wins)
    ratio = weighted_rms_radius(weights, places) / sheet_rms_radius(places)
    return LayerStatistics(
        organized=float(good.mean()),
        coverage=coverage(receptive_fields(weights), good),
        ratio=float(np.median(ratio)),
        order=topographic_order(stack.places(number), weights, places),
        folds=folded_share(stack.places(number), weights, places),
    )


@dataclass(frozen=True)
class RelayStatistics:
    """When a layer is active, against the layer that drives the stack.

    Attributes:
        when_active: Share of the first sheet's active steps in which the layer is active.
        when_silent: Share of the first sheet's silent steps in which it is.
        before: Steps in which it was active before the first sheet ever was.
        size: Mean number of units that fire at once.
        size_silent: The same, over the first sheet's silent steps; NaN where there is nothing.
        single: Share of the layer's steps with a wave whose firing units form exactly one body, as ``measure.waves`` defines
            both: over 0.5 % of the units, linked when closer than 2 mean spacings. NaN without places, or without a wave.
    """

    when_active: float
    when_silent: float
    before: int
    size: float
    size_silent: float
    single: float = float("nan")


def relay_statistics(
    first: Frames,
    layer: Frames,
    min_active: int = 8,
    *,
    places: Float[np.ndarray, "M 2"] | None = None,
    spacing: float | None = None,
) -> RelayStatistics:
    """Measure whether a layer's activity is that of the first sheet.

    Args:
        first: Frames of the first sheet.
        layer: Frames of the layer, over the same steps.
        min_active: The first sheet is active when so many cells fire.
        places: Of the layer's units, ``stack.places(number)``; needed for ``single`` alone.
        spacing: Their mean spacing, ``stack.spacing(number)``; None: as their neighbors tell.

    Returns:
        The numbers; a share over no step is NaN.

    Raises:
        ConfigError: The frames are not of as many steps, or units fire that have no place.
    """
    if len(first) != len(layer):
        raise ConfigError("layer", f"{len(layer)} steps", f"frames of the first sheet's {len(first)} steps")
    active, counts = np.diff(first.first) >= min_active, np.diff(layer.first)
    since = np.convolve(active, np.ones(SILENCE))[: len(active)]
    silent = (since == 0) & (np.cumsum(active) > 0)
    start = int(np.argmax(active)) if active.any() else len(active)
    return RelayStatistics(
        when_active=_mean(counts[active] > 0),
        when_silent=_mean(counts[silent] > 0),
        before=int(np.count_nonzero(counts[:start])),
        size=_mean(counts[counts > 0]),
        size_silent=_mean(counts[silent & (counts > 0)]),
        single=float("nan") if places is None else _single(layer, places, spacing),
    )


def _single(frames: Frames, places: Float[np.ndarray, "M 2"], spacing: float | None) -> float:
    """Return the share of steps with a wave that hold exactly one body; NaN where no wave came."""
    busy, counts, time = ACTIVE_SHARE * len(places), np.diff(frames.first), frames.time()
    if (least := int(frames.cells.max(initial=-1)) + 1) > len(places):
        raise ConfigError("places", f"{len(places)} places", f"a place for each of at least {least} units")
    link = LINK_SPACINGS * (mean_spacing(places) if spacing is None else spacing)
    part = Neighbors(places, link).parts(time, frames.cells, len(frames))
    members, steps = np.bincount(part), np.zeros(part.max(initial=-1) + 1, np.int64)
    steps[part] = time
    bodies = np.bincount(steps[members > busy], minlength=len(frames))
    return _mean(bodies[counts > busy] == 1)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def centers_of_activity(
    frames: Frames, places: Float[np.ndarray, "n 2"], min_active: int = 1
) -> Float[np.ndarray, "steps 2"]:
    """Return the mean place of the cells that fire in each step, NaN where fewer than ``min_active`` do."""
    counts = np.diff(frames.first)
    time = frames.time()
    sums = np.stack([np.bincount(time, places[frames.cells, axis], len(counts)) for axis in (0, 1)], axis=1)
    return np.where((counts >= min_active)[:, None], sums / np.maximum(counts, 1)[:, None], np.nan)


def speed(path: Float[np.ndarray, "steps 2"], apart: int = 10) -> float:
    """Return the median distance a center moves in a step, over stretches of ``apart`` steps; NaN where it never lives so long."""
    moved = np.linalg.norm(path[apart:] - path[:-apart], axis=1) / apart
    moved = moved[np.isfinite(moved)]
    return float(np.median(moved)) if len(moved) else float("nan")


def lifetime(frames: Frames, start: int) -> int:
    """Return for how many steps after ``start`` a layer stays active without a pause."""
    counts: Int[np.ndarray, " steps"] = np.diff(frames.first)[start:]
    return int(np.argmin(counts > 0)) if (counts == 0).any() else len(counts)
