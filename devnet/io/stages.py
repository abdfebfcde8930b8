"""Stages of a run and their parts: what is finished is done once, whatever instant the process dies at.

A stage is finished when its ``stage.json`` is there; it is written last. A stage of many pieces is made of parts: a
finished part leaves a record, an unfinished one its checkpoints, both under ``checkpoints/<stage>/`` until the stage
is finished.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from devnet._core import stopping
from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet.io.checkpoints import EVERY, Checkpoints
from devnet.io.records import read_record, write_record
from devnet.io.writer import digest, make_folder

SCHEMA = 1
PLACE = "checkpoints"
"""Folder of a run that holds what is under way; gone when the run is finished."""


@dataclass
class Part:
    """A piece of a stage. It can be sent to another process.

    Attributes:
        run: The run folder.
        stage: Name of the stage.
        name: Name of the part, unique in its stage.
        every: Seconds between two checkpoints.
        files: Artefacts that it has listed, relative to the run folder.
    """

    run: Path
    stage: str
    name: str
    every: float
    files: list[str] = field(default_factory=list[str])

    def file(self, name: str) -> Path:
        """Return the path of an artefact of the stage, and list it."""
        self.files.append(f"{self.stage}/{name}")
        return self.run / self.stage / name

    def once(self, name: str, work: Callable[[Part], dict[str, Any]]) -> dict[str, Any]:
        """Do a part of this part unless it is done, and list its files; see ``do``."""
        part = Part(self.run, self.stage, f"{self.name}/{name}", self.every)
        numbers = part.do(lambda: work(part))
        self.files += part.files
        return numbers

    def checkpoint(self, name: str = "state") -> Checkpoints:
        """Return a place for the state of one computation of this part."""
        return Checkpoints(self._place / name, self.every)

    def do(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do the part unless it is done already.

        Args:
            work: What writes its files and returns its numbers: plain data, with names that are text.

        Returns:
            The numbers.

        Raises:
            InterruptedRunError: The run has been asked to stop.
            StorageError: A file could not be written.
        """
        stopping.check()
        record = self._place.with_name(f"{self._place.name}.json")
        with suppress(ConfigError, CorruptFileError, StorageError, KeyError, TypeError, AttributeError):
            done = read_record(record)
            if all(
                digest(self.run / name) == sha for name, sha in check_names(record, done["files"]).items()
            ):
                self.files = list(done["files"])
                return dict(done["numbers"])
        self.files = []
        start = time.perf_counter()
        numbers = json.loads(json.dumps(work(), allow_nan=False))
        make_folder(record.parent)
        files = {name: digest(self.run / name) for name in self.files}
        seconds = round(time.perf_counter() - start, 3)
        write_record(record, {"schema": SCHEMA, "numbers": numbers, "files": files, "seconds": seconds})
        shutil.rmtree(self._place, ignore_errors=True)
        return numbers

    @property
    def _place(self) -> Path:
        return self.run / PLACE / self.stage / self.name


class Stage:
    """One stage of a run while it is running: where its files go, and what it found.

    Attributes:
        folder: The stage's folder.
        numbers: What the stage reports: a function of model and key alone; kept in ``stage.json``.
        times: What else it measured; kept in ``times.json``.
        files: Its artefacts, relative to the run folder.
    """

    def __init__(self, run: Path, name: str, every: float = EVERY) -> None:
        self.folder = make_folder(run / name)
        self.numbers: dict[str, Any] = {}
        self.times: dict[str, Any] = {}
        self._run = run
        self._every = every
        self.files: list[str] = []

    def file(self, name: str) -> Path:
        """Return the path of an artefact of this stage, relative to its folder, and list it."""
        return self.run_file(f"{self.folder.name}/{name}")

    def run_file(self, name: str) -> Path:
        """Return the path of an artefact that lies elsewhere in the run folder, and list it."""
        self.files.append(name)
        path = self._run / name
        make_folder(path.parent)
        return path

    def part(self, name: str) -> Part:
        """Return a piece of this stage; whoever does it elsewhere adds its ``files`` to the stage's."""
        return Part(self._run, self.folder.name, name, self._every)

    def once(self, name: str, work: Callable[[Part], dict[str, Any]]) -> dict[str, Any]:
        """Do a part of this stage unless it is done, and list its files; see ``Part.do``."""
        part = self.part(name)
        numbers = part.do(lambda: work(part))
        self.files += part.files
        return numbers

    def digests(self) -> dict[str, str]:
        """Return SHA-256 by file name of all listed artefacts."""
        return {name: digest(self._run / name) for name in sorted(set(self.files))}


def begin(run: Path, name: str, sources: dict[str, str]) -> None:
    """Keep what a stage has under way if its sources are still what they were, else remove it.

    Args:
        run: The run folder.
        name: The stage.
        sources: Digests of the stages that it reads.

    Raises:
        StorageError: It could not be written.
    """
    place = run / PLACE / name
    try:
        if read_record(place / "after.json") == sources:
            return
    except (ConfigError, CorruptFileError, StorageError):
        pass
    shutil.rmtree(place, ignore_errors=True)
    write_record(make_folder(place) / "after.json", sources)


def check_names(path: Path, files: dict[str, Any]) -> dict[str, Any]:
    """Return files by name as a record lists them.

    Args:
        path: The record.
        files: Its files.

    Returns:
        The same.

    Raises:
        CorruptFileError: A name leads out of the run folder, or no file can have it.
    """
    for name in files:
        pure = PurePosixPath(name)
        plain = name.strip() and name.isprintable() and "\\" not in name
        if pure.is_absolute() or ".." in pure.parts or not plain:
            raise CorruptFileError(f"{path}: {name!r:.80} leads out of the run folder")
    return files
