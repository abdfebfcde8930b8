"""What the waves of a recording are like: how large, how fast, where they start, and whether they visit every cell."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.spatial import KDTree

from devnet._core.errors import ConfigError
from devnet.measure._parts import LINK_SPACINGS, Neighbors, chunks
from devnet.sheet import Recording

G19_ACTIVE = 30
"""G19: a step has a wave when more than so many nodes fire."""
ACTIVE_SHARE = 0.005
"""Ours: a frame has a wave when more than this share of the cells fires, and a part of so many cells is no noise."""
RADIUS_QUANTILE = 0.8
"""G19: radius of a wave = 80th percentile of the distance of firing nodes to their centroid."""


@dataclass(frozen=True, eq=False)
class WaveStatistics:
    """Numbers that sum up a recording. A frame is ``window`` successive steps; a cell is active in it if it fired.

    A frame has a wave when more than 0.5 % of the cells are active. None stands where no wave came.

    Attributes:
        window: Steps in a frame.
        frames: Number of whole frames.
        spikes: Number of spikes.
        active_mean: Mean number of active cells, over all frames.
        active_median: Median number of active cells, over the frames with a wave.
        active_share_of_steps: Share of frames with a wave.
        g19_share_of_steps: Share of frames in which more than 30 cells are active (G19).
        radius_mean: 80th percentile of the distance of active cells to their centroid (G19), mean over the frames
            with a wave.
        speed: Way of the centroid per step, mean over pairs of successive frames with a wave.
        components: Connected parts of more than 0.5 % of the cells, mean over the frames with a wave.
        single_share: Share of the frames with a wave that hold exactly one such part.
        visited: Share of cells that were active in a frame with a wave.
        visits_cv: Standard deviation over mean of the cells' visits; successive frames are one visit.
        waves: Number of separate waves. A part of more than 0.5 % of the cells starts one unless a part of the frame
            before, which belonged to a wave, touches it: has a cell in common, or one within the excitation's reach.
        start_spread: Root mean square distance of the start places to their mean over that of the cells to theirs;
            None where fewer than two waves started.
        start_frames: (waves,), frame in which each first exceeded 0.5 % of the cells.
        starts: (waves, 2), centroid of each in that frame.
    """

    window: int
    frames: int
    spikes: int
    active_mean: float
    active_median: float | None
    active_share_of_steps: float
    g19_share_of_steps: float
    radius_mean: float | None
    speed: float | None
    components: float | None
    single_share: float | None
    visited: float
    visits_cv: float | None
    waves: int
    start_spread: float | None
    start_frames: Int[np.ndarray, " waves"]
    starts: Float[np.ndarray, "waves 2"]

    def numbers(self) -> dict[str, float | None]:
        """Return all plain numbers by name, the two arrays left out."""
        return {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("start_frames", "starts")
        }


def wave_statistics(recording: Recording, *, window: int = 1) -> WaveStatistics:
    """Sum up the waves of a recording.

    In the G19 form a cell fires for one step as a wave passes, in the map form for many; ``window`` of 5 to 10 steps
    shows the waves of the first as bodies. Two cells are linked when they are closer than 2 mean spacings. Memory
    grows with the cells and frames, not with the spikes.

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
    n, frames = recording.sheet.n, recording.steps // window
    tally = _Tally(recording)
    load = recording.active[: frames * window].reshape(frames, window).sum(axis=1)
    # The second term bounds the dense maps of (frames, cells) when little fires.
    for first, last in chunks(load + n // 16 + 1):
        begin, end = np.searchsorted(recording.time, [first * window, last * window])
        frame = recording.time[begin:end].astype(np.int64) // window - first
        pair = frame * n + recording.cell[begin:end]
        if window > 1:
            pair = np.unique(pair)
        tally.add(first, last - first, *np.divmod(pair, n))
    return tally.statistics(window, frames, len(recording.time))


class _Tally:
    """Running sums over chunks of frames."""

    def __init__(self, recording: Recording) -> None:
        sheet, coupling = recording.sheet, recording.dynamics.coupling
        link = LINK_SPACINGS * sheet.spacing
        reach = max(link, coupling.r_i * (sheet.spacing if coupling.length_unit == "spacing" else 1.0))
        self.positions = sheet.positions
        self.sheet_radius = sheet.rms_radius
        self.neighbors = Neighbors(sheet.positions, link)
        pairs = KDTree(sheet.positions).query_pairs(reach, output_type="ndarray").T
        ones = np.ones(pairs.shape[1], dtype=bool)
        above = sparse.csr_matrix((ones, pairs), shape=(sheet.n, sheet.n))
        self.within_reach = sparse.csr_matrix(above + above.T)
        self.count: list[np.ndarray] = []
        self.radius: list[np.ndarray] = []
        self.way: list[np.ndarray] = []
        self.parts: list[np.ndarray] = []
        self.start_frames: list[np.ndarray] = []
        self.starts: list[np.ndarray] = []
        self.visits = np.zeros(sheet.n, dtype=np.int64)
        # What the frame before the present chunk held.
        self.fired = np.zeros(sheet.n, dtype=bool)
        self.in_wave = np.zeros(sheet.n, dtype=bool)
        self.centroid = np.zeros((0, 2))

    def add(self, first: int, frames: int, frame: Int[np.ndarray, " K"], node: Int[np.ndarray, " K"]) -> None:
        """Take in the active cells of some frames, ordered by frame."""
        n = len(self.positions)
        count = np.bincount(frame, minlength=frames)
        self.count.append(count)
        wave = count > ACTIVE_SHARE * n
        number = np.flatnonzero(wave)
        member = wave[frame]
        owner = (np.cumsum(wave) - 1)[frame[member]]
        self._visit(frames, frame[member], node[member])
        self._place(owner, node[member], count[wave], number)
        if not wave[-1]:  # then no wave goes on in the next chunk
            self.centroid = self.centroid[:0]
        parts = self._divide(first, frames, frame, node)
        self.parts.append(parts[wave])

    def _visit(self, frames: int, frame: Int[np.ndarray, " K"], node: Int[np.ndarray, " K"]) -> None:
        """Count for each cell how often it began to be active in frames with a wave."""
        fired = np.zeros((frames + 1, len(self.positions)), dtype=bool)  # row k: the frame before frame k
        fired[0] = self.fired
        fired[frame + 1, node] = True
        self.visits += np.bincount(node[~fired[frame, node]], minlength=fired.shape[1])
        self.fired = fired[-1].copy()

    def _place(
        self, owner: Int[np.ndarray, " K"], node: Int[np.ndarray, " K"], count: np.ndarray, number: np.ndarray
    ) -> None:
        """Measure centroid, radius and way of each frame with a wave."""
        points = self.positions[node]
        sums = [np.bincount(owner, points[:, axis], minlength=len(count)) for axis in (0, 1)]
        centroid = np.stack(sums, axis=1) / count[:, None]
        distance = np.hypot(*(points - centroid[owner]).T)
        distance = distance[np.lexsort((distance, owner))]
        place = np.cumsum(count) - count + RADIUS_QUANTILE * (count - 1)
        below = place.astype(np.int64)
        above = np.minimum(below + 1, len(distance) - 1)
        self.radius.append(distance[below] + (place - below) * (distance[above] - distance[below]))
        number = np.concatenate([np.full(len(self.centroid), -1), number])
        centroid = np.concatenate([self.centroid, centroid])
        self.way.append(np.hypot(*np.diff(centroid, axis=0).T)[np.diff(number) == 1])
        self.centroid = centroid[-1:]

    def _divide(
        self, first: int, frames: int, frame: Int[np.ndarray, " K"], node: Int[np.ndarray, " K"]
    ) -> Int[np.ndarray, " frames"]:
        """Follow the connected parts from frame to frame, note where waves start; return how many each frame holds."""
        part = self.neighbors.parts(frame, node, frames)
        size = np.bincount(part)
        frame_of = np.zeros(len(size), dtype=np.int64)
        frame_of[part] = frame
        large = size > ACTIVE_SHARE * len(self.positions)
        # Row k: the parts of the frame before frame k. All cells that belonged to a wave before this chunk are one
        # part more, the last, and -1 stands for none.
        before = np.full((frames + 1, len(self.positions)), -1, dtype=np.int64)
        before[0, self.in_wave] = len(size)
        before[frame + 1, node] = part
        in_wave = np.concatenate([large, [True]])
        led = np.zeros(len(in_wave), dtype=bool)
        for source, target in self._links(before, frame, node, part, in_wave, frame_of).tolist():
            if in_wave[source]:
                led[target] = in_wave[target] = True
        self.in_wave = (before[-1] >= 0) & in_wave[before[-1]]
        fresh = large & ~led[:-1]
        born = fresh[part]
        points = self.positions[node[born]]
        sums = [np.bincount(part[born], points[:, axis], minlength=len(size))[fresh] for axis in (0, 1)]
        order = np.argsort(frame_of[fresh], kind="stable")
        self.starts.append((np.stack(sums, axis=1) / size[fresh, None])[order])
        self.start_frames.append((first + frame_of[fresh])[order])
        return np.bincount(frame_of[large], minlength=frames)

    def _links(
        self,
        before: Int[np.ndarray, "frames+1 n"],
        frame: Int[np.ndarray, " K"],
        node: Int[np.ndarray, " K"],
        part: Int[np.ndarray, " K"],
        large: Bool[np.ndarray, " parts+1"],
        frame_of: Int[np.ndarray, " parts"],
    ) -> Int[np.ndarray, "links 2"]:
        """Return (part of the frame before, part that it touches), in the order of the frames."""
        same = before[frame, node]
        found = [np.stack([same, part], axis=1)[same >= 0]]
        # Reach is asked only of parts that have no cell in common with a large one: most have.
        settled = np.zeros(len(frame_of), dtype=bool)
        settled[part[(same >= 0) & large[same]]] = True
        asked = np.flatnonzero(~settled[part])
        around = self.within_reach[node[asked]]
        degree = np.diff(around.indptr)
        near = before[np.repeat(frame[asked], degree), around.indices]
        found.append(np.stack([near, np.repeat(part[asked], degree)], axis=1)[near >= 0])
        links = np.concatenate(found)
        once = np.unique(links[:, 0] * len(large) + links[:, 1])
        links = np.stack(np.divmod(once, len(large)), axis=1)
        return links[np.argsort(frame_of[links[:, 1]], kind="stable")]

    def statistics(self, window: int, frames: int, spikes: int) -> WaveStatistics:
        """Sum up what was taken in."""
        count, parts = np.concatenate(self.count), np.concatenate(self.parts)
        wave = count > ACTIVE_SHARE * len(self.positions)
        starts = np.concatenate(self.starts)
        way = _mean(np.concatenate(self.way))
        spread = (
            float(np.sqrt(((starts - starts.mean(axis=0)) ** 2).sum(axis=1).mean()))
            if len(starts) > 1
            else None
        )
        return WaveStatistics(
            window=int(window),
            frames=frames,
            spikes=spikes,
            active_mean=float(count.mean()),
            active_median=float(np.median(count[wave])) if wave.any() else None,
            active_share_of_steps=float(wave.mean()),
            g19_share_of_steps=float((count > G19_ACTIVE).mean()),
            radius_mean=_mean(np.concatenate(self.radius)),
            speed=None if way is None else way / window,
            components=_mean(parts),
            single_share=_mean(parts == 1),
            visited=float((self.visits > 0).mean()),
            visits_cv=float(self.visits.std() / self.visits.mean()) if self.visits.any() else None,
            waves=len(starts),
            start_spread=None if spread is None else spread / self.sheet_radius,
            start_frames=np.concatenate(self.start_frames),
            starts=starts,
        )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
