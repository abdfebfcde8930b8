"""Paths of networks in files: `devnet fip` on a grown network, or on the weights of any PyTorch network.

A file of weights says nothing of the network it belongs to; the user names that beside it, and nothing in a file is
ever run (see ``study.factories``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.errors import ConfigError
from devnet._core.random import Key, as_key
from devnet.data import ImageSet, load_images
from devnet.export import GrownNetwork, load_network, save_network
from devnet.fip import Damage, Path, device, leads
from devnet.io import EVERY, Checkpoints, write_tensors
from devnet.io.weights import read_weights, write_weights
from devnet.study.factories import network_of
from devnet.study.networks import scores_along, second_task, seen, write_path
from devnet.tasks import accuracy, recover, sparsify
from devnet.tasks.connection import barrier, connect, match_activations
from devnet.tasks.ensemble import calibration_error, diversify, mean_probabilities

Images = npt.NDArray[np.float32]


class Source(ABC):
    """A network from a file.

    Attributes:
        module: What moves.
    """

    module: nn.Module

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
    """Any network: a plain safetensors file, and the name of what makes the module."""

    def __init__(self, path: FilePath, factory: str, image_shape: tuple[int, int], classes: int) -> None:
        self.module = network_of(factory, image_shape, classes, rng=0)
        held, given = self.module.state_dict(), read_weights(path)
        wrong = [n for n in held if n not in given or given[n].shape != tuple(held[n].shape)]
        wrong += [n for n in given if n not in held]
        if wrong:
            raise ConfigError(
                "network", f"{wrong[0]} ...", f"weights of a {factory} for these images and classes"
            )
        self.module.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in given.items()})

    def see(self, images: Images) -> torch.Tensor:
        """Return the images as they are."""
        return torch.from_numpy(images.copy())

    def save(self, module: nn.Module, out: FilePath) -> None:
        """Write the weights under the same names."""
        write_weights(out, {n: t.detach().cpu().numpy() for n, t in module.state_dict().items()})


def opened(path: str | FilePath, factory: str | None, images: ImageSet, classes: int) -> Source:
    """Open a network's file.

    Args:
        path: The file.
        factory: What makes the module, for a plain safetensors file; None for a network that `devnet export` wrote.
        images: The images it shall take.
        classes: Outputs it has at least.

    Returns:
        The network.

    Raises:
        ConfigError: File, factory, images and classes do not fit together.
        CorruptFileError: The file is damaged, or of another kind.
    """
    source: Source
    if factory is None:
        source = GrownFile(FilePath(path), classes)
    else:
        source = WeightsFile(FilePath(path), factory, images.image_shape, classes)
    source.module.to(device())
    return source


@dataclass(frozen=True)
class Job:
    """What a command works on.

    Attributes:
        path: The network.
        out: Where the path goes.
        data: Name of the image set.
        factory: See ``opened``.
        network: Where the network at the end goes, or None.
        rng: Seed.
        checkpoint: Folder in which the walk is kept, so that the same command goes on if it was stopped; or None.
        every: Seconds between two checkpoints.
    """

    path: str | FilePath
    out: str | FilePath
    data: str
    factory: str | None = None
    network: FilePath | None = None
    rng: Any = 0
    checkpoint: FilePath | None = None
    every: float = EVERY

    @property
    def place(self) -> Checkpoints | None:
        """Where the walk is kept."""
        return None if self.checkpoint is None else Checkpoints(self.checkpoint, self.every)

    @property
    def key(self) -> Key:
        """The key of its randomness."""
        return as_key(self.rng)


def sparsify_file(job: Job, *, sparsity: float, steps: int) -> str:
    """Sparsify a network without labels, save the path, and say how it went.

    Args:
        job: What to work on; the training images are the reference.
        sparsity: Share of the weights to cut.
        steps: Steps along the path.

    Returns:
        One line.
    """
    images = load_images(job.data)
    source = opened(job.path, job.factory, images, images.classes)
    x = source.see(images.x_train)
    walked = sparsify(source.module, x, sparsity=sparsity, steps=steps, rng=job.key, checkpoint=job.place)
    return _told(job, source, images, walked, f"{100 * sparsity:g} % sparse", None)


def recover_file(job: Job, *, cut: float, rounds: int) -> str:
    """Damage a network, let it recover without labels, save the path, and say how it went.

    Args:
        job: What to work on; the training images are the reference.
        cut: Share of the hidden units that is lost.
        rounds: Rounds of recovery.

    Returns:
        One line.
    """
    images = load_images(job.data)
    source = opened(job.path, job.factory, images, images.classes)
    damage = Damage.units(source.module, cut, rng=job.key.child("damage"))
    x = source.see(images.x_train)
    walked = recover(source.module, x, damage=damage, rounds=rounds, rng=job.key, checkpoint=job.place)
    return _told(job, source, images, walked, f"{100 * cut:g} % of the units lost", damage)


def learn_file(job: Job, *, past: str, stored: int, offset: int, steps: int) -> str:
    """Teach a network a second image set while it keeps the first, save the path, and say how it went.

    Args:
        job: What to work on; its data are the new task.
        past: Name of the image set that the network knows; its labels are used to tell how it went, not to learn.
        stored: Training images of it that are kept.
        offset: Added to the new class numbers.
        steps: Steps along the path.

    Returns:
        One line.

    Raises:
        ConfigError: The sets' images differ in shape, or there are fewer images than are to be stored.
    """
    new, old = load_images(job.data), load_images(past)
    if new.image_shape != old.image_shape:
        raise ConfigError("--data", f"images of {new.image_shape}", f"images of {old.image_shape}, as --past")
    if stored > len(old.x_train):
        raise ConfigError("--stored", stored, f"at most the {len(old.x_train)} training images of {past}")
    source = opened(job.path, job.factory, new, max(old.classes, new.classes + offset))
    chosen = job.key.stream("stored").permutation(0, len(old.x_train))[:stored]
    kept, x = source.see(old.x_train[chosen]), source.see(new.x_train)
    y = new.y_train + offset
    walked = second_task(source.module, kept, x, y, steps=steps, rng=job.key, checkpoint=job.place)
    if not leads():
        return ""

    def right(module: nn.Module) -> tuple[float, float]:
        first = accuracy(module, source.see(old.x_test), old.y_test)
        return 100 * first, 100 * accuracy(module, source.see(new.x_test), new.y_test + offset)

    before, after = right(source.module), right(walked.module())
    write_path(job.out, walked, scores_along(walked, source.see(old.x_test), old.y_test))
    if job.network is not None:
        source.save(walked.module(), job.network)
    return (
        f"{job.out}: {job.data} learned, {stored} images of {past} kept: test accuracy on {past} {after[0]:.1f} % "
        f"(was {before[0]:.1f} %), on {job.data} {after[1]:.1f} % (was {before[1]:.1f} %); {walked.stop.help}"
    )


def connect_files(job: Job, other: str | FilePath, *, steps: int) -> str:
    """Connect two networks of one architecture without labels, save the curve, and say how high its barrier is.

    Args:
        job: What to work on; the training images are the reference, the test images with labels tell the barrier.
        other: The second network. Where both are chains of linear layers, its units are reordered first.
        steps: Steps of bending.

    Returns:
        One line.

    Raises:
        ConfigError: The second network sees images through other pools.
    """
    images = load_images(job.data)
    ends = [opened(path, job.factory, images, images.classes) for path in (job.path, other)]
    x, (first, last) = ends[0].see(images.x_train), (end.module for end in ends)
    if not np.array_equal(ends[1].see(images.x_train[:100]), x[:100]):
        raise ConfigError(
            "other", str(other), f"a network that sees images through the same pools as {job.path}"
        )
    how = "as they are"
    with suppress(ConfigError):  # no chain of linear layers
        last, how = match_activations(first, last, x[:5000]), "reordered"
    curve = connect(first, last, x, steps=steps, rng=job.key)
    test = ends[0].see(images.x_test)

    def wrong(module: nn.Module) -> float:
        return 100.0 - 100.0 * accuracy(module, test, images.y_test)

    if not leads():
        return ""
    heights = curve.scan(wrong)
    arrays = {
        f"{part}.{name}": value.detach().cpu().numpy()
        for part, flat in (("first", curve.first), ("control", curve.control), ("last", curve.last))
        for name, value in curve.layout.split(flat).items()
    }
    write_tensors(job.out, arrays, "curve", {"layout": curve.layout.metadata(), "error": heights})
    if job.network is not None:
        ends[0].save(curve.module(0.5), job.network)
    return (
        f"{job.out}: units {how}: test accuracy {100 - heights[0]:.1f} % and {100 - heights[-1]:.1f} % at the ends, "
        f"barrier {barrier(heights):.2f} points at {len(heights)} places"
    )


def ensemble_file(job: Job, *, count: int, steps: int) -> str:
    """Collect networks along a path that leaves a trained one, save them, and say how they do together.

    Args:
        job: What to work on; the training images and their labels lead the path.
        count: Networks to keep.
        steps: Steps from one to the next.

    Returns:
        One line.
    """
    images = load_images(job.data)
    source = opened(job.path, job.factory, images, images.classes)
    x, test, y = source.see(images.x_train), source.see(images.x_test), torch.from_numpy(images.y_test.copy())
    bounds = float(x.min()), float(x.max())
    members = diversify(
        source.module, x, images.y_train, count=count, steps=steps, bounds=bounds, rng=job.key
    )
    if not leads():
        return ""

    def told(modules: list[nn.Module]) -> str:
        p = mean_probabilities(modules, test).cpu()
        right = float((p.argmax(1) == y).double().mean())
        return f"test accuracy {100 * right:.1f} %, calibration error {100 * calibration_error(p, y):.2f} %"

    arrays = {
        f"{number}.{name}": value.detach().cpu().numpy()
        for number, module in enumerate(members)
        for name, value in module.state_dict().items()
    }
    write_tensors(job.out, arrays, "ensemble", {"members": count})
    if job.network is not None:
        source.save(members[-1], job.network)
    return f"{job.out}: {count} networks together: {told(members)} (the first alone: {told([source.module])})"


def _told(job: Job, source: Source, images: ImageSet, path: Path, what: str, damage: Damage | None) -> str:
    """Save the path and its end, and say how it went; of several processes the first one does."""
    if not leads():
        return ""
    x = source.see(images.x_test)
    along = scores_along(path, x, images.y_test)
    before = 100.0 * accuracy(source.module, x, images.y_test)
    hurt = ""
    if damage is not None:
        hurt = f", {100 * accuracy(damage.apply(source.module), x, images.y_test):.1f} % damaged"
    write_path(job.out, path, along)
    if job.network is not None:
        source.save(path.module(), job.network)
    return (
        f"{job.out}: {what}: test accuracy {along[-1]:.1f} % (whole: {before:.1f} %{hurt}); {path.stop.help}"
    )
