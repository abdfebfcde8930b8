"""What a run folder holds, read back with care: which run, what its stages left, and whether every file is as it was."""

from __future__ import annotations

import os
import re
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet._core.lock import NAME as LOCK
from devnet._core.reading import read_toml
from devnet.io.records import read_record
from devnet.io.stages import PLACE, SCHEMA, check_names
from devnet.io.tensors import read_tensors
from devnet.io.writer import TEMPORARY, digest
from devnet.spec import ModelSpec, build

LEFT_BEHIND = re.compile(rf"\..*\.[0-9a-f]{{12}}{re.escape(TEMPORARY)}", re.DOTALL)
"""Name of a file that a writer was at when it was killed."""

MANIFEST = "manifest.json"
_LAST, _FIGURES = ("summary.json", "report.html"), "figures"


def check_run(path: Path) -> list[str]:
    """Refuse a folder that holds no run, or anything that is neither a folder nor a regular file.

    A link in it would have others' files read, written or removed, and a pipe or device would never end. The run folder
    itself may be a link.

    Args:
        path: The folder.

    Returns:
        The names of all its files.

    Raises:
        ConfigError: It holds no run.
        CorruptFileError: It holds a link, pipe, socket or device.
        StorageError: It cannot be read.
    """
    names = files_in(path)
    if "run.json" not in names:
        raise ConfigError("run", str(path), "a folder that devnet run wrote")
    return names


def files_in(path: Path) -> list[str]:
    """Return the names of all files below a folder, in order; errors as ``check_run``, none for a folder that is none."""
    names: list[str] = []
    ahead = [""]
    while ahead:
        below = ahead.pop()
        try:
            with os.scandir(path / below) as entries:
                for entry in entries:
                    name = f"{below}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(f"{name}/")
                    elif entry.is_file(follow_symlinks=False):
                        names.append(name)
                    else:
                        raise CorruptFileError(
                            f"{path}: {name!r} is a link, pipe or device; a run folder holds none: remove it"
                        )
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile: the run is going on
            continue
        except OSError as error:
            raise StorageError(f"{path / below}: cannot be read ({error.strerror})") from None
    return sorted(names)


def read_run(path: str | Path) -> tuple[ModelSpec, dict[str, Any]]:
    """Return which run a folder holds.

    Args:
        path: The run folder.

    Returns:
        The model, and the content of ``run.json``.

    Raises:
        ConfigError: It is no run folder.
        CorruptFileError: Its configuration is damaged, or it holds a link, pipe or device.
    """
    path = Path(path)
    check_run(path)
    record, config = read_record(path / "run.json"), path / "config.toml"
    try:
        model = build(ModelSpec, read_toml(config), where=str(config))
    except (StorageError, ConfigError) as error:
        raise CorruptFileError(f"{config}: cannot be read back ({error})") from None
    if "config" in record and record["config"] != digest(config):  # the first ones of version 0.1 do not tell
        raise CorruptFileError(f"{config}: does not match its SHA-256")
    return model, record


def read_stage(run: Path, name: str) -> dict[str, Any]:
    """Return what a finished stage left: ``numbers``, ``files``, ``after``, and ``times``.

    Args:
        run: The run folder.
        name: The stage.

    Returns:
        The content of its ``stage.json``, and of ``times.json`` under ``times``.

    Raises:
        ConfigError: The stage is not finished.
        CorruptFileError: The record is damaged.
    """
    path = run / name / "stage.json"
    record = read_record(path)
    wanted = {"schema": int, "numbers": dict, "files": dict, "after": dict}
    if set(record) != set(wanted) or not all(isinstance(record[key], kind) for key, kind in wanted.items()):
        raise CorruptFileError(f"{path}: not a stage record of this devnet")
    check_names(path, record["files"])
    try:
        return record | {"times": read_record(path.with_name("times.json"))}
    except ConfigError:
        raise CorruptFileError(f"{path.with_name('times.json')}: missing") from None


def artefacts(path: str | Path) -> dict[str, str]:
    """Return SHA-256 by name of what a finished run declares to be a function of its model and key.

    Args:
        path: The run folder.

    Returns:
        Digests by file name; two runs of the same model and key have the same.

    Raises:
        ConfigError: The run is not finished.
        CorruptFileError: The manifest is damaged or declares nothing.
    """
    place = Path(path) / MANIFEST
    manifest = read_record(place)
    try:
        found = {str(name): str(manifest["files"][name]["sha256"]) for name in manifest["artefacts"]}
    except (KeyError, TypeError):
        found = {}
    if not found:
        raise CorruptFileError(f"{place}: damaged, or declares no artefacts")
    return found


def verify(path: str | Path, *, but: Container[str] = ()) -> int:
    """Check every file of a run folder against its digest: by the manifest, or before a run is finished by its records.

    Args:
        path: The run folder.
        but: Files that are about to be written anew.

    Returns:
        How many files were checked.

    Raises:
        ConfigError: It is no run folder.
        CorruptFileError: A record is damaged or empty, or files are missing, changed or new, or the folder holds a link,
            pipe or device; all are named.
    """
    path = Path(path)
    there = [name for name in files_in(path) if not _passing(name)]
    if (path / MANIFEST).exists():
        sums, problems = _manifest(path), list[str]()
    else:
        sums, problems = _records(path, there)
    sums = {name: sha for name, sha in sums.items() if name not in but}
    problems += [
        f"{path}: {name!r} is in no record of the run"
        for name in there
        if name not in sums and name not in but and name != MANIFEST
    ]
    for name, sha in sums.items():
        if not (path / name).is_file():
            problems.append(f"{path / name}: missing")
        elif sha is not None and digest(path / name) != sha:
            problems.append(f"{path / name}: does not match its SHA-256")
    if problems:
        raise CorruptFileError("\n".join(problems))
    return len(sums)


def _manifest(path: Path) -> dict[str, str | None]:
    """Return the digests of a finished run's files: of all but the manifest itself."""
    place = path / MANIFEST
    manifest = read_record(place)
    files: Any = manifest.get("files")
    if manifest.get("schema") != SCHEMA or not isinstance(files, dict) or not files:
        raise CorruptFileError(f"{place}: empty, or not a manifest of this devnet")
    listed = check_names(place, cast("dict[str, Any]", files))
    return {
        name: str(cast("dict[str, Any]", e).get("sha256") if isinstance(e, dict) else None)
        for name, e in listed.items()
    }


def _records(path: Path, there: list[str]) -> tuple[dict[str, str | None], list[str]]:
    """Return the files of a run that is not finished, each with its digest or None if it was checked here; and faults.

    Of a stage under way no record lists the files yet: arrays and records hold a digest of their own. Numbers and page
    are written anew at the end.
    """
    read_run(path)
    sums: dict[str, str | None] = dict.fromkeys(("run.json", "config.toml"))
    problems: list[str] = []
    stages = [name.removesuffix("/stage.json") for name in there if re.fullmatch("[^/]+/stage.json", name)]
    for stage in stages:
        sums |= dict.fromkeys((f"{stage}/stage.json", f"{stage}/times.json"))
        sums |= read_stage(path, stage)["files"]
    for name in there:
        top, _, rest = name.partition("/")
        if name in sums or (top in stages and rest):
            continue
        own = top == PLACE or rest == "times.json"
        with suppress(ConfigError):  # gone meanwhile: the run is going on
            try:
                if own and name.endswith(".json"):
                    listed: Any = read_record(path / name).get("files")
                    if isinstance(listed, dict):
                        sums |= check_names(path / name, cast("dict[str, Any]", listed))
                elif rest and name.endswith(".safetensors"):
                    read_tensors(path / name)
                elif name not in _LAST and top != _FIGURES:
                    continue
                sums.setdefault(name)
            except CorruptFileError as error:
                sums.setdefault(name)
                problems.append(str(error))
    return sums, problems


def _passing(name: str) -> bool:
    """Say whether a file is no part of a run: its lock, or what a killed writer left."""
    return name == LOCK or LEFT_BEHIND.fullmatch(name.rpartition("/")[2]) is not None


def files_of(path: Path) -> list[str]:
    """Return the names of all files that a manifest lists, in order; errors as ``check_run``."""
    return [
        name
        for name in files_in(path)
        if not _passing(name) and name != MANIFEST and not name.startswith(f"{PLACE}/")
    ]
