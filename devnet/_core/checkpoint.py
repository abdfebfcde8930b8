"""What a long computation needs to survive its process: a place for its state, by one small protocol.

A verb that takes ``checkpoint=`` asks ``load`` once, and where its state may be cut asks ``due``; if so, it calls
``save``. All randomness is a function of (key, stream, step, cell, draw), so no generator state is part of a state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Saved:
    """A state that was saved.

    Attributes:
        arrays: Its arrays, read-only.
        numbers: Its plain data.
        segments: The arrays that were handed over with this save and those before it, in order.
    """

    arrays: Arrays
    numbers: dict[str, Any]
    segments: tuple[Arrays, ...]


class Checkpoint(Protocol):
    """A place for the state of one computation."""

    def load(self, what: dict[str, Any]) -> Saved | None:
        """Return the last state that was saved, or None.

        Args:
            what: Which computation asks; a state of another one is refused.
        """
        ...

    def due(self) -> bool:
        """Say whether it is time to save, or the computation has been asked to stop."""
        ...

    def save(self, arrays: Arrays, numbers: dict[str, Any], segment: Arrays | None = None) -> None:
        """Save a state in place of the one before, and end the computation if it has been asked to stop.

        Args:
            arrays: Its arrays.
            numbers: Plain data that JSON can hold.
            segment: Results since the last save, which are not to be written again at every one.

        Raises:
            InterruptedRunError: The computation was asked to stop; its state is saved.
        """
        ...


class Checked(Checkpoint, Protocol):
    """A place that passes over a state that is not whole; ``devnet.io.Checkpoints`` is one."""

    def load(self, what: dict[str, Any], whole: Callable[[Saved], bool] = ...) -> Saved | None:
        """Return the last state that was saved and is whole, or None.

        Args:
            what: Which computation asks; a state of another one is refused.
            whole: Whether a state is one to go on from. A digest tells damage, not who wrote: compiled code must not
                meet an index that it would not have made itself.
        """
        ...


def alike(found: Arrays, fresh: Arrays) -> bool:
    """Say whether arrays hold what those of a fresh state do: its names and more, their types, shapes, finite numbers."""
    return all(
        name in found
        and found[name].dtype == array.dtype
        and found[name].shape == array.shape
        and bool(np.isfinite(found[name]).all())
        for name, array in fresh.items()
    )


def counts(value: object, least: int, most: int) -> bool:
    """Say whether a number, or all of an array, are whole and lie from ``least`` to ``most``."""
    if isinstance(value, np.ndarray):
        array = cast("npt.NDArray[Any]", value)
        return array.dtype.kind == "i" and bool(((least <= array) & (array <= most)).all())
    return type(value) is int and least <= value <= most


def fingerprint(*parts: Any) -> str:
    """Return a SHA-256 of arrays and plain data, by which a computation knows its own state again.

    Args:
        *parts: Arrays, or what JSON can hold.

    Returns:
        64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            array = cast("npt.NDArray[Any]", part)
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(array.tobytes())
        else:
            sha.update(json.dumps(part, sort_keys=True, separators=(",", ":")).encode())
    return sha.hexdigest()
