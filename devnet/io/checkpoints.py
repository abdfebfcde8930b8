"""Checkpoints: the state of one computation in a folder of its own, two generations of it, and segments beside them.

    000012.safetensors           kind "checkpoint": arrays, and metadata {"what", "numbers", "segments", "cpu_seconds"}
    segment-000003.safetensors   kind "segment": results since the checkpoint before; listed by SHA-256
    NAME.safetensors             kind "shard": what one of several processes holds; listed in "numbers" by SHA-256

A segment is written before the checkpoint that lists it, and a generation is removed only when the next but one is on
the device. Whatever instant the process dies at, the newest whole generation is a state to go on from; a damaged one
is passed over for the one before it.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from devnet._core import stopping
from devnet._core.checkpoint import Arrays, Saved
from devnet._core.errors import BusyError, ConfigError, CorruptFileError, StorageError
from devnet._core.lock import NAME as LOCK
from devnet._core.lock import locked
from devnet.io.tensors import read_listed, read_tensors, write_tensors
from devnet.io.writer import TEMPORARY, make_folder

EVERY = 60.0
"""Seconds between two checkpoints: what a kill may cost."""

_GENERATION = re.compile(r"\d{6,}\.safetensors")
_SHARD = re.compile(r"(shard|rows)-[\d-]+\.safetensors")
_OURS = re.compile(rf"{_GENERATION.pattern}|segment-{_GENERATION.pattern}|{_SHARD.pattern}")
_LEFT_BEHIND = re.compile(rf"\.({_OURS.pattern})\.[0-9a-f]{{12}}{re.escape(TEMPORARY)}")


class Checkpoints:
    """A place for the state of one computation; what ``checkpoint=`` of a verb takes.

    Args:
        folder: A folder of its own; made when first needed.
        every: Seconds between two checkpoints. The state of a sheet can be cut only at multiples of 1024 steps.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> import numpy as np
        >>> place = Checkpoints(Path(mkdtemp()) / "state", every=0)
        >>> place.save({"x": np.arange(3)}, {"step": 7})
        >>> place.load({}).numbers
        {'step': 7}
    """

    def __init__(self, folder: str | Path, every: float = EVERY) -> None:
        self.folder = Path(folder)
        self._every = every
        self._saved = time.monotonic()
        self._what: dict[str, Any] = {}
        self._generation = 0
        self._segments: list[str] = []
        self._spent = -time.process_time()

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold the folder while the block runs, so that no other process saves its states there.

        For a folder that a user names; that of a part of a run lies in a folder that is held already.

        Yields:
            Nothing.

        Raises:
            BusyError: Another process holds it, or it holds other files than states.
            StorageError: It cannot be made, read or locked.
            CorruptFileError: What lies in the place of its lock is no regular file.
        """
        make_folder(self.folder)
        with locked(self.folder):
            names = self._names() - {LOCK}
            left = {name for name in names if _LEFT_BEHIND.fullmatch(name)}
            if names - left and not any(_OURS.fullmatch(name) for name in names):
                raise BusyError(
                    f"{self.folder}: not empty and holds no checkpoints; give an empty or new folder"
                )
            for name in left:  # a writer that was killed
                with suppress(OSError):
                    (self.folder / name).unlink()
            yield

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds that this computation took, those before the state that was loaded included."""
        return self._spent + time.process_time()

    def load(self, what: dict[str, Any], whole: Callable[[Saved], bool] = lambda saved: True) -> Saved | None:
        """Return the newest whole state, or None.

        Args:
            what: Which computation asks: plain data.
            whole: Whether what a state lists beside itself is whole, too; one whose is not is passed over.

        Returns:
            The state.

        Raises:
            BusyError: The folder holds the state of another computation.
            StorageError: A file cannot be read.
        """
        self._what = what
        for file in sorted(self._generations(), key=lambda file: int(file.stem), reverse=True):
            try:
                arrays, told = read_tensors(file, "checkpoint")
                numbers, listed = dict(told["numbers"]), [str(sha) for sha in told["segments"]]
                segments = tuple(
                    read_listed(self._segment_path(number), "segment", sha)
                    for number, sha in enumerate(listed)
                )
                spent, held = float(told["cpu_seconds"]), told["what"]
                if not math.isfinite(spent):
                    continue
            except (CorruptFileError, ConfigError, KeyError, TypeError, ValueError):
                continue
            if held != what:
                raise BusyError(f"{self.folder}: holds the state of another computation; give another folder")
            if not whole(saved := Saved(arrays, numbers, segments)):
                continue
            self._generation, self._segments = int(file.stem), listed
            self._spent = spent - time.process_time()
            return saved
        return None

    def due(self) -> bool:
        """Say whether it is time to save, or the computation has been asked to stop."""
        return time.monotonic() - self._saved >= self._every or stopping.asked()

    def save(self, arrays: Arrays, numbers: dict[str, Any], segment: Arrays | None = None) -> None:
        """Save a state; the one before it is kept as well.

        Args:
            arrays: Its arrays.
            numbers: Plain data that JSON can hold.
            segment: Results since the last save.

        Raises:
            StorageError: It could not be written; the states before it are as they were.
            InterruptedRunError: The computation was asked to stop; its state is saved.
        """
        make_folder(self.folder)
        if segment is not None:
            sha = write_tensors(self._segment_path(len(self._segments)), segment, "segment", {})
            self._segments.append(sha)
        told = {
            "what": self._what,
            "numbers": numbers,
            "segments": self._segments,
            "cpu_seconds": round(self.cpu_seconds, 4),
        }
        self._generation += 1
        write_tensors(self._path(self._generation), arrays, "checkpoint", told)
        for file in self._generations():
            if int(file.stem) < self._generation - 1:
                with suppress(OSError):
                    file.unlink()
        self._saved = time.monotonic()
        stopping.check()

    def put(self, name: str, arrays: Arrays) -> str:
        """Write arrays beside the checkpoints: what one of several processes holds.

        Args:
            name: Name of the file, with letters and dashes in front.
            arrays: The arrays.

        Returns:
            The SHA-256 by which a checkpoint lists them.

        Raises:
            StorageError: It could not be written.
        """
        make_folder(self.folder)
        return write_tensors(self.folder / f"{name}.safetensors", arrays, "shard", {})

    def get(self, name: str, sha256: str) -> Arrays:
        """Return arrays that ``put`` wrote.

        Args:
            name: Name of the file.
            sha256: What ``put`` returned.

        Returns:
            The arrays, read-only.

        Raises:
            StorageError: It cannot be read.
            CorruptFileError: It is missing, damaged or another one.
        """
        try:
            return read_listed(self.folder / f"{name}.safetensors", "shard", sha256)
        except ConfigError:
            raise CorruptFileError(
                f"{self.folder / name}.safetensors: missing; a checkpoint lists it"
            ) from None

    def keep(self, names: Collection[str]) -> None:
        """Remove what ``put`` wrote under any but these names."""
        for file in self.folder.glob("*.safetensors"):
            if _SHARD.fullmatch(file.name) and file.stem not in names:
                with suppress(OSError):
                    file.unlink()

    def _path(self, generation: int) -> Path:
        return self.folder / f"{generation:06d}.safetensors"

    def _segment_path(self, number: int) -> Path:
        return self.folder / f"segment-{number:06d}.safetensors"

    def _generations(self) -> list[Path]:
        return [self.folder / name for name in self._names() if _GENERATION.fullmatch(name)]

    def _names(self) -> set[str]:
        try:
            return {file.name for file in self.folder.iterdir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be read ({error.strerror})") from None
