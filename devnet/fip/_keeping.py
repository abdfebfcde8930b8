"""The state of a walk kept while it goes on, at any step, so that it goes on bit for bit if its process dies."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, final

import numpy as np
import torch

from devnet._core.checkpoint import Checkpoint, fingerprint
from devnet.fip._identity import told
from devnet.fip._path import as_delta
from devnet.fip._problem import Problem
from devnet.fip._state import WalkState
from devnet.fip._walk import Walk

_STATE = "state/"


@final
class Keeper:
    """Keeps a walk in a checkpoint; without one it does nothing.

    Args:
        place: Where, or None.
        walk: The walk, freshly begun.
        problem: Its problem.
        rows: The columns of way-points, which the walk fills.
    """

    def __init__(
        self, place: Checkpoint | None, walk: Walk, problem: Problem, rows: dict[str, list[Any]]
    ) -> None:
        self._place, self._walk, self._problem, self._rows = place, walk, problem, rows
        self._written = 0

    def restore(self) -> int | None:
        """Take the walk to where it was saved; return the rejected steps in a row, or None where nothing was."""
        if self._place is None or (saved := self._place.load(identity(self._walk, self._problem))) is None:
            return None
        for segment in saved.segments:
            for name, column in self._rows.items():
                column.extend(row if name == "deltas" else row.item() for row in segment[name])
        self._written = len(self._rows["steps"])
        state = {n.removeprefix(_STATE): a for n, a in saved.arrays.items() if n.startswith(_STATE)}
        rejected = WalkState(state, saved.numbers).restore(self._walk)
        self._walk.weights.copy_(torch.from_numpy(saved.arrays["weights"].copy()))
        return rejected

    def offer(self, rejected: int) -> None:
        """Save the walk, between two steps, where it is time to."""
        if self._place is None or not self._place.due():
            return
        self._problem.step.remember(self._walk)
        state = WalkState.of(self._walk, rejected)
        new = {name: np.array(column[self._written :]) for name, column in self._rows.items()}
        arrays = {_STATE + name: array for name, array in state.arrays.items()}
        self._place.save(
            arrays | {"weights": as_delta(self._walk.weights)},
            dict(state.plain),
            new if len(new["steps"]) else None,
        )
        self._written = len(self._rows["steps"])


def identity(walk: Walk, problem: Problem) -> dict[str, Any]:
    """Return what tells a walk from another one, in plain data.

    Args:
        walk: The walk, at any step.
        problem: Its problem.

    Returns:
        Its parts by name; when the walk stops is not among them.
    """
    shard, start = walk.network.layout.shard, as_delta(walk.start)
    if shard is not None:  # the same whatever the number of processes
        start = shard.sums(walk.start).cpu().numpy()
    kept = {field.name: told(getattr(problem, field.name)) for field in fields(problem)}
    return {
        "verb": "traverse",
        "key": str(walk.key.value),
        "start": fingerprint(start),
        "steps": walk.steps,
        "problem": kept | {"inputs": told(walk.reference.inputs), "stop": None},  # it may stop elsewhere
    }


def digests(walk: Walk, problem: Problem) -> dict[str, str]:
    """Return a digest of each part of a walk's identity, by the field of the problem that a reader would look at."""
    parts = identity(walk, problem)
    fields_of_problem = parts.pop("problem")
    return {name: fingerprint(part) for name, part in (parts | fields_of_problem).items()}
