"""Networks from files: a grown one that `devnet export` wrote, or the weights of any PyTorch network.

A file of weights says nothing of the network it belongs to; the user names that beside it, and nothing in a file is
ever run (see ``study.factories``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path as FilePath
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.errors import ConfigError
from devnet.export import GrownNetwork, load_network, save_network
from devnet.fip import device
from devnet.io.weights import read_widened, write_weights
from devnet.study.factories import network_of
from devnet.study.given_images import Labelled
from devnet.study.networks import seen
from devnet.tasks.files import state_arrays, with_state

Images = npt.NDArray[np.float32]


class Source(ABC):
    """A network from a file.

    Attributes:
        module: What moves.
        note: What a reader must know of how it was read; empty where there is nothing.
    """

    module: nn.Module
    note: str = ""

    @abstractmethod
    def see(self, images: Images) -> torch.Tensor:
        """Return images as the module takes them."""

    @abstractmethod
    def save(self, module: nn.Module, out: FilePath) -> None:
        """Write a moved module as a file like the one it came from."""


@final
class GrownFile(Source):
    """The read-out of a grown network."""

    def __init__(self, path: FilePath, classes: int) -> None:
        self._network: GrownNetwork = load_network(path)
        if self._network.classes is None or self._network.classes < classes:
            held = f"{self._network.classes} outputs"
            raise ConfigError("network", held, f"a network with {classes} classes or more")
        self.module = self._network.readout

    def see(self, images: Images) -> torch.Tensor:
        """Return what the read-out sees through the pools."""
        return seen(self._network, images)

    def save(self, module: nn.Module, out: FilePath) -> None:
        """Write the grown network with this read-out."""
        self._network.readout.load_state_dict(module.state_dict())
        save_network(self._network, out)


@final
class WeightsFile(Source):
    """Any network: the name of what makes the module, and a plain safetensors file, or None for fresh weights."""

    def __init__(
        self, path: FilePath | None, factory: str, image_shape: tuple[int, ...], classes: int, rng: Any
    ) -> None:
        self.module = network_of(factory, image_shape, classes, rng=rng)
        if path is None:
            return
        arrays, wide = read_widened(path)
        self.module = with_state(
            "network", self.module, arrays, f"weights of a {factory} for these images and classes"
        )
        if wide:
            self.note = f" ({' and '.join(sorted(wide))} weights widened to float32)"

    def see(self, images: Images) -> torch.Tensor:
        """Return the images as they are."""
        return torch.from_numpy(images.copy())

    def save(self, module: nn.Module, out: FilePath) -> None:
        """Write the weights under the same names."""
        arrays = state_arrays("", module)
        write_weights(out, {name.removeprefix("."): array for name, array in arrays.items()})


def opened(
    path: str | FilePath | None, factory: str | None, images: Labelled, classes: int, rng: Any = 0
) -> Source:
    """Open a network's file.

    Args:
        path: The file; None for fresh weights of what the factory makes.
        factory: What makes the module, for a plain safetensors file; None for a network that `devnet export` wrote.
        images: The images it shall take.
        classes: Outputs it has at least.
        rng: Seed of fresh weights.

    Returns:
        The network.

    Raises:
        ConfigError: File, factory, images and classes do not fit together.
        CorruptFileError: The file is damaged, or of another kind.
    """
    place = None if path is None else FilePath(path)
    source: Source
    if factory is not None:
        source = WeightsFile(place, factory, images.image_shape, classes, rng)
    elif place is not None:
        source = GrownFile(place, classes)
    else:
        raise ConfigError("network", None, "a network's file, or --factory")
    source.module.to(device())
    return source
