"""The state of a walk whose weights are cut among processes: every process writes its part, the first one the list.

    shard-000000120-0-524288.safetensors     kind "shard": entries 0 to 524288 of weights, moments and masks at step 120
    rows-000000120-0-524288.safetensors      kind "shard": these columns of the way-points since the state before
    000012.safetensors                       the list: digests of all of these, and what is not a vector

The list is the checkpoint itself and written last, so that a walk that dies between two parts goes on from the list
before, whose parts are still there. Parts are runs of one flat vector: any number of processes can take them up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any, Protocol, cast, final

import numpy as np
import numpy.typing as npt
import torch

from devnet._core.checkpoint import Arrays, Checkpoint, Saved
from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet.fip._distributed import SharedCheckpoint, Team, leads
from devnet.fip._shard import Shard


class Shelf(Checkpoint, Protocol):
    """A checkpoint that holds files beside its own; ``devnet.io.Checkpoints`` is one."""

    def load(self, what: dict[str, Any], whole: Callable[[Saved], bool] = ...) -> Saved | None:
        """Return the last state that was saved and whose files are whole, or None."""
        ...

    def put(self, name: str, arrays: Arrays) -> str:
        """Write a file beside the checkpoint and return its digest."""
        ...

    def get(self, name: str, sha256: str) -> Arrays:
        """Return the arrays of a file, once it is the one with that digest."""
        ...

    def keep(self, names: Collection[str]) -> None:
        """Remove all files that ``put`` wrote but these."""
        ...


@final
class ShardedCheckpoint:
    """A checkpoint to which every process adds its part.

    Args:
        place: Where; a folder that all processes see.
        mates: The processes.
        shard: The part of this one.

    Raises:
        ConfigError: The place takes no files beside its own.
    """

    def __init__(self, place: Checkpoint, mates: Team, shard: Shard) -> None:
        if not all(callable(getattr(place, name, None)) for name in ("put", "get", "keep")):
            raise ConfigError(
                "checkpoint", type(place).__name__, "devnet.io.Checkpoints, where weights are cut"
            )
        self._place = cast("Shelf", place)
        self._shared = SharedCheckpoint(place, mates)
        self._mates, self._shard = mates, shard
        self._rows: list[dict[str, Any]] = []
        self._states: deque[dict[str, Any]] = deque(maxlen=2)

    def load(self, what: dict[str, Any]) -> Saved | None:
        """Return this process's part of the last state that was saved, by however many processes, or None."""
        found: list[list[dict[str, npt.NDArray[Any]]]] = []

        def whole(saved: Saved) -> bool:
            told = saved.numbers["shards"]
            try:
                found[:] = [[self._get(entry) for entry in (told["state"], *told["rows"])]]
            except CorruptFileError:
                found[:] = []
            return not self._mates.any(not found)

        saved = self._place.load(what | {"sharded": True}, whole)
        self._mates.agree("checkpoint", None if saved is None else saved.numbers)
        if saved is None:
            return None
        told = saved.numbers.pop("shards")
        self._rows = list(told["rows"])
        self._states.append(told["state"])
        state, *rows = found[0]
        segments = [{**common, **cut} for common, cut in zip(saved.segments, rows, strict=True)]
        return Saved({**saved.arrays, **state}, saved.numbers, tuple(segments))

    def due(self) -> bool:
        """Say whether it is time to save, or one process has been asked to stop."""
        return self._shared.due()

    def save(self, arrays: Arrays, numbers: dict[str, Any], segment: Arrays | None = None) -> None:
        """Save the state: parts first, their list last; end everywhere if one process has been asked to stop."""
        if leads() and len(self._states) == 2:  # the two lists that are there
            listed = (*self._states, *self._rows)
            self._place.keep({_name(e, *ends) for e in listed for ends in pairwise(e["bounds"])})
        self._mates.any(False)  # nobody writes before that is done
        step = int(numbers["step"])
        vectors, common = _parted(arrays, 1)
        state = self._put("shard", step, vectors)
        if segment is not None:
            columns, segment = _parted(segment, 2)
            self._rows.append(self._put("rows", step, columns))
        self._states.append(state)
        self._shared.save(common, {**numbers, "shards": {"state": state, "rows": self._rows}}, segment)

    def _put(self, kind: str, step: int, arrays: Arrays) -> dict[str, Any]:
        """Write this process's part of some arrays; return the entry of the list."""
        bounds = list(self._shard.bounds)
        entry = {"kind": kind, "step": step, "bounds": bounds, "sha256": []}
        failed, sha = None, "0" * 64
        try:
            sha = self._place.put(_name(entry, self._shard.first, self._shard.last), arrays)
        except StorageError as error:
            failed = error
        if self._mates.any(failed is not None):
            raise failed or StorageError(f"{kind} of step {step}: another process could not write its part")
        digest = torch.tensor(list(bytes.fromhex(sha)), dtype=torch.uint8, device=self._mates.device)
        entry["sha256"] = [bytes(d.tolist()).hex() for d in self._mates.gathered(digest)]
        return entry

    def _get(self, entry: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Return this process's part of arrays, from the files of all parts that it touches."""
        found: dict[str, list[npt.NDArray[Any]]] = {}
        for (a, b), sha in zip(pairwise(entry["bounds"]), entry["sha256"], strict=True):
            first, last = max(a, self._shard.first), min(b, self._shard.last)
            if first >= last:
                continue
            for name, array in self._place.get(_name(entry, a, b), sha).items():
                found.setdefault(name, []).append(array[..., first - a : last - a])
        return {name: np.concatenate(parts, axis=-1) for name, parts in found.items()}


def _name(entry: dict[str, Any], first: int, last: int) -> str:
    return f"{entry['kind']}-{entry['step']:09d}-{first}-{last}"


def _parted(arrays: Arrays, dimensions: int) -> tuple[Arrays, Arrays]:
    """Return arrays that are cut along their last dimension, and those that every process has alike."""
    cut = {n: a for n, a in arrays.items() if a.ndim == dimensions}
    return cut, {n: a for n, a in arrays.items() if n not in cut}
