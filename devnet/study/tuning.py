"""Hyper-parameters chosen on training images that are held out, equally many candidates for every method.

Seeds of tuning are others than those of reporting, and test images are not among what is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from devnet._core.errors import ConfigError
from devnet.data import ImageSet

SEEDS = (100, 101)
"""Seeds of tuning; studies report on seeds from 0."""


def held_out(images: ImageSet, count: int = 10_000) -> ImageSet:
    """Return a set whose test part is the last of the training images; its real test images are left out.

    Args:
        images: An image set.
        count: Images to hold out.

    Returns:
        The set for tuning.

    Raises:
        ConfigError: No image would be left to train on.
    """
    if not 0 < count < len(images.x_train):
        raise ConfigError("count", count, f"a number from 1 to {len(images.x_train) - 1}")
    (x, y), (x_test, y_test) = (
        (images.x_train[part], images.y_train[part]) for part in (slice(-count), slice(-count, None))
    )
    return replace(images, x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def tune(
    methods: Mapping[str, Mapping[str, Callable[[int], float]]], seeds: Sequence[int] = SEEDS
) -> dict[str, str]:
    """Score every candidate of every method over seeds, print a line each, and return the best ones.

    Args:
        methods: For each method its candidates by name: functions from a seed to a score, more being better.
        seeds: Seeds.

    Returns:
        Name of the candidate with the largest mean, by method; the first of equals.

    Raises:
        ConfigError: The methods do not have equally many candidates.
    """
    counts = {name: len(candidates) for name, candidates in methods.items()}
    if len(set(counts.values())) != 1:
        raise ConfigError("methods", counts, "equally many candidates for every method")
    best = {}
    for method, candidates in methods.items():
        means = {}
        for name, score in candidates.items():
            values = np.array([score(seed) for seed in seeds])
            means[name] = values.mean()
            print(f"{method:32} {name:32} {values.mean():6.2f} ± {values.std():.2f}", flush=True)  # noqa: T201
        best[method] = max(means, key=lambda name: means[name])
        print(f"{method:32} -> {best[method]}", flush=True)  # noqa: T201
    return best
