"""Pools from all-to-all wiring: the published learning program, and pool size against r_o."""

from __future__ import annotations

from time import perf_counter, process_time

import numpy as np
from _pools import Pools, finite, geometry, kept, settled, with_r_o
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.organization import organize
from devnet.sheet import Wiring
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz import pools
from devnet.viz.style import FIRE, INK, MUTED, OURS, THEIRS, WIDTH, styled

RADII = (3.0, 4.0, 6.0, 8.0)
RESIMULATED = {3.0: 69, 4.0: 79, 6.0: 106, 8.0: 129}
"""Median pool of one re-simulation of the published program, 1500 nodes, 60 000 steps."""
STORED, STORED_R_O = (107.0, 115.0), 6.0
"""Mean pools of the authors' stored networks of 1500 nodes; the r_o that gives them, the learning program's."""
STOP_SIZE, STOP_SHARE, CAP = 150, 0.9, 10**6
"""The published program stops when more than this share of the pools holds fewer nodes, or after so many steps."""


def published(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Wire 400 units from 3200 nodes, as published; the coupling is summed in float32, which halves the memory to read."""
    began, seconds = perf_counter(), []
    steps = effort.pick(2048, 250_000, 250_000)

    def one(seed: int) -> Wiring:
        sheet = grow("raghavan2019_learning", rng=seed)
        start = process_time()
        wiring = organize(sheet, "izhikevich", steps=steps, rng=seed, field="fast", snapshots=kept(steps, 12))
        seconds.append(process_time() - start)
        return wiring

    wirings, lost = finite(effort.pick(1, 1, 10), one)
    ends = [Pools.of(w) for w in wirings]
    took = perf_counter() - began
    answers["converged"] = Answer([end.small.mean() for end in ends], took)
    answers["coverage"] = Answer([end.coverage() for end in ends], took)
    answers["settled"] = Answer([settled(w) for w in wirings], took)
    answers["seconds"] = Answer(seconds, took)
    course = [(w.snapshot_steps, [Pools.of(w, part).small.mean() for part in w.snapshots]) for w in wirings]
    under150 = [[(Pools.of(w, part).size < STOP_SIZE).mean() for part in w.snapshots] for w in wirings]
    return {
        "course": course, "under150": under150, "sizes": [end.size for end in ends], "lost": lost, "wiring": wirings[0],
        "geometry": [geometry(w) for w in wirings],
    }  # fmt: skip


def radii(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Wire 1500 nodes with other r_o: pools grow with it. With r_o 6 go on until the published program would stop."""
    began = perf_counter()
    steps, longer = effort.pick(1024, 60_000, 60_000), effort.pick(2048, 200_000, 200_000)
    moments = tuple(sorted({steps, *(longer * k // 20 for k in range(1, 21))}))

    def one(seed: int) -> tuple[list[Pools], float]:
        found, stop = [], 0.0
        for r_o in RADII:
            sheet = grow(with_r_o("raghavan2019_learning/nodes1500", r_o), rng=seed)
            if r_o != STORED_R_O:
                found.append(Pools.of(organize(sheet, "izhikevich", steps=steps, rng=seed)))
                continue
            wiring = organize(sheet, "izhikevich", steps=longer, rng=seed, snapshots=moments)
            course = [Pools.of(wiring, weights) for weights in wiring.snapshots]
            found.append(course[int(np.searchsorted(wiring.snapshot_steps, steps))])
            met = wiring.snapshot_steps[[(now.size < STOP_SIZE).mean() > STOP_SHARE for now in course]]
            stop = float(met[0] if len(met) else CAP) / 1000
        return found, stop

    both, lost = finite(effort.pick(1, 2, 10), one)
    found, stops = [pools for pools, _ in both], [stop for _, stop in both]
    mean = np.array([[p.size[p.small].mean() if p.small.any() else np.nan for p in row] for row in found])
    median = np.array(
        [[np.median(p.size[p.small]) if p.small.any() else np.nan for p in row] for row in found]
    )
    took = perf_counter() - began
    answers["stop"] = Answer(stops, took)
    answers["size_grows"] = Answer((np.diff(mean, axis=1) > 0).all(axis=1).astype(float), took)
    near = np.abs(mean[:, RADII.index(STORED_R_O)] / np.mean(STORED) - 1)
    answers["size_as_stored"] = Answer(np.nan_to_num(near, nan=1.0), took)
    other = np.abs(median / np.array(list(RESIMULATED.values())) - 1).max(axis=1)
    answers["size_as_resimulated"] = Answer(np.nan_to_num(other, nan=1.0), took)
    return {"mean": mean, "small": np.array([[p.small.mean() for p in row] for row in found]), "lost": lost}


def run(effort: Effort) -> Found:
    """Wire pools as published, and on smaller sheets with other r_o."""
    answers: dict[str, Answer] = {}
    return Found(answers, {part.__name__: part(effort, answers) for part in (published, radii)})


@styled
def _figure(data) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    (course, sizes), (radius, room) = figure.subplots(2, 2)
    for number, (steps, small) in enumerate(data["published"]["course"]):
        course.plot(
            steps / 1e3,
            small,
            color=OURS,
            linewidth=0.8,
            label="< a quarter of the nodes" if not number else None,
        )
        course.plot(steps / 1e3, data["published"]["under150"][number], color=FIRE, linewidth=0.8,
                    label="< 150 nodes" if not number else None)  # fmt: skip
    course.axhline(0.9, color=MUTED, linewidth=0.6, linestyle=":")
    course.set(xlabel="steps [thousand]", ylabel="share of pools", ylim=(0, 1.03), xlim=(0, None))
    course.set_title("3200 nodes, 400 units")
    course.legend(loc="upper right", bbox_to_anchor=(1.0, 0.95))
    small = np.concatenate([s[s < 800] for s in data["published"]["sizes"]])
    sizes.hist(small, bins=40, color=OURS)
    sizes.axvline(150, color=FIRE, linewidth=0.8)
    sizes.set(xlabel="nodes in a pool", ylabel="pools", xlim=(0, None))
    sizes.set_title("their pools at the end")
    mean = data["radii"]["mean"]
    radius.axhspan(*STORED, color=THEIRS, alpha=0.25, linewidth=0)
    radius.plot(RADII, mean.T, color=OURS, linewidth=0.6, alpha=0.5)
    radius.plot(RADII, np.nanmean(mean, axis=0), "o-", color=OURS, markersize=4, label="ours, mean")
    radius.plot(
        RADII,
        list(RESIMULATED.values()),
        "o",
        mfc="none",
        mec=INK,
        markersize=6,
        label="re-simulated, median",
    )
    radius.set(xlabel="r_o", ylabel="nodes in a pool", ylim=(0, None), xticks=RADII)
    radius.set_title("1500 nodes, 60 000 steps")
    radius.text(3.0, STORED[1] + 4, "stored networks", color=MUTED, fontsize=7)
    radius.legend(loc="lower right")
    wins = data["published"]["wiring"]
    room.plot(np.sort(Pools.of(wins).sets.sum(axis=1)), color=OURS)
    room.set(xlabel="nodes, in order", ylabel="pools that hold a node")
    room.set_title("overlap, 3200 nodes")
    return figure


def plot(data) -> dict[str, Figure]:
    """Draw convergence, pool sizes and controls, and pools on the published sheet."""
    wiring = data["published"]["wiring"]
    return {
        "": _figure(data),
        "sheet": pools(wiring, shown=40),
    }


if __name__ == "__main__":
    main(__file__, run, plot)
