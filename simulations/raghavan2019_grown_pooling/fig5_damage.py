"""Damage: nodes of five regions die before or after learning; pools leave them and cover what lives."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _pools import Pools, finite
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.organization import organize
from devnet.sheet import Wiring
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import AGES, FIRE, MUTED, OURS, PATCHES, WIDTH, dots, sheet_panel, styled

CENTERS = np.array([[7.0, 7.0], [21.0, 7.0], [14.0, 14.0], [7.0, 21.0], [21.0, 21.0]])
RADIUS = 2.5
"""Five regions as published; where they lie and how large they are is ours."""
RECOVERED = 0.01
"""A sheet has recovered when at most this share of the converged pools holds a dead node (published: no pool)."""
CAP = 10**6
"""The published program's; stands for a sheet that did not recover."""
FORMS = ("rate_map", "izhikevich")


def dead_share(wiring: Wiring, weights: np.ndarray | None = None) -> float:
    """Return which share of all memberships in converged pools belongs to dead nodes."""
    now = Pools.of(wiring, weights)
    sets = now.sets[:, now.small]
    return float(sets[wiring.sheet.dead].sum() / max(1, sets.sum()))


def holding(wiring: Wiring, weights: np.ndarray | None = None) -> float:
    """Return the share of converged pools that hold a dead node."""
    now = Pools.of(wiring, weights)
    return float(now.sets[wiring.sheet.dead][:, now.small].any(axis=0).mean()) if now.small.any() else 1.0


def run(effort: Effort) -> Found:
    """Damage sheets after learning and before it, in the map form and in the published one."""
    answers: dict[str, Answer] = {}
    data = {}
    for form in FORMS:
        began = perf_counter()
        first_steps = {
            "rate_map": effort.pick(2048, 20_000, 20_000),
            "izhikevich": effort.pick(2048, 400_000, 600_000),
        }[form]
        steps = {
            "rate_map": effort.pick(2048, 20_000, 20_000),
            "izhikevich": effort.pick(2048, 400_000, 400_000),
        }[form]
        moments = tuple(sorted({max(1, round(steps * k / 25)) for k in range(1, 26)}))

        def one(
            seed: int, form=form, first_steps=first_steps, steps=steps, moments=moments
        ) -> tuple[Wiring, Wiring, Wiring]:
            sheet = grow("raghavan2019_damage", rng=seed)
            hurt = sheet.damaged(CENTERS, RADIUS)
            first = organize(sheet, form, steps=first_steps, rng=seed)
            after = organize(hurt, form, steps=steps, rng=seed + 1000, start=first, snapshots=moments)
            before = organize(hurt, form, steps=first_steps, rng=seed)
            return first, after, before

        found, lost = finite(effort.pick(1, 1, 10), one)
        took = perf_counter() - began
        living = [~after.sheet.dead for _, after, _ in found]
        courses = [[holding(after, w) for w in after.snapshots] for _, after, _ in found]
        moments = found[0][1].snapshot_steps
        free = [
            next((int(s) for s, h in zip(moments, c, strict=True) if h <= RECOVERED), CAP) for c in courses
        ]
        answers[f"{form}_after"] = Answer([dead_share(after) for _, after, _ in found], took)
        answers[f"{form}_before"] = Answer([dead_share(before) for _, _, before in found], took)
        answers[f"{form}_coverage"] = Answer(
            [Pools.of(after).coverage(alive) for (_, after, _), alive in zip(found, living, strict=True)],
            took,
        )
        answers[f"{form}_recovery"] = Answer([s / 1000 for s in free], took)
        data[form] = {"moments": moments, "courses": courses, "lost": lost, "example": found[0],
                      "start": [dead_share_at_once(first, after) for first, after, _ in found]}  # fmt: skip
    return Found(answers, data)


def dead_share_at_once(first: Wiring, after: Wiring) -> float:
    """Return the share of dead memberships in the moment of damage."""
    now = Pools.of(first)
    sets = now.sets[:, now.small]
    return float(sets[after.sheet.dead].sum() / max(1, sets.sum()))


@styled
def plot(data) -> Figure:
    """Draw which pools lie on dead nodes at the damage and after recovery, and how fast they leave."""
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    first, after, _ = data["rate_map"]["example"]
    dead = after.sheet.dead
    scale = Normalize(0, 40)
    for axes, wiring, name in ((left, first, "at the damage"), (middle, after, "after learning on")):
        now = Pools.of(wiring)
        count = now.sets[:, now.small].sum(axis=1)
        sheet_panel(axes, wiring.sheet, name)
        dots(axes, wiring.sheet.positions, 1.1 * wiring.sheet.spacing, AGES(scale(count)))
        dots(axes, wiring.sheet.positions[dead], 0.5 * wiring.sheet.spacing, FIRE, zorder=3)
    figure.colorbar(
        ScalarMappable(scale, AGES),
        ax=[left, middle],
        shrink=0.75,
        aspect=18,
        label="pools that hold a node",
        extend="max",
    )
    for form, color, name in (("rate_map", OURS, "map form"), ("izhikevich", PATCHES[1], "published form")):
        found = data[form]
        steps = np.concatenate([[0], found["moments"]]) / 1e3
        for course in found["courses"]:
            right.plot(steps[1:], course, color=color, linewidth=0.7, alpha=0.6)
        right.plot([], color=color, label=name)
    right.set(xscale="log", xlabel="steps after the damage [thousand]", ylabel="pools that hold a dead node, share",
              ylim=(-0.02, 1.02))  # fmt: skip
    right.legend(loc="upper right")
    left.text(
        0.0, -0.06, "red: dead nodes; map form, one seed", transform=left.transAxes, color=MUTED, fontsize=7
    )
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
