"""Perceptrons behind grown pools: made, trained, and taken along paths; the commands' work on files."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.errors import ConfigError
from devnet._core.random import Key, as_key
from devnet.data import ImageSet, load_images
from devnet.export import GrownNetwork, load_network, save_network, to_torch
from devnet.fip import Damage, Path
from devnet.io import write_tensors
from devnet.io.nouns import load_wiring
from devnet.sheet import Wiring
from devnet.tasks import accuracy, recover, sparsify, train_classifier

TRAIN_STEPS = 2000
TRAIN_RATE = 6e-3
"""Length and rate of training: the best of four on a held-out part of the digits' training images."""


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


def sparsify_file(
    path: str | FilePath,
    out: str | FilePath,
    data: str,
    *,
    sparsity: float,
    steps: int,
    rng: Any,
    network: FilePath | None,
) -> str:
    """Sparsify a network's read-out without labels, save the path, and say how it went.

    Args:
        path: The network.
        out: Where the path goes.
        data: Name of the image set whose training images are the reference.
        sparsity: Share of the weights to cut.
        steps: Steps along the path.
        rng: Seed.
        network: Where the sparse network goes, or None.

    Returns:
        One line.
    """
    grown, images = _opened(path, data)
    walked = sparsify(
        grown.readout, seen(grown, images.x_train), sparsity=sparsity, steps=steps, rng=as_key(rng)
    )
    return _told(f"{100 * sparsity:g} % sparse", grown, images, walked, out, network, None)


def recover_file(
    path: str | FilePath,
    out: str | FilePath,
    data: str,
    *,
    cut: float,
    rounds: int,
    rng: Any,
    network: FilePath | None,
) -> str:
    """Damage a network's read-out, let it recover without labels, save the path, and say how it went.

    Args:
        path: The network.
        out: Where the path goes.
        data: Name of the image set whose training images are the reference.
        cut: Share of the hidden units that is lost.
        rounds: Rounds of recovery.
        rng: Seed.
        network: Where the recovered network goes, or None.

    Returns:
        One line.
    """
    grown, images = _opened(path, data)
    key = as_key(rng)
    damage = Damage.units(grown.readout, cut, rng=key.child("damage"))
    walked = recover(grown.readout, seen(grown, images.x_train), damage=damage, rounds=rounds, rng=key)
    return _told(f"{100 * cut:g} % of the units lost", grown, images, walked, out, network, damage)


def write_path(out: str | FilePath, path: Path, along: npt.NDArray[np.float64]) -> None:
    """Write a path with the weights from which it starts and the accuracy at each way-point.

    Args:
        out: Where.
        path: The path.
        along: (K,), test accuracy in per cent.
    """
    arrays, metadata = path.to_tensors()
    base = {f"base.{name}": value.detach().cpu().numpy() for name, value in path.base.state_dict().items()}
    write_tensors(out, arrays | base | {"accuracy": along}, "path", metadata)


def scores_along(path: Path, x: Any, y: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the accuracy in per cent at each way-point of a path."""
    return np.array([100.0 * accuracy(path.module(i), x, y) for i in range(len(path))])


def _opened(path: str | FilePath, data: str) -> tuple[GrownNetwork, ImageSet]:
    network, images = load_network(path), load_images(data)
    if network.classes is None or network.classes < images.classes:
        raise ConfigError(
            "network", f"{network.classes} outputs", f"a network with {images.classes} classes or more"
        )
    return network, images


def _told(
    what: str,
    grown: GrownNetwork,
    images: ImageSet,
    path: Path,
    out: str | FilePath,
    network: FilePath | None,
    damage: Damage | None,
) -> str:
    x = seen(grown, images.x_test)
    along = scores_along(path, x, images.y_test)
    before = 100.0 * accuracy(grown.readout, x, images.y_test)
    write_path(out, path, along)
    if network is not None:
        grown.readout.load_state_dict(path.module().state_dict())
        save_network(grown, network)
    hurt = (
        ""
        if damage is None
        else f", {100 * accuracy(damage.apply(grown.readout), x, images.y_test):.1f} % damaged"
    )
    return f"{out}: {what}: test accuracy {along[-1]:.1f} % (whole: {before:.1f} %{hurt}); {path.stop.help}"
