"""Reconfiguration: r_o changes after learning, and the pools follow the new waves."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _pools import Pools, finite, with_r_o
from matplotlib.figure import Figure

from devnet.growth import grow
from devnet.organization import organize
from devnet.sheet import Sheet, Wiring
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import FIRE, MUTED, OURS, WIDTH, styled

SMALL, LARGE = 6.0, 8.0
NAME = "raghavan2019_learning/nodes1500"


def mean_size(wiring: Wiring, weights: np.ndarray | None = None) -> float:
    """Return the mean number of nodes in the converged pools; 0 where there is none."""
    now = Pools.of(wiring, weights)
    return float(now.size[now.small].mean()) if now.small.any() else 0.0


def run(effort: Effort) -> Found:
    """Learn with one r_o, go on with the other, and compare with pools learned with that one from the beginning."""
    began = perf_counter()
    first_steps, steps = effort.pick(2048, 60_000, 150_000), effort.pick(2048, 60_000, 100_000)
    moments = tuple(sorted({max(1, round(steps * k / 20)) for k in range(1, 21)}))

    def one(seed: int) -> dict[str, Wiring]:
        sheets: dict[float, Sheet] = {r_o: grow(with_r_o(NAME, r_o), rng=seed) for r_o in (SMALL, LARGE)}
        first = {
            r_o: organize(sheet, "izhikevich", steps=first_steps, rng=seed) for r_o, sheet in sheets.items()
        }
        other = {SMALL: LARGE, LARGE: SMALL}
        then = {
            old: organize(
                sheets[new], "izhikevich", steps=steps, rng=seed + 1000, start=first[old], snapshots=moments
            )
            for old, new in other.items()
        }
        return {"small": first[SMALL], "large": first[LARGE], "grown": then[SMALL], "shrunk": then[LARGE]}

    found, lost = finite(effort.pick(1, 2, 10), one)
    took = perf_counter() - began
    size = {name: np.array([mean_size(row[name]) for row in found]) for name in found[0]}
    answers = {
        "grow": Answer(np.abs(size["grown"] / size["large"] - 1), took),
        "shrink": Answer(np.abs(size["shrunk"] / size["small"] - 1), took),
        "converged": Answer(
            [min(Pools.of(row[n]).small.mean() for n in ("grown", "shrunk")) for row in found], took
        ),
        "coverage": Answer(
            [min(Pools.of(row[n]).coverage() for n in ("grown", "shrunk")) for row in found], took
        ),
    }
    courses = {
        name: [[mean_size(row[name], None if start is None else row[start].weights)] + [mean_size(row[name], w) for w in row[name].snapshots]
               for row in found] for name, start in (("grown", "small"), ("shrunk", "large"))
    }  # fmt: skip
    return Found(answers, {"size": size, "courses": courses, "moments": found[0]["grown"].snapshot_steps, "lost": lost,
                           "first_steps": first_steps})  # fmt: skip


@styled
def plot(data) -> Figure:
    """Draw the mean pool against the steps after the change, in both directions."""
    figure = Figure(figsize=(WIDTH / 2, 2.4), layout="constrained")
    axes = figure.subplots()
    steps = np.concatenate([[0], data["moments"]]) / 1e3
    looks = (
        ("grown", "large", FIRE, f"r_o {SMALL:g} to {LARGE:g}"),
        ("shrunk", "small", OURS, f"r_o {LARGE:g} to {SMALL:g}"),
    )
    for name, goal, color, words in looks:
        courses = np.array(data["courses"][name])
        axes.plot(steps, courses.T, color=color, linewidth=0.5, alpha=0.4)
        axes.plot(steps, courses.mean(axis=0), "-", color=color, label=words)
        axes.axhline(data["size"][goal].mean(), color=color, linewidth=0.8, linestyle=":")
    axes.set(xlabel="steps after the change [thousand]", ylabel="nodes in a converged pool", xlim=(0, None))
    axes.set_ylim(0.93 * axes.get_ylim()[0], None)  # room for the words
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.62))
    axes.text(0.99, 0.02, "dotted: learned with that r_o from the beginning", color=MUTED, fontsize=7, ha="right",
              transform=axes.transAxes)  # fmt: skip
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
