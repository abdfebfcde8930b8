"""A small vision transformer on Fashion-MNIST: sparse, then a second task."""

from __future__ import annotations

from _two_goals import Case, plot, run_case

from devnet.study.figure import Effort, Found, main


def run(effort: Effort) -> Found:
    """Classes 0 to 4, 80 % of the weights at zero, then classes 5 to 9."""
    return run_case(
        Case(
            network="vit-small",
            images=effort.pick("digits", "fashion-mnist", "fashion-mnist"),
            seeds=effort.pick(1, 1, 5),
            training=effort.pick(5, 200, 2000),
            steps=effort.pick(3, 100, 800),
            batch=32,
            stored=effort.pick(20, 500, 500),
            test=effort.pick(50, 1000, 5000),
        )
    )


if __name__ == "__main__":
    main(__file__, run, plot)
