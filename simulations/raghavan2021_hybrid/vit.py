"""A small vision transformer on Fashion-MNIST: sparse, then a second task."""

from __future__ import annotations

from _two_goals import CANDIDATES, Case, plot, run_case

from devnet.study.figure import Effort, Found, main
from devnet.study.tuning import tuned


def case(effort: Effort) -> Case:
    """Return how long everything takes."""
    return Case(
        network="vit-small",
        images=effort.pick("digits", "fashion-mnist", "fashion-mnist"),
        seeds=effort.pick(1, 1, 5),
        training=effort.pick(5, 200, 2000),
        steps=effort.pick(3, 100, 800),
        batch=32,
        stored=effort.pick(20, 500, 500),
        test=effort.pick(50, 1000, 5000),
    )


def run(effort: Effort) -> Found:
    """Classes 0 to 4, 80 % of the weights at zero, then classes 5 to 9."""
    return run_case(case(effort), tuned(__file__, "vit", CANDIDATES))


if __name__ == "__main__":
    main(__file__, run, plot)
