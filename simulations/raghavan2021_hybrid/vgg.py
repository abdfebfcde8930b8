"""VGG-11 on CIFAR-10 (gray, stored as JPEG): the same calls as for the transformer, in a form short enough for a CPU."""

from __future__ import annotations

from _two_goals import CANDIDATES, Case, plot, run_case

from devnet.study.figure import Effort, Found, main
from devnet.study.tuning import tuned


def case(effort: Effort) -> Case:
    """Return how long everything takes."""
    return Case(
        network=effort.pick("small-cnn", "vgg-11", "vgg-11"),
        images=effort.pick("digits", "cifar10", "cifar10"),
        seeds=effort.pick(1, 1, 5),
        training=effort.pick(3, 6, 150),
        steps=effort.pick(2, 3, 60),
        batch=effort.pick(8, 8, 16),
        stored=effort.pick(10, 100, 500),
        test=effort.pick(20, 100, 1000),
    )


def run(effort: Effort) -> Found:
    """Classes 0 to 4, 80 % of the weights at zero, then classes 5 to 9."""
    # Steps are too slow on a CPU to tune it by itself: what was chosen for the transformer.
    return run_case(case(effort), tuned(__file__, "vit", CANDIDATES))


if __name__ == "__main__":
    main(__file__, run, plot)
