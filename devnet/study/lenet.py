"""The network of several studies on paths: LeNet-300-100 on MNIST."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from devnet.data import ImageSet, load_images
from devnet.study.figure import Effort
from devnet.tasks import train_classifier
from devnet.tasks.models import build

MEAN, SPREAD = 0.1307, 0.3081
"""Of MNIST's training pixels."""


def images(effort: Effort) -> ImageSet:
    """Return what a script runs on; torch takes one thread from here on.

    Args:
        effort: How much is run.

    Returns:
        MNIST; for a smoke scikit-learn's digits, which are always there.
    """
    torch.set_num_threads(1)
    return load_images(effort.pick("digits", "mnist", "mnist"))


def seen(x: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, "N ..."]:
    """Return images as the network sees them: less their mean, over their spread."""
    return (x - MEAN) / SPREAD


def dense(data: ImageSet, effort: Effort, seed: int) -> nn.Module:
    """Train for 8 epochs of 60 000 images, batch 128, Adam 1e-3 falling along half a cosine.

    Args:
        data: Images and labels.
        effort: A smoke takes 50 steps.
        seed: Of the first weights and the order of images.

    Returns:
        The network.
    """
    start = build("lenet-300-100", data.image_shape, data.classes, rng=seed)
    steps = effort.pick(50, 3750, 3750)
    return train_classifier(start, seen(data.x_train), data.y_train, steps=steps, rng=seed)
