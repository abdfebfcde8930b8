"""What the waves of a recording are like: how large, how fast, where they start, and whether they visit every cell."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from numbers import Integral
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from devnet._core.errors import ConfigError
from devnet.measure import _wave_kernel
from devnet.measure._parts import LINK_SPACINGS
from devnet.sheet import Recording, Sheet
from devnet.spec import DynamicsSpec

G19_ACTIVE = 30
"""G19: a step has a wave when more than so many nodes fire."""
ACTIVE_SHARE = 0.005
"""Ours: a frame has a wave when more than this share of the cells is active."""
BODY_SHARE = 0.5
"""Ours: on large sheets a part is no noise from this share of the cells that an excitation disc holds."""
RADIUS_QUANTILE = 0.8
"""G19: radius of a wave = 80th percentile of the distance of firing nodes to their centroid."""


@final
class Health(Enum):
    """What became of the activity; ``help`` says it in a sentence."""

    WAVES = "waves"
    DEAD = "dead"
    RUNAWAY = "runaway"

    @property
    def help(self) -> str:
        """One sentence for a reader."""
        return _HELP[self]


_HELP = {
    Health.WAVES: "Waves came, and still came in the second half of the recording.",
    Health.DEAD: "No wave came in the second half of the recording; raise the noise or the excitation a_i, or run longer.",
    Health.RUNAWAY: "Most spikes fell while over half of the cells fired at once; raise the inhibition a_o or lower a_i.",
}


@dataclass(frozen=True, eq=False)
class Bodies:
    """The K bodies of some frames: connected parts of firing cells that are no noise, frame by frame.

    Attributes:
        frame: (K,), ascending.
        cells: (K,), number of cells.
        centroid: (K, 2).
        radius: (K,), 80th percentile of the distance of its cells to the centroid.
        rms_radius: (K,), root mean square of these distances; sqrt(2) of it is the radius of a full disc.
        speed: (K,), way of the centroid per step since the frame before; NaN where the body shares cells with no body
            of that frame or with several, or that one with several of this.
    """

    frame: Int[np.ndarray, " K"]
    cells: Int[np.ndarray, " K"]
    centroid: Float[np.ndarray, "K 2"]
    radius: Float[np.ndarray, " K"]
    rms_radius: Float[np.ndarray, " K"]
    speed: Float[np.ndarray, " K"]


@dataclass(frozen=True, eq=False)
class WaveSeries:
    """Numbers frame by frame. F frames, of which k have a wave.

    Attributes:
        active: (F,), active cells.
        components: (F,), bodies.
        wave: (k,), the frames with a wave.
        centroid: (k, 2), centroid of all active cells.
        radius: (k,), 80th percentile of their distance to it (G19).
        rms_radius: (k,), root mean square of that distance.
    """

    active: Int[np.ndarray, " F"]
    components: Int[np.ndarray, " F"]
    wave: Int[np.ndarray, " k"]
    centroid: Float[np.ndarray, "k 2"]
    radius: Float[np.ndarray, " k"]
    rms_radius: Float[np.ndarray, " k"]

    @property
    def way(self) -> Float[np.ndarray, " pairs"]:
        """Way of the centroid over each pair of successive frames with a wave."""
        return np.hypot(*np.diff(self.centroid, axis=0).T)[np.diff(self.wave) == 1]


@dataclass(frozen=True, eq=False)
class WaveStatistics:
    """Numbers that sum up a recording. A frame is ``window`` successive steps; a cell is active in it if it fired.

    A body is a connected part of the active cells of a frame (cells are linked when closer than 2 mean spacings) of
    more than 0.5 % of the cells, or, on large sheets, of more than half of the cells that a disc of radius r_i holds.
    A frame has a wave when more than 0.5 % of the cells are active or it holds a body. A part belongs to a wave when it
    is a body or touches a part of the frame before that belonged to one: has a cell in common, or one within r_i. None
    stands where no wave came.

    Attributes:
        window: Steps in a frame.
        frames: Number of whole frames.
        spikes: Number of spikes.
        active_mean: Mean number of active cells, over all frames.
        active_median: Median number of active cells, over the frames with a wave.
        active_share_of_steps: Share of frames with a wave.
        g19_share_of_steps: Share of frames in which more than 30 cells are active (G19).
        radius_mean: 80th percentile of the distance of active cells to their centroid (G19), mean over the frames
            with a wave. A large sheet holds many waves at once: see ``body_radius`` there.
        rms_radius_mean: Root mean square of that distance, mean over the frames with a wave.
        speed: Way of the centroid per step, mean over pairs of successive frames with a wave.
        components: Bodies, mean over the frames with a wave.
        single_share: Share of the frames with a wave that hold exactly one body.
        body_cells: Mean number of cells of a body.
        body_radius: Mean 80th percentile of the distance of a body's cells to its centroid.
        body_speed: Mean way of a body's centroid per step, where it can be followed; see ``Bodies``.
        visited: Share of cells that belonged to a wave.
        visits_cv: Standard deviation over mean of the cells' visits; successive frames are one visit.
        waves: Number of separate waves: bodies that touch no wave of the frame before.
        start_spread: Root mean square distance of the start places to their mean over that of the cells to theirs;
            None where fewer than two waves started.
        health: What became of the activity.
        start_frames: (waves,), frame in which each was first a body.
        starts: (waves, 2), its centroid in that frame.
        visits: (n,), how often each cell began to belong to a wave.
        series: Numbers frame by frame.
    """

    window: int
    frames: int
    spikes: int
    active_mean: float
    active_median: float | None
    active_share_of_steps: float
    g19_share_of_steps: float
    radius_mean: float | None
    rms_radius_mean: float | None
    speed: float | None
    components: float | None
    single_share: float | None
    body_cells: float | None
    body_radius: float | None
    body_speed: float | None
    visited: float
    visits_cv: float | None
    waves: int
    start_spread: float | None
    health: Health
    start_frames: Int[np.ndarray, " waves"]
    starts: Float[np.ndarray, "waves 2"]
    visits: Int[np.ndarray, " n"]
    series: WaveSeries

    def numbers(self) -> dict[str, float | None]:
        """Return all plain numbers by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: value for name, value in found.items() if value is None or isinstance(value, int | float)
        }


def wave_statistics(recording: Recording, *, window: int = 1) -> WaveStatistics:
    """Sum up the waves of a recording.

    In the G19 form a cell fires for one step as a wave passes, in the map form for many; ``window`` of 5 to 10 steps
    shows the waves of the first as bodies.

    Args:
        recording: Who fired when.
        window: Steps in a frame; steps left over at the end are not counted.

    Returns:
        The statistics.

    Raises:
        ConfigError: The window is no whole number between 1 and the number of steps.
    """
    if isinstance(window, bool) or not isinstance(window, Integral) or not 1 <= window <= recording.steps:
        raise ConfigError("window", window, f"a whole number between 1 and the {recording.steps} steps")
    tally = WaveTally(recording.sheet, recording.dynamics, window=window)
    tally.update(recording)
    return tally.statistics()


@final
class WaveTally:
    """Wave statistics on the fly: give it recordings that follow one another, as ``devnet.waves.stream`` hands them out.

    How a run is cut into recordings changes no bit of the result, also where a cut goes through a frame. Memory holds
    the pairs of cells within reach of one another and some 60 bytes a frame, never the spikes.

        tally = WaveTally(sheet, dynamics)
        for part in stream(sheet, dynamics, steps=10**6):
            tally.update(part)
        print(tally.statistics().numbers())

    Args:
        sheet: Where the cells are.
        dynamics: Their constants, of which r_i counts: how far a wave reaches in a step.
        window: Steps in a frame.

    Raises:
        ConfigError: The window is no whole number of at least 1.
    """

    def __init__(self, sheet: Sheet, dynamics: DynamicsSpec, *, window: int = 1) -> None:
        if isinstance(window, bool) or not isinstance(window, Integral) or window < 1:
            raise ConfigError("window", window, "a whole number of at least 1")
        self._sheet = sheet
        self._window = int(window)
        n, coupling = sheet.n, dynamics.coupling
        link = LINK_SPACINGS * sheet.spacing
        r_i = coupling.r_i * (sheet.spacing if coupling.length_unit == "spacing" else 1.0)
        self._reach = _reach(sheet.positions, link, max(link, r_i))
        self._busy = ACTIVE_SHARE * n
        self._large = min(self._busy, BODY_SHARE * np.pi * (max(link, r_i) / sheet.spacing) ** 2)
        most = min(n, int(n / self._large)) + 1
        longs = [np.zeros(n, dtype=np.int64) for _ in range(4)]
        stamp, in_wave, body_frame, self._visits = longs
        members, part, body_of = (np.zeros(n, dtype=np.int32) for _ in range(3))
        self._totals = np.zeros(5)
        self._carried = (
            np.zeros(4, dtype=np.int64), members, stamp, part, in_wave, body_of, body_frame,
            np.zeros((most, 2)), self._visits, self._totals,
        )  # fmt: skip
        self._steps = self._spikes = 0
        self._frames: list[tuple[np.ndarray, ...]] = []

    def update(self, recording: Recording) -> Bodies:
        """Take in the recording that follows the ones before.

        Args:
            recording: Who fired when, on the same sheet.

        Returns:
            The bodies of the frames that it completed; they are not kept.

        Raises:
            ConfigError: It is of another sheet.
        """
        positions = self._sheet.positions
        if recording.sheet is not self._sheet and not np.array_equal(recording.sheet.positions, positions):
            raise ConfigError("recording", recording, "a recording of the same sheet")
        before = int(self._carried[0][2])
        active, bodies, wave, numbers, table, starts = _wave_kernel.follow(
            recording.time, recording.cell, recording.steps, self._window, RADIUS_QUANTILE, self._busy, self._large,
            positions, *self._reach, *self._carried,
        )  # fmt: skip
        self._steps += recording.steps
        self._spikes += len(recording.time)
        whole = (active.astype(np.int32), bodies.astype(np.int32), before + np.flatnonzero(wave))
        self._frames.append((*whole, numbers[wave], starts))
        return Bodies(
            frame=table[:, 0].astype(np.int64),
            cells=table[:, 1].astype(np.int64),
            centroid=table[:, 2:4],
            radius=table[:, 4],
            rms_radius=table[:, 5],
            speed=table[:, 6],
        )

    def statistics(self) -> WaveStatistics:
        """Sum up what was taken in so far.

        Returns:
            The statistics of all whole frames.

        Raises:
            ConfigError: There is no whole frame yet.
        """
        if self._steps < self._window:
            raise ConfigError("window", self._window, f"at most the {self._steps} steps")
        active, bodies, wave, numbers, starts = (
            np.concatenate(column) for column in zip(*self._frames, strict=True)
        )
        series = WaveSeries(active, bodies, wave, numbers[:, :2], numbers[:, 2], numbers[:, 3])
        way = _mean(series.way)
        held, cells, radii, followed, speeds = self._totals.tolist()
        places = starts[:, 1:]
        spread = (
            np.sqrt(((places - places.mean(axis=0)) ** 2).sum(axis=1).mean()) if len(places) > 1 else None
        )
        return WaveStatistics(
            window=self._window,
            frames=len(active),
            spikes=self._spikes,
            active_mean=float(active.mean()),
            active_median=float(np.median(active[wave])) if len(wave) else None,
            active_share_of_steps=len(wave) / len(active),
            g19_share_of_steps=float((active > G19_ACTIVE).mean()),
            radius_mean=_mean(series.radius),
            rms_radius_mean=_mean(series.rms_radius),
            speed=None if way is None else way / self._window,
            components=_mean(bodies[wave]),
            single_share=_mean(bodies[wave] == 1),
            body_cells=cells / held if held else None,
            body_radius=radii / held if held else None,
            body_speed=speeds / followed if followed else None,
            visited=float((self._visits > 0).mean()),
            visits_cv=float(self._visits.std() / self._visits.mean()) if self._visits.any() else None,
            waves=len(starts),
            start_spread=None if spread is None else float(spread) / self._sheet.rms_radius,
            health=_health(active, wave, self._sheet.n),
            start_frames=starts[:, 0].astype(np.int64),
            starts=places,
            visits=self._visits.copy(),
            series=series,
        )


def _reach(positions: Float[np.ndarray, "n 2"], link: float, reach: float) -> tuple[np.ndarray, ...]:
    """List the cells within reach of each, the linked ones first: where they begin, where the linked end, who they are."""
    n = len(positions)
    pairs = KDTree(positions).query_pairs(reach, output_type="ndarray").astype(np.int32)
    near = np.hypot(*(positions[pairs[:, 0]] - positions[pairs[:, 1]]).T) < link
    kinds = [pairs[near], pairs[near, ::-1], pairs[~near], pairs[~near, ::-1]]
    degree = sum(np.bincount(kind[:, 0], minlength=n) for kind in kinds)
    linked = sum(np.bincount(kind[:, 0], minlength=n) for kind in kinds[:2])
    first = np.concatenate([[0], np.cumsum(degree)])
    owner, partner = np.concatenate(kinds).T
    return first, first[:-1] + linked, partner[np.argsort(owner, kind="stable")]


def _health(active: Int[np.ndarray, " F"], wave: Int[np.ndarray, " k"], n: int) -> Health:
    if 2 * active[active > n / 2].sum() > active.sum():
        return Health.RUNAWAY
    return Health.WAVES if len(wave) and wave[-1] >= len(active) / 2 else Health.DEAD


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(values.mean()) if len(values) else None
