"""Run folders: one run, one writer, finished stages with digests, and a manifest of everything.

    config.toml    the model, fully resolved
    run.json       key and versions: with config.toml it says which run this is
    <stage>/       files of a stage; stage.json, which is written last: where it is, the stage is finished; times.json
    checkpoints/   what is under way; see ``stages`` and ``checkpoints``
    summary.json   all numbers
    manifest.json  bytes and SHA-256 of every file; written last: where it is, the run is finished

A stage depends on stages before it; its ``stage.json`` holds the digests of theirs, so a stage whose source has come
out otherwise is run again too.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from devnet._core import lock
from devnet._core.errors import BusyError, ConfigError, CorruptFileError, StorageError
from devnet.io._difference import first_difference
from devnet.io.checkpoints import EVERY
from devnet.io.contents import LEFT_BEHIND, check_run, files_in, files_of, read_run, read_stage, verify
from devnet.io.records import read_record, write_record
from devnet.io.stages import PLACE, SCHEMA, Stage, begin
from devnet.io.tensors import library_version, read_tensors
from devnet.io.writer import digest, make_folder, write_text
from devnet.spec import ModelSpec, dump_model


class RunFolder:
    """The folder of one run. Open it with ``RunFolder.open``; it is locked as long as the block runs.

    Attributes:
        path: The folder.
        every: Seconds between two checkpoints.
    """

    def __init__(self, path: Path, every: float = EVERY) -> None:
        self.path = path
        self.every = every

    @classmethod
    @contextmanager
    def open(
        cls,
        path: str | Path,
        model: ModelSpec,
        settings: dict[str, Any],
        *,
        notes: dict[str, Any] | None = None,
        every: float = EVERY,
    ) -> Generator[RunFolder]:
        """Create a run folder, or go on with the run that it holds.

        Args:
            path: The folder; it is made when missing.
            model: The model, with everything resolved.
            settings: What else makes the run what it is: its key, for example.
            notes: What is kept beside them and makes no other run.
            every: Seconds between two checkpoints.

        Yields:
            The folder, locked.

        Raises:
            BusyError: Another process writes there, or the folder holds files of another run or foreign files.
            StorageError: It cannot be written.
            CorruptFileError: It holds a link, pipe or device, or its configuration is damaged.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise BusyError(f"{path}: is a file; choose an empty or new folder")
        _refuse_foreign(path)
        make_folder(path)
        with lock.locked(path):
            _refuse_foreign(path)
            _drop_temporaries(path)
            run = cls(path, every)
            run._claim(model, {"schema": SCHEMA, "devnet": library_version()} | settings, notes or {})
            yield run

    @classmethod
    @contextmanager
    def existing(cls, path: str | Path) -> Generator[RunFolder]:
        """Open the folder of a run that some devnet wrote, to add to it.

        Args:
            path: The folder.

        Yields:
            The folder, locked.

        Raises:
            ConfigError: It is no run folder.
            BusyError: Another process writes there.
            CorruptFileError: It holds a link, pipe or device.
        """
        path = Path(path)
        check_run(path)
        with lock.locked(path):
            yield cls(path)

    def _claim(self, model: ModelSpec, record: dict[str, Any], notes: dict[str, Any]) -> None:
        config, settings = self.path / "config.toml", self.path / "run.json"
        if settings.exists():
            try:
                found = self._difference(model, json.loads(json.dumps(record)))
            except (
                CorruptFileError
            ) as error:  # a corrected model was half written when its process died, or damage
                found = error
            if found is None:
                return
            damaged = isinstance(found, CorruptFileError)
            if not damaged and _work(self.path) < EVERY:  # a corrected model may take what holds nothing much
                _drop_beginnings(self.path)
            if set(files_of(self.path)) - {config.name, settings.name}:
                raise found if damaged else BusyError(f"{self.path}: {_other(*found)}")
        write_text(config, dump_model(model))
        write_record(settings, record | {"config": digest(config), "notes": notes})

    def _difference(self, model: ModelSpec, record: dict[str, Any]) -> tuple[str, object, object] | None:
        """Return the first field in which the run that the folder holds is another one."""
        there, held = read_run(self.path)
        held = {name: value for name, value in held.items() if name not in ("notes", "config")}
        return first_difference(
            {"run": held, "model": there.model_dump(mode="json")},
            {"run": record, "model": model.model_dump(mode="json")},
        )

    def finished(self, name: str, after: Sequence[str] = ()) -> bool:
        """Say whether a stage is finished and all its files, and those of the stages it read, are as they were.

        Args:
            name: The stage.
            after: The stages whose files it reads.

        Returns:
            Whether it can be skipped.
        """
        try:
            record = self.record(name)
            return record["after"] == self._sources(after) and all(
                digest(self.path / file) == sha for file, sha in record["files"].items()
            )
        except (StorageError, CorruptFileError, ConfigError):
            return False

    def record(self, name: str) -> dict[str, Any]:
        """Return what a finished stage left; see ``devnet.io.contents.read_stage``."""
        return read_stage(self.path, name)

    @contextmanager
    def stage(self, name: str, after: Sequence[str] = ()) -> Generator[Stage]:
        """Run a stage: the block fills it, and when the block ends well the stage is finished.

        Args:
            name: The stage.
            after: The stages whose files it reads.

        Yields:
            The stage, to be filled.

        Raises:
            StorageError: A file could not be written.
        """
        (self.path / "manifest.json").unlink(missing_ok=True)
        sources = self._sources(after)
        begin(self.path, name, sources)
        stage = Stage(self.path, name, self.every)
        start = time.perf_counter()
        yield stage
        times = {"seconds": round(time.perf_counter() - start, 3)} | stage.times
        write_record(stage.folder / "times.json", times)
        record = {"schema": SCHEMA, "numbers": stage.numbers, "files": stage.digests(), "after": sources}
        write_record(stage.folder / "stage.json", record)
        shutil.rmtree(self.path / PLACE / name, ignore_errors=True)

    def _sources(self, after: Sequence[str]) -> dict[str, str]:
        return {name: digest(self.path / name / "stage.json") for name in after}

    def complete(self) -> bool:
        """Say whether the run is finished and every file is as it was."""
        try:
            return (self.path / "manifest.json").exists() and verify(self.path) > 0
        except (ConfigError, StorageError, CorruptFileError):
            return False

    def write_manifest(self, repeatable: Sequence[str]) -> None:
        """Say that the run is finished: write bytes and SHA-256 of every file into ``manifest.json``.

        Args:
            repeatable: The stages whose files are functions of model and key alone; these files are its artefacts.

        Raises:
            StorageError: A file cannot be read or written.
        """
        shutil.rmtree(self.path / PLACE, ignore_errors=True)
        files = {
            name: {"bytes": (self.path / name).stat().st_size, "sha256": digest(self.path / name)}
            for name in files_of(self.path)
        }
        made = [
            name for stage in repeatable for name in (*self.record(stage)["files"], f"{stage}/stage.json")
        ]
        artefacts = sorted({"config.toml", "run.json", *made})
        write_record(self.path / "manifest.json", {"schema": SCHEMA, "files": files, "artefacts": artefacts})


def _other(field: str, old: object, new: object) -> str:
    """Say in which way a folder holds another run."""
    if field == "run.devnet":
        return f"made by devnet {old}, and this is {new}: install that to go on, or choose another folder"
    return (
        f"holds another run: {field} is {old} there and {new} here; "
        "choose another folder, remove this one, or run with its values"
    )


def busy(path: str | Path) -> bool:
    """Say whether a process is at work in a run folder at this moment."""
    return lock.held(Path(path))


def _work(path: Path) -> float:
    """Return how many seconds of work a folder holds: those of its finished parts; no end of it with a stage or state."""
    if any(path.glob("*/stage.json")):
        return float("inf")
    seconds = 0.0
    for file in (path / PLACE).rglob("*"):
        if file.suffix == ".safetensors":
            return float("inf")
        if file.suffix == ".json" and file.name != "after.json":
            with suppress(ConfigError, CorruptFileError, StorageError, KeyError, TypeError, ValueError):
                seconds += float(read_record(file)["seconds"])
    return seconds


def _drop_beginnings(path: Path) -> None:
    """Remove what a run made that came to nothing: files of its stages that devnet wrote, and no others."""
    stages = {name.split("/")[1] for name in files_in(path) if name.startswith(f"{PLACE}/")}
    shutil.rmtree(path / PLACE, ignore_errors=True)
    for stage in stages:
        for file in (path / stage).glob("*.safetensors"):
            with suppress(CorruptFileError, ConfigError, StorageError, OSError):
                read_tensors(file)
                file.unlink()


def _refuse_foreign(path: Path) -> None:
    """Refuse a folder that holds anything but a run, or the start of one."""
    if not path.is_dir() or (path / "run.json").exists():
        return
    for entry in path.iterdir():
        if entry.name not in {lock.NAME, "config.toml"} and not entry.name.endswith(".tmp"):
            raise BusyError(f"{path}: not empty and holds no devnet run; choose an empty or new folder")


def _drop_temporaries(path: Path) -> None:
    """Remove what a writer that was killed left behind; the folder is locked, so no other is at work."""
    for name in files_in(path):
        if LEFT_BEHIND.fullmatch(name.rpartition("/")[2]):
            with suppress(OSError):
                (path / name).unlink()
