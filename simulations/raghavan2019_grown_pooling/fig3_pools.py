"""Pools from all-to-all wiring: the published learning program, pool size against r_o, controls, long training."""

from __future__ import annotations

from time import perf_counter, process_time

import numpy as np
from _pools import Pools, finite, geometry, kept, settled, with_r_o
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.measure import initial_statistics, pool_statistics, wiring_statistics
from devnet.organization import organize, replay
from devnet.sheet import Wiring
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz import pools
from devnet.viz.style import FIRE, INK, MUTED, OURS, PATCHES, THEIRS, WIDTH, styled
from devnet.waves import shifted_trains, shuffled_frames, simulate

RADII = (3.0, 4.0, 6.0, 8.0)
RESIMULATED = {3.0: 69, 4.0: 79, 6.0: 106, 8.0: 129}
"""Median pool of one re-simulation of the published program, 1500 nodes, 60 000 steps."""
STORED = (107.0, 115.0)
"""Mean pools of the authors' stored networks of 1500 nodes."""
STOP_SIZE, STOP_SHARE, CAP = 150, 0.9, 10**6
"""The published program stops when more than this share of the pools holds fewer nodes, or after so many steps."""
CONTROLS = ("waves", "frames\nshuffled", "trains\nshifted", "no\ncoupling", "no\nplasticity")
COLORS = (OURS, PATCHES[2], PATCHES[1], THEIRS, INK)


def published(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Wire 400 units from 3200 nodes, as published."""
    began, seconds = perf_counter(), []
    steps = effort.pick(1024, 250_000, 250_000)

    def one(seed: int) -> Wiring:
        sheet = grow("raghavan2019_learning", rng=seed)
        start = process_time()
        wiring = organize(sheet, "izhikevich", steps=steps, rng=seed, snapshots=kept(steps, 12))
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


def stopping(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Wire 1500 nodes until the published program would stop: over 90 % of the pools under 150 nodes."""
    began = perf_counter()
    steps = effort.pick(1024, 200_000, 300_000)
    moments = kept(steps, effort.pick(2, 20, 30))

    def one(seed: int) -> int:
        sheet = grow("raghavan2019_learning/nodes1500", rng=seed)
        wiring = organize(sheet, "izhikevich", steps=steps, rng=seed, snapshots=moments)
        shares = [(Pools.of(wiring, w).size < STOP_SIZE).mean() for w in wiring.snapshots]
        stops = wiring.snapshot_steps[np.array(shares) > STOP_SHARE]
        return int(stops[0]) if len(stops) else CAP

    met, _ = finite(effort.pick(1, 1, 10), one)
    answers["stop"] = Answer([step / 1000 for step in met], perf_counter() - began)
    return {"met": met}


def radii(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Wire 1500 nodes with other r_o: pools grow with it."""
    began = perf_counter()
    steps = effort.pick(1024, 60_000, 60_000)

    def one(seed: int) -> list[Pools]:
        found = []
        for r_o in RADII:
            sheet = grow(with_r_o("raghavan2019_learning/nodes1500", r_o), rng=seed)
            found.append(Pools.of(organize(sheet, "izhikevich", steps=steps, rng=seed)))
        return found

    found, lost = finite(effort.pick(1, 2, 10), one)
    mean = np.array([[p.size[p.small].mean() if p.small.any() else np.nan for p in row] for row in found])
    median = np.array(
        [[np.median(p.size[p.small]) if p.small.any() else np.nan for p in row] for row in found]
    )
    took = perf_counter() - began
    answers["size_grows"] = Answer(np.nan_to_num((np.diff(mean, axis=1) > 0).all(axis=1).astype(float)), took)
    near = np.abs(mean[:, RADII.index(6.0)] - np.mean(STORED)) / np.mean(STORED)
    answers["size_as_stored"] = Answer(np.nan_to_num(near, nan=1.0), took)
    other = np.abs(median / np.array(list(RESIMULATED.values())) - 1).max(axis=1)
    answers["size_as_resimulated"] = Answer(np.nan_to_num(other, nan=1.0), took)
    return {
        "mean": mean,
        "median": median,
        "small": np.array([[p.small.mean() for p in row] for row in found]),
        "lost": lost,
    }


def controls(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Wire 400 units of 1500 nodes by waves, by what is left of them without motion or without waves, and not at all."""
    began = perf_counter()
    steps = effort.pick(1024, 20_000, 20_000)
    name, rows = "raghavan2019_learning/nodes1500", []
    for seed in range(effort.pick(1, 2, 10)):
        sheet = grow(name, rng=seed)
        learning = sheet.model.learning["rate_map"]
        # The gate and the least number of firing cells would keep what is no wave from teaching anything.
        open_rule = learning.rule.replace(max_spread=0.0, min_active=5)
        waves = organize(sheet, learning, steps=steps, rng=seed)
        recording = simulate(sheet, learning.dynamics, steps=steps, rng=seed)
        opened = learning.replace(rule=open_rule)
        made = [
            waves,
            replay(shuffled_frames(recording, rng=seed), opened, rng=seed),
            replay(shifted_trains(recording, rng=seed), opened, rng=seed),
            organize(sheet, learning, steps=steps, rng=seed, activity="noise"),
        ]
        rows.append([wiring_statistics(w) for w in made] + [initial_statistics(waves)])
    took = perf_counter() - began
    organized = np.array([[s.organized for s in row] for row in rows])
    answers["map_organized"] = Answer(organized[:, 0], took)
    answers["map_coverage"] = Answer([row[0].coverage for row in rows], took)
    for k, claim in ((2, "without_waves"), (3, "without_coupling"), (4, "without_plasticity")):
        answers[claim] = Answer(organized[:, k], took)
    return {
        "organized": organized,
        "overlap": [row[0].overlap for row in rows],
        "field": [row[0].field_size for row in rows],
    }


def long(effort: Effort, answers: dict[str, Answer]) -> dict:
    """Train grown sheets on, with the gate on one bump and without it."""
    began = perf_counter()
    steps = effort.pick(2048, 60_000, 250_000)
    moments = effort.pick((1024, 2048), (20_000, 60_000), (20_000, 60_000, 120_000, 180_000, 250_000))
    found = []
    for seed in range(effort.pick(1, 2, 10)):
        sheet = grow("raghavan2019_grown_pooling/small", rng=seed)
        learning = sheet.model.learning["rate_map"]
        found.append([])
        for spread in (1.0, 0.0):
            rule = learning.rule.replace(max_spread=spread)
            wiring = organize(sheet, learning.replace(rule=rule), steps=steps, rng=seed, snapshots=moments)
            won = np.ones(wiring.units, dtype=np.int64)  # all units win late in these runs
            found[-1].append(
                [
                    pool_statistics(w, sheet.positions, won, link=2 * sheet.spacing).organized
                    for w in wiring.snapshots
                ]
            )
    organized = np.array(found)
    took = perf_counter() - began
    answers["long_gated"] = Answer(organized[:, 0].min(axis=1), took)
    answers["long_does_not_hurt"] = Answer(organized[:, 0, -1] - organized[:, 0, 0], took)
    return {"moments": wiring.snapshot_steps, "organized": organized}


def run(effort: Effort) -> Found:
    """Wire pools as published and in the map form, with controls, for long."""
    answers: dict[str, Answer] = {}
    data = {part.__name__: part(effort, answers) for part in (published, stopping, radii, controls, long)}
    return Found(answers, data)


@styled
def _figure(data) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    (course, sizes, radius), (kinds, longer, room) = figure.subplots(2, 3)
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
    course.legend(loc="center right")
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
    organized = data["controls"]["organized"]
    for k in range(len(CONTROLS)):
        at = np.full(len(organized), k) + np.linspace(-0.15, 0.15, len(organized))
        kinds.plot(at, organized[:, k], "o", color=COLORS[k], markersize=3.5)
    kinds.set_xticks(range(5), CONTROLS, fontsize=6.5)
    kinds.set(ylabel="organized units, share", ylim=(-0.05, 1.05), xlim=(-0.5, 4.5))
    kinds.set_title("map form, 1500 nodes")
    moments = data["long"]["moments"] / 1e3
    for k, (color, name) in enumerate(((OURS, "gated on one bump"), (FIRE, "always learning"))):
        longer.plot(moments, data["long"]["organized"][:, k].T, color=color, linewidth=0.6, alpha=0.5)
        longer.plot(
            moments, data["long"]["organized"][:, k].mean(axis=0), "o-", color=color, markersize=4, label=name
        )
    longer.set(xlabel="steps [thousand]", ylabel="organized units, share", xlim=(0, None))
    longer.set_ylim(min(0.7, longer.get_ylim()[0]), 1.01)
    longer.set_title("map form, grown sheets")
    longer.legend(loc="lower left")
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
