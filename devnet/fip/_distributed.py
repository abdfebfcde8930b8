"""Several processes on one path, by ``torchrun``: every one walks it, and they share what is asked of many examples.

Examples are cut into ``PIECES`` consecutive micro-batches, whatever the number of processes; these go round the
processes, come back to all of them, and are added in their order. So one, two or eight processes give the same path
bit for bit, which a ring's all-reduce does not promise: it adds in an order that depends on the ring. All else
(masks, moments, way-points) every process does for itself, alike, on one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor

from devnet._core import stopping
from devnet._core.checkpoint import Arrays, Checkpoint, Saved, fingerprint
from devnet._core.errors import ConfigError, HealthError, InterruptedRunError

PIECES = 8
"""Micro-batches into which examples are cut, and the most processes that a path can use."""


@final
class Team:
    """The processes that walk a path together. Every one must come to each call, in the same order.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        sharded: Whether the weights of a path are cut among them (see ``Lent``).
        device: Where they exchange numbers.
    """

    def __init__(self, sharded: bool) -> None:
        self.rank, self.size, self.sharded = dist.get_rank(), dist.get_world_size(), sharded
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def shares(self, count: int) -> bool:
        """Say whether so many examples are shared; of few, every process does all."""
        return count >= PIECES

    def summed(
        self, count: int, run: Callable[[int, int, Tensor | None], Tensor], out: Tensor | None
    ) -> Tensor:
        """Return the sum over all micro-batches of what a run returns, on every process.

        Args:
            count: Number of examples.
            run: Called with first and last of a micro-batch, and a tensor to fill or None; all of its results have one
                shape.
            out: Tensor for the sum, or None.

        Returns:
            The sum, added up in the order of the micro-batches.
        """
        parts = self._round(count, lambda first, last: run(first, last, out if first == 0 else None))
        first = next(parts)
        total = first if out is None else out.copy_(first)
        for part in parts:
            total.add_(part)
        return total

    def joined(self, count: int, run: Callable[[int, int], Tensor]) -> Tensor:
        """Return what a run returns for all micro-batches, one after another along the first dimension.

        Args:
            count: Number of examples.
            run: Called with first and last of a micro-batch; a row an example.

        Returns:
            ``[count, ...]``.
        """
        bounds = pieces(count)
        most = max(last - first for first, last in bounds)

        def padded(first: int, last: int) -> Tensor:
            rows = run(first, last)
            wide = rows.new_zeros(most, *rows.shape[1:])
            wide[: last - first] = rows
            return wide

        parts = self._round(count, padded)
        return torch.cat([part[: b - a] for part, (a, b) in zip(parts, bounds, strict=True)])

    def _round(self, count: int, run: Callable[[int, int], Tensor]) -> Generator[Tensor]:
        """Yield what all micro-batches gave, in order; at most ``size`` of them are held at a time."""
        bounds, mine = pieces(count), torch.empty(0)
        for start in range(0, PIECES, self.size):
            if start + self.rank < PIECES:
                mine = run(*bounds[start + self.rank]).contiguous()
            yield from self.gathered(mine)[: PIECES - start]

    def gathered(self, mine: Tensor) -> list[Tensor]:
        """Return what every process has, in their order; all tensors are of one shape."""
        if self.size == 1:
            return [mine]
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine)
        return parts

    def any(self, flag: bool) -> bool:
        """Say on every process whether the flag is set on one of them."""
        told = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def agree(self, what: str, *values: Any) -> None:
        """Make sure that all processes hold the same.

        Args:
            what: Its name, for the error.
            values: Arrays and plain data.

        Raises:
            HealthError: They do not: their machines or libraries differ.
        """
        digest = list(bytes.fromhex(fingerprint(*values)))
        mine = torch.tensor(digest, dtype=torch.float32, device=self.device)
        most, least = mine.clone(), mine.clone()
        dist.all_reduce(most, dist.ReduceOp.MAX)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        if not torch.equal(most, least):
            raise HealthError(
                f"{what}: the processes differ; give all of them the same files, libraries and kind of processor"
            )


@final
class SharedCheckpoint:
    """A checkpoint of several processes: all read it, the first one writes it, and they stop together.

    Args:
        place: Where; a folder that all processes see.
        team: The processes.
    """

    def __init__(self, place: Checkpoint, team: Team) -> None:
        self._place, self._team = place, team

    def load(self, what: dict[str, Any]) -> Saved | None:
        """Return the last state that was saved, or None; the same on all processes."""
        saved = self._place.load(what)
        self._team.agree("checkpoint", None if saved is None else saved.numbers)
        return saved

    def due(self) -> bool:
        """Say whether it is time to save for the first process, or one has been asked to stop."""
        return self._team.any(self._place.due() if leads() else stopping.asked())

    def save(self, arrays: Arrays, numbers: dict[str, Any], segment: Arrays | None = None) -> None:
        """Save a state, once; end the computation everywhere if one process has been asked to stop."""
        stop = self._team.any(stopping.asked())
        if leads():
            with suppress(InterruptedRunError):  # asked in the meantime: the others hear of it now
                self._place.save(arrays, numbers, segment)
        if self._team.any(stop or stopping.asked()):
            raise InterruptedRunError("stopped, as asked; the same command goes on from the checkpoint")


_team: Team | None = None


def team() -> Team | None:
    """Return the processes that this one works with, or None."""
    return _team


def leads() -> bool:
    """Say whether this process is the one that writes: the first of a team, or one that works alone."""
    return _team is None or _team.rank == 0


def place() -> torch.device:
    """Return where this process walks: in a team its own GPU, where there is one; else the CPU."""
    shared = _team is not None and torch.cuda.is_available()
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if shared else torch.device("cpu")


def device() -> torch.device:
    """Return where a module shall lie that is to walk: where it walks, or on the CPU if each process takes a part."""
    return torch.device("cpu") if _team is not None and _team.sharded else place()


@contextmanager
def torchrun(sharded: bool = False) -> Generator[Team | None]:
    """Join the processes that ``torchrun`` started, while the block runs; without it do nothing.

    Args:
        sharded: Cut the weights of paths among the processes, for networks that do not fit one device: each holds
            its part of weights, gradient, moments and masks, and parameters are put together while they are needed.

    Yields:
        The team, or None.

    Raises:
        ConfigError: There are more processes than micro-batches, or weights are to be cut and the processes do not
            divide them, or there are none.
    """
    global _team  # noqa: PLW0603  # as PyTorch's default group is one a process
    if not dist.is_available() or not dist.is_torchelastic_launched():
        if sharded:
            raise ConfigError("shard", "a process alone", "processes that torchrun started")
        yield None
        return
    size = int(os.environ["WORLD_SIZE"])
    if size > PIECES:
        raise ConfigError("torchrun", size, f"at most {PIECES} processes")
    if sharded and PIECES % size:
        raise ConfigError("torchrun", size, "1, 2, 4 or 8 processes where weights are cut among them")
    threads = torch.get_num_threads()
    torch.set_num_threads(
        1
    )  # sums depend on the number of threads, and torchrun's default on that of processes
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    _team = Team(sharded)
    try:
        yield _team
    finally:
        _team = None
        dist.destroy_process_group()
        torch.set_num_threads(threads)


def pieces(count: int) -> list[tuple[int, int]]:
    """Return first and last of each micro-batch of so many examples."""
    return [(count * k // PIECES, count * (k + 1) // PIECES) for k in range(PIECES)]
