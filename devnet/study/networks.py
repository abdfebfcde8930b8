"""Perceptrons behind grown pools: made, trained, and the files of their paths."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.checkpoint import Checkpoint
from devnet._core.errors import ConfigError
from devnet._core.random import Key, as_key
from devnet.data import ImageSet, load_images
from devnet.export import (
    GrownNetwork,
    save_network,  # noqa: F401  (for stages and commands)
    to_torch,
)
from devnet.fip import Adam, Euclidean, NewTask, Path, PenalizedGradient, Problem, StopWhen, traverse
from devnet.io.nouns import load_wiring
from devnet.sheet import Wiring
from devnet.tasks import accuracy, train_classifier

TRAIN_STEPS = 2000
TRAIN_RATE = 6e-3
"""Length and rate of training: the best of four on a held-out part of the digits' training images."""
SECOND_RATE = 6e-3
"""Rate of learning a second task: the best of three on the same, for paths, replay and plain training alike."""


def untrained(
    wiring: Wiring, images: ImageSet, hidden: int, chosen: npt.NDArray[np.int64], key: Key
) -> GrownNetwork:
    """Put a perceptron behind pools and scale their features.

    Args:
        wiring: The pools.
        images: The image set.
        hidden: Units of the hidden layer; 0 for none.
        chosen: Which training images set the scale.
        key: Key of the initial weights.

    Returns:
        The network.
    """
    network = to_torch(
        wiring,
        image_shape=images.image_shape,
        hidden=(hidden,) if hidden else (),
        classes=images.classes,
        rng=key.child("start"),
    )
    network.fit_scaling(torch.from_numpy(images.x_train[chosen]))
    return network


def seen(network: GrownNetwork, images: npt.NDArray[np.float32]) -> torch.Tensor:
    """Return images as the read-out sees them: pooled and scaled.

    Args:
        network: The network.
        images: (N, H, W).

    Returns:
        (N, M).

    Raises:
        ConfigError: The images have another shape than the network takes.
    """
    if network.image_shape != images.shape[1:]:
        raise ConfigError(
            "data", f"images of {images.shape[1:]}", f"images of {network.image_shape}, as the network"
        )
    with torch.no_grad():
        parts = [network.features(part) for part in torch.from_numpy(images.copy()).split(4096)]
        return (torch.cat(parts) - network.feature_mean) / network.feature_scale


def trained(readout: nn.Module, x: torch.Tensor, y: npt.NDArray[np.int64], key: Key, steps: int) -> nn.Module:
    """Return a read-out trained with labels; ``key.child("dense")`` orders its mini-batches."""
    return train_classifier(readout, x, y, steps=steps, rate=TRAIN_RATE, rng=key.child("dense"))


def export(
    path: str | FilePath, data: str, *, hidden: int, train: int, rng: Any
) -> tuple[GrownNetwork, float]:
    """Make a network from a wiring's file.

    Args:
        path: The wiring.
        data: Name of the image set.
        hidden: Units of the hidden layer; 0 for none.
        train: Steps of training with labels; 0 leaves the read-out as it starts.
        rng: Seed.

    Returns:
        The network, and its test accuracy from 0 to 1.
    """
    wiring, images, key = load_wiring(path), load_images(data), as_key(rng)
    network = untrained(wiring, images, hidden, np.arange(len(images.x_train)), key)
    if train:
        readout = trained(network.readout, seen(network, images.x_train), images.y_train, key, train)
        network.readout.load_state_dict(readout.state_dict())
    return network, accuracy(network.readout, seen(network, images.x_test), images.y_test)


def second_task(
    module: nn.Module,
    stored: Any,
    inputs: Any,
    labels: Any,
    *,
    steps: int,
    rate: float = SECOND_RATE,
    rng: Any = None,
    checkpoint: Checkpoint | None = None,
) -> Path:
    """Teach a network a second task while its answers to stored inputs stay, without a label of the first (F24).

    Adam on the Euclidean distance to the recorded outputs plus ten times the cross-entropy of the new task.

    Args:
        module: The network; it is not touched.
        stored: Inputs of the first task.
        inputs: Inputs of the new task.
        labels: Their class numbers.
        steps: Mini-batch steps, 64 stored and 64 new examples each.
        rate: First learning rate.
        rng: Seed.
        checkpoint: As in ``traverse``.

    Returns:
        The path.
    """
    problem = Problem(
        stored,
        NewTask(inputs, labels, batch=64),
        metric=Euclidean(),
        direction=PenalizedGradient(64, penalty=10.0),
        step=Adam(rate),
        stop=StopWhen(steps),
    )
    return traverse(module, problem, rng=rng, checkpoint=checkpoint)


def scores_along(path: Path, x: Any, y: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the accuracy in per cent at each way-point of a path."""
    return np.array([100.0 * accuracy(path.module(i), x, y) for i in range(len(path))])
