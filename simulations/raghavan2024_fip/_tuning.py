"""Chooses strength and rate of every continual method on 10 000 held-out training images: run it.

Permuted MNIST is tuned on 3000 training images, a twentieth of its steps, and two datasets on 300 steps each, both with
one seed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import permuted_mnist
import split_mnist
import two_datasets

from devnet.data import load_images
from devnet.study.tuning import SEEDS, held_out, tune

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
