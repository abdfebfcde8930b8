"""What pools need: waves against controls, and long training with and without the gate on one bump."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.measure import initial_statistics, pool_statistics, wiring_statistics
from devnet.organization import organize, replay
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import FIRE, INK, OURS, PATCHES, THEIRS, WIDTH, styled
from devnet.waves import shifted_trains, shuffled_frames, simulate

CONTROLS = ("waves", "steps\nshuffled", "trains\nshifted", "no\ncoupling", "no\nplasticity")
COLORS = (OURS, PATCHES[2], PATCHES[1], THEIRS, INK)


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
    """Wire pools by waves and by controls; train on for long."""
    answers: dict[str, Answer] = {}
    return Found(answers, {part.__name__: part(effort, answers) for part in (controls, long)})


@styled
def plot(data) -> Figure:
    """Draw the organized share of units, by activity and against the steps of training."""
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    kinds, longer = figure.subplots(1, 2)
    organized = data["controls"]["organized"]
    for k in range(len(CONTROLS)):
        at = np.full(len(organized), k) + np.linspace(-0.15, 0.15, len(organized))
        kinds.plot(at, organized[:, k], "o", color=COLORS[k], markersize=3.5)
    kinds.set_xticks(range(5), CONTROLS)
    kinds.set(ylabel="organized units, share", ylim=(-0.05, 1.05), xlim=(-0.5, 4.5))
    kinds.set_title("map form, 1500 nodes, 400 units")
    moments = data["long"]["moments"] / 1e3
    for k, (color, name) in enumerate(((OURS, "gated on one bump"), (FIRE, "always learning"))):
        courses = data["long"]["organized"][:, k]
        longer.plot(moments, courses.T, color=color, linewidth=0.6, alpha=0.5)
        longer.plot(moments, courses.mean(axis=0), "o-", color=color, markersize=4, label=name)
    longer.set(xlabel="steps [thousand]", ylabel="organized units, share", xlim=(0, None))
    longer.set_ylim(min(0.7, longer.get_ylim()[0]), 1.01)
    longer.set_title("map form, grown sheets")
    longer.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
