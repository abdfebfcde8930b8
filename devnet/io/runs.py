"""Run folders: one run, one writer, finished stages with digests, and a manifest of everything.

    config.toml    the model, fully resolved
    run.json       key and versions: with config.toml it says which run this is
    <stage>/       files of a stage, and stage.json, which is written last: where it is, the stage is finished
    summary.json   all numbers
    manifest.json  bytes and SHA-256 of every file

A stage depends on stages before it; its ``stage.json`` holds the digests of theirs, so a stage whose source has been
run again since is run again too.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, cast

from devnet._core.errors import BusyError, ConfigError, CorruptFileError, StorageError
from devnet.io import _lock
from devnet.io._difference import first_difference
from devnet.io.records import read_json
from devnet.io.tensors import library_version
from devnet.io.writer import TEMPORARY, digest, make_folder, write_json, write_text
from devnet.spec import ModelSpec, dump_model, parse_model

SCHEMA = 1
_LEFT_BEHIND = re.compile(rf"\..*\.[0-9a-f]{{12}}{re.escape(TEMPORARY)}", re.DOTALL)


class Stage:
    """One stage of a run while it is running: where its files go, and what it found.

    Attributes:
        folder: The stage's folder.
        numbers: What the stage reports; kept in ``stage.json``.
    """

    def __init__(self, run: RunFolder, name: str) -> None:
        self.folder = make_folder(run.path / name)
        self.numbers: dict[str, Any] = {}
        self._run = run
        self._files: list[str] = []

    def file(self, name: str) -> Path:
        """Return the path of an artefact of this stage, relative to its folder, and list it."""
        return self.run_file(f"{self.folder.name}/{name}")

    def run_file(self, name: str) -> Path:
        """Return the path of an artefact that lies elsewhere in the run folder, and list it."""
        self._files.append(name)
        path = self._run.path / name
        make_folder(path.parent)
        return path

    def digests(self) -> dict[str, str]:
        """Return SHA-256 by file name of all listed artefacts."""
        return {name: digest(self._run.path / name) for name in sorted(set(self._files))}


class RunFolder:
    """The folder of one run. Open it with ``RunFolder.open``; it is locked as long as the block runs.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, model: ModelSpec, settings: dict[str, Any]) -> Generator[RunFolder]:
        """Create a run folder, or go on with the run that it holds.

        Args:
            path: The folder; it is made when missing.
            model: The model, with everything resolved.
            settings: What else makes the run what it is: its key, for example.

        Yields:
            The folder, locked.

        Raises:
            BusyError: Another process writes there, or the folder holds files of another run or foreign files.
            StorageError: It cannot be written.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise BusyError(f"{path}: is a file; choose an empty or new folder")
        _refuse_foreign(path)
        make_folder(path)
        with _lock.locked(path):
            _refuse_foreign(path)
            _drop_temporaries(path)
            run = cls(path)
            run._claim(model, {"schema": SCHEMA, "devnet": library_version()} | settings)
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
        """
        path = Path(path)
        if not (path / "run.json").is_file():
            raise ConfigError("run", str(path), "a folder that devnet run wrote")
        with _lock.locked(path):
            yield cls(path)

    def _claim(self, model: ModelSpec, record: dict[str, Any]) -> None:
        config, settings = self.path / "config.toml", self.path / "run.json"
        if not settings.exists() or not set(_artefacts(self.path)) - {config.name, settings.name}:
            # Nothing was made here yet, so a corrected model may take the folder.
            write_text(config, dump_model(model))
            write_json(settings, record)
            return
        try:
            there = parse_model(config.read_text(encoding="utf-8"), where=str(config))
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            raise CorruptFileError(f"{config}: cannot be read back ({error})") from None
        held: dict[str, Any] = {"run": read_json(settings), "model": there.model_dump(mode="json")}
        wanted: dict[str, Any] = {
            "run": json.loads(json.dumps(record)),
            "model": model.model_dump(mode="json"),
        }
        if (found := first_difference(held, wanted)) is not None:
            field, old, new = found
            raise BusyError(
                f"{self.path}: holds another run: {field} is {old} there and {new} here; "
                "choose another folder, remove this one, or run with its values"
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
        """Return what a finished stage left: ``numbers``, ``seconds``, ``files``, ``after``.

        Args:
            name: The stage.

        Returns:
            The content of its ``stage.json``.

        Raises:
            ConfigError: The stage is not finished.
            CorruptFileError: The record is damaged.
        """
        path = self.path / name / "stage.json"
        record = read_json(path)
        wanted = {"schema": int, "numbers": dict, "seconds": float, "files": dict, "after": dict}
        if set(record) != set(wanted) or not all(
            isinstance(record[key], kind) for key, kind in wanted.items()
        ):
            raise CorruptFileError(f"{path}: not a stage record of this devnet")
        _check_names(path, record["files"])
        return record

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
        stage = Stage(self, name)
        start = time.perf_counter()
        yield stage
        record = {
            "schema": SCHEMA,
            "numbers": stage.numbers,
            "seconds": round(time.perf_counter() - start, 3),
            "files": stage.digests(),
            "after": self._sources(after),
        }
        write_json(stage.folder / "stage.json", record)

    def _sources(self, after: Sequence[str]) -> dict[str, str]:
        return {name: digest(self.path / name / "stage.json") for name in after}

    def write_manifest(self) -> None:
        """Write bytes and SHA-256 of every file of the run into ``manifest.json``."""
        files = {
            name: {"bytes": (self.path / name).stat().st_size, "sha256": digest(self.path / name)}
            for name in _artefacts(self.path)
        }
        write_json(self.path / "manifest.json", {"schema": SCHEMA, "files": files})


def verify(path: str | Path) -> int:
    """Check every file of a run folder against its manifest.

    Args:
        path: The run folder.

    Returns:
        How many files were checked.

    Raises:
        ConfigError: There is no manifest.
        CorruptFileError: The manifest is damaged or empty, or files are missing, changed or new; all are named.
    """
    path = Path(path)
    manifest = read_json(path / "manifest.json")
    files: Any = manifest.get("files")
    if manifest.get("schema") != SCHEMA or not isinstance(files, dict) or not files:
        raise CorruptFileError(f"{path / 'manifest.json'}: empty, or not a manifest of this devnet")
    listed = cast("dict[str, Any]", files)
    _check_names(path / "manifest.json", listed)
    there = _artefacts(path)
    problems = [f"{path / name}: not in the manifest" for name in sorted(set(there) - set(listed))]
    for name, entry in listed.items():
        if name not in there:
            problems.append(f"{path / name}: missing")
        elif not isinstance(entry, dict) or digest(path / name) != cast("dict[str, Any]", entry).get(
            "sha256"
        ):
            problems.append(f"{path / name}: does not match its SHA-256")
    if problems:
        raise CorruptFileError("\n".join(problems))
    return len(listed)


def _refuse_foreign(path: Path) -> None:
    """Refuse a folder that holds anything but a run, or the start of one."""
    if not path.is_dir() or (path / "run.json").exists():
        return
    for entry in path.iterdir():
        if entry.name not in {_lock.NAME, "config.toml"} and not entry.name.endswith(".tmp"):
            raise BusyError(f"{path}: not empty and holds no devnet run; choose an empty or new folder")


def _drop_temporaries(path: Path) -> None:
    """Remove what a writer that was killed left behind; the folder is locked, so no other is at work."""
    for file in path.rglob(f".*{TEMPORARY}"):
        if _LEFT_BEHIND.fullmatch(file.name):
            with suppress(OSError):
                file.unlink()


def _artefacts(path: Path) -> list[str]:
    skip = {"manifest.json", _lock.NAME}
    return sorted(
        name
        for file in path.rglob("*")
        if file.is_file()
        and (name := file.relative_to(path).as_posix()) not in skip
        and not name.endswith(".tmp")
    )


def _check_names(path: Path, files: dict[str, Any]) -> None:
    for name in files:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or not name.strip():
            raise CorruptFileError(f"{path}: {name!r:.80} leads out of the run folder")
