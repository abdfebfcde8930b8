"""Chooses strength and rate of every method on 10 000 held-out training images: run it.

Permuted MNIST is tuned on 3000 training images, a twentieth of its steps, and two datasets on 300 steps each, both with
one seed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import ensemble
import permuted_mnist
import split_mnist
import torch
import two_datasets

from devnet.data import load_images
from devnet.study.tuning import SEEDS, held_out, tune
from devnet.tasks.ensemble import calibration_error, mean_probabilities

if __name__ == "__main__":
    images = held_out(load_images("mnist"))

    def split(stored: int, changed: bool, name: str, candidate: tuple, seed: int) -> float:
        """Return the mean accuracy on five pairs of classes, %."""
        return split_mnist.score(images, candidate, seed, stored, changed)

    for panel in split_mnist.PANELS:
        tune(__file__, split_mnist.section(*panel), split_mnist.tried(*panel), partial(split, *panel))

    few = replace(images, x_train=images.x_train[:3000], y_train=images.y_train[:3000])

    def permuted(name: str, candidate: tuple, seed: int) -> float:
        """Return the mean accuracy on ten orders of the pixels, %."""
        return float(permuted_mnist.score(few, candidate, seed).mean())

    tune(__file__, "permuted_mnist", permuted_mnist.CANDIDATES, permuted, SEEDS[:1])

    sets = [images, held_out(load_images("fashion-mnist"))]

    def two(name: str, candidate: tuple, seed: int) -> float:
        """Return the mean accuracy on both sets, %."""
        return float(two_datasets.score(sets, name, candidate, seed, 300, 500, 5000).mean())

    tune(__file__, "two_datasets", two_datasets.CANDIDATES, two, SEEDS[:1])

    x_held, y_held = (torch.from_numpy(part.copy()) for part in (images.x_test, images.y_test))
    first = cache(lambda seed: ensemble.trained(images, 3750, (seed, 0)))

    def sure(name: str, plan: dict[str, float], seed: int) -> float:
        """Return accuracy less calibration error, %."""
        p = mean_probabilities(ensemble.collected(images, first(seed), plan, 3750, seed), x_held)
        return ensemble.right(p, y_held) - 100 * calibration_error(p, y_held)

    tune(__file__, "ensemble", ensemble.CANDIDATES, sure)
