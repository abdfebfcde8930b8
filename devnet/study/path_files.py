"""What `devnet fip` does with a network's file: each job saves what it made, and says in a line how it went."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from torch import nn

from devnet._core.errors import BusyError, ConfigError, DevnetError
from devnet._core.random import Key, as_key
from devnet.fip import Damage, Path, leads
from devnet.io import EVERY, Checkpoints, write_json
from devnet.study import beside
from devnet.study.beside import Method, Row
from devnet.study.given_images import Labelled, images_of
from devnet.study.network_files import Source, opened
from devnet.study.networks import scores_along, second_task
from devnet.tasks import accuracy, recover, sparsify
from devnet.tasks.connection import Curve, barrier, connect, match_activations
from devnet.tasks.ensemble import calibration_error, diversify, mean_probabilities
from devnet.tasks.files import save_curve, save_ensemble, save_path


@dataclass(frozen=True)
class Job:
    """What a command works on.

    Attributes:
        path: The network; None for one with fresh weights, where a job can begin with it.
        out: Where the path goes.
        data: Name of the image set, or an ``.npz`` file of images.
        factory: See ``opened``.
        network: Where the network at the end goes, or None.
        rng: Seed.
        checkpoint: Folder in which the walk is kept, so that the same command goes on if it was stopped; or None.
        every: Seconds between two checkpoints.
        beside: Whether the baselines of the job are run too.
        rows: Where figures go as JSON, or None.
    """

    path: str | FilePath | None
    out: str | FilePath
    data: str
    factory: str | None = None
    network: FilePath | None = None
    rng: Any = 0
    checkpoint: FilePath | None = None
    every: float = EVERY
    beside: bool = False
    rows: FilePath | None = None

    def compared(self, methods: Sequence[Method], score: Callable[[Any], Mapping[str, float]]) -> list[Row]:
        """Return rows of what is ours, the first of the methods, and where it was asked for of the others beside it.

        Where several processes walk together, all of them must come here.

        Args:
            methods: Ours, then its baselines.
            score: As in ``rows_of``.

        Returns:
            A row a method.
        """
        return beside.rows_of(methods if self.beside else methods[:1], score)

    def told(self, line: str, rows: Sequence[Row]) -> str:
        """Write the figures where they were asked for; return the line, and the table where there is one."""
        if self.rows is not None:
            write_json(self.rows, {"data": self.data, "key": str(self.key.value), "rows": list(rows)})
        return f"{line}\n\n{beside.table(rows)}" if self.beside else line

    @property
    def place(self) -> Checkpoints | None:
        """Where the walk is kept."""
        return None if self.checkpoint is None else Checkpoints(self.checkpoint, self.every)

    @contextmanager
    def alone(self, team: Any) -> Generator[None]:
        """Hold the folder of the walk while the block runs; of several processes the first one does.

        Args:
            team: What ``fip.torchrun`` yields.

        Yields:
            Nothing.

        Raises:
            BusyError: Another process holds it, or it holds other files. All processes hear of it, so that none waits.
            StorageError: It cannot be made, read or locked.
        """
        refused: DevnetError | None = None
        with ExitStack() as stack:
            if self.place is not None and leads():
                try:
                    stack.enter_context(self.place.alone())
                except DevnetError as error:
                    refused = error
            if team is not None and team.any(refused is not None) and refused is None:
                refused = BusyError("--checkpoint: the first process could not take the folder")
            if refused is not None:
                raise refused
            yield

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
        One line, and the table of baselines.
    """
    images = images_of(job.data)
    source = opened(job.path, job.factory, images, images.classes)
    x, key = source.see(images.x_train), job.key
    walked = sparsify(source.module, x, sparsity=sparsity, steps=steps, rng=key, checkpoint=job.place)
    rivals = beside.pruners(source.module, x, images.y_train, sparsity, steps, key)
    methods = [Method("path", "none", steps, walked.module), *rivals]
    return _told(job, source, images, walked, f"{100 * sparsity:g} % sparse", None, methods)


def recover_file(job: Job, *, cut: float, rounds: int) -> str:
    """Damage a network, let it recover without labels, save the path, and say how it went.

    Args:
        job: What to work on; the training images are the reference.
        cut: Share of the hidden units that is lost; see ``damage_of``.
        rounds: Rounds of recovery.

    Returns:
        One line, and the table of baselines.
    """
    images = images_of(job.data)
    source = opened(job.path, job.factory, images, images.classes)
    damage, what = damage_of(source.module, cut, job.key.child("damage"))
    x, key = source.see(images.x_train), job.key
    walked = recover(source.module, x, damage=damage, rounds=rounds, rng=key, checkpoint=job.place)
    rivals = beside.retrainers(source.module, x, images.y_train, damage, rounds, key)
    methods = [Method("path, rounds", "none", rounds, walked.module), *rivals]
    return _told(job, source, images, walked, f"{100 * cut:g} % of the {what} lost", damage, methods)


def damage_of(module: nn.Module, cut: float, rng: Any) -> tuple[Damage, str]:
    """Cut a share of what a network computes with, so that it is lost: always 0 from there on.

    Args:
        module: The network.
        cut: The share, of every layer.
        rng: Seed.

    Returns:
        Channels of convolutions with the batch norm behind them, or where there are none the units of hidden layers;
        and what these are in words.
    """
    if any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in module.modules()):
        return Damage.channels(module, cut, rng=rng), "channels of its convolutions"
    return Damage.units(module, cut, rng=rng), "units"


def learn_file(job: Job, *, past: str, stored: int, offset: int, steps: int) -> str:
    """Teach a network a second image set while it keeps the first, save the path, and say how it went.

    Args:
        job: What to work on; its data are the new task.
        past: Image set that the network knows; its labels are used to tell how it went, and by replay beside it, not
            to learn.
        stored: Training images of it that are kept.
        offset: Added to the new class numbers.
        steps: Steps along the path.

    Returns:
        One line, and the table of baselines.

    Raises:
        ConfigError: The sets' images differ in shape, or there are fewer images than are to be stored.
    """
    new, old = images_of(job.data), images_of(past, "--past")
    if new.image_shape != old.image_shape:
        raise ConfigError("--data", f"images of {new.image_shape}", f"images of {old.image_shape}, as --past")
    if stored > len(old.x_train):
        raise ConfigError("--stored", stored, f"at most the {len(old.x_train)} training images of {past}")
    source = opened(job.path, job.factory, new, max(old.classes, new.classes + offset))
    chosen = job.key.stream("stored").permutation(0, len(old.x_train))[:stored]
    kept, x = source.see(old.x_train[chosen]), source.see(new.x_train)
    y, y_old = new.y_train + offset, torch.from_numpy(old.y_train[chosen])
    walked = second_task(source.module, kept, x, y, steps=steps, rng=job.key, checkpoint=job.place)
    x_old, x_new = source.see(old.x_test), source.see(new.x_test)

    def score(module: nn.Module) -> dict[str, float]:
        first, second = accuracy(module, x_old, old.y_test), accuracy(module, x_new, new.y_test + offset)
        return {
            "past_percent": 100 * first,
            "new_percent": 100 * second,
            "mean_percent": 50 * (first + second),
        }

    rivals = beside.second_learners(source.module, (kept, y_old), (x, torch.from_numpy(y)), steps, job.key)
    rows = job.compared([Method("path", "new", steps, walked.module), *rivals], score)
    if not leads():
        return ""
    before = score(source.module)
    save_path(walked, job.out, accuracy=scores_along(walked, x_old, old.y_test))
    if job.network is not None:
        source.save(walked.module(), job.network)
    return job.told(
        f"{job.out}: {job.data} learned, {stored} images of {past} kept: test accuracy on {past} "
        f"{rows[0]['past_percent']:.1f} % (was {before['past_percent']:.1f} %), on {job.data} "
        f"{rows[0]['new_percent']:.1f} % (was {before['new_percent']:.1f} %); {walked.stop.help}{source.note}",
        rows,
    )


def connect_files(job: Job, other: str | FilePath, *, steps: int) -> str:
    """Connect two networks of one architecture without labels, save the curve, and say how high its barrier is.

    Args:
        job: What to work on; the training images are the reference, the test images with labels tell the barrier.
        other: The second network. Where both are chains of linear layers, its units are reordered first.
        steps: Steps of bending.

    Returns:
        One line, and the table of baselines.

    Raises:
        ConfigError: The second network sees images through other pools.
    """
    images = images_of(job.data)
    ends = [opened(path, job.factory, images, images.classes) for path in (job.path, other)]
    x, (first, last) = ends[0].see(images.x_train), (end.module for end in ends)
    if not np.array_equal(ends[1].see(images.x_train[:100]), x[:100]):
        raise ConfigError(
            "other", str(other), f"a network that sees images through the same pools as {job.path}"
        )
    how, unmatched = "as they are", None
    with suppress(ConfigError):  # no chain of linear layers
        last, how, unmatched = match_activations(first, last, x[:5000]), "reordered", last
    curve = connect(first, last, x, steps=steps, rng=job.key)
    test = ends[0].see(images.x_test)

    scans: list[list[float]] = []

    def score(curve: Curve) -> dict[str, float]:
        scans.append(curve.scan(lambda module: 100.0 - 100.0 * accuracy(module, test, images.y_test)))
        return {"barrier_points": barrier(scans[-1]), "worst_percent": 100.0 - max(scans[-1])}

    rivals = beside.connections((first, last), unmatched, x, images.y_train, steps, job.key)
    rows = job.compared([Method("path", "none", steps, lambda: curve), *rivals], score)
    if not leads():
        return ""
    heights = scans[0]
    save_curve(curve, job.out, error=heights)
    if job.network is not None:
        ends[0].save(curve.module(0.5), job.network)
    return job.told(
        f"{job.out}: units {how}: test accuracy {100 - heights[0]:.1f} % and {100 - heights[-1]:.1f} % at the ends, "
        f"barrier {barrier(heights):.2f} points at {len(heights)} places{ends[0].note}",
        rows,
    )


def ensemble_file(job: Job, *, count: int, steps: int) -> str:
    """Collect networks along a path that leaves a trained one, save them, and say how they do together.

    Args:
        job: What to work on; the training images and their labels lead the path.
        count: Networks to keep.
        steps: Steps from one to the next.

    Returns:
        One line, and the table of baselines.
    """
    images = images_of(job.data)
    source = opened(job.path, job.factory, images, images.classes)
    x, test, y = source.see(images.x_train), source.see(images.x_test), torch.from_numpy(images.y_test.copy())
    bounds = float(x.min()), float(x.max())
    members = diversify(
        source.module, x, images.y_train, count=count, steps=steps, bounds=bounds, rng=job.key
    )

    def score(modules: list[nn.Module]) -> dict[str, float]:
        p = mean_probabilities(modules, test).cpu()
        right = float((p.argmax(1) == y).double().mean())
        return {"accuracy_percent": 100 * right, "calibration_error_percent": 100 * calibration_error(p, y)}

    rivals = beside.collectors(source.module, x, images.y_train, count, steps, job.key)
    rows = job.compared([Method("path", "all", count * steps, lambda: members), *rivals], score)
    if not leads():
        return ""

    def told(row: Mapping[str, float]) -> str:
        right, error = row["accuracy_percent"], row["calibration_error_percent"]
        return f"test accuracy {right:.1f} %, calibration error {error:.2f} %"

    save_ensemble(members, job.out)
    if job.network is not None:
        source.save(members[-1], job.network)
    alone = told(score([source.module]))
    line = f"{job.out}: {count} networks together: {told(rows[0])} (the first alone: {alone}){source.note}"
    return job.told(line, rows)


def _told(
    job: Job,
    source: Source,
    images: Labelled,
    path: Path,
    what: str,
    damage: Damage | None,
    methods: Sequence[Method],
) -> str:
    """Save the path and its end, and say how it went; of several processes the first one does."""
    x = source.see(images.x_test)

    def right(module: nn.Module) -> float:
        return 100.0 * accuracy(module, x, images.y_test)

    rows = job.compared(methods, lambda module: {"accuracy_percent": right(module)})
    if not leads():
        return ""
    hurt = "" if damage is None else f", {right(damage.apply(source.module)):.1f} % damaged"
    save_path(path, job.out, accuracy=scores_along(path, x, images.y_test))
    if job.network is not None:
        source.save(path.module(), job.network)
    return job.told(
        f"{job.out}: {what}: test accuracy {rows[0]['accuracy_percent']:.1f} % (whole: {right(source.module):.1f} %"
        f"{hurt}); {path.stop.help}{source.note}",
        rows,
    )
