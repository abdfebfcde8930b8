"""What a run folder holds, read back with care: which run, what its stages left, and whether every file is as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.io._lock import NAME as LOCK
from devnet.io.records import read_record
from devnet.io.stages import PLACE, SCHEMA, check_names
from devnet.io.tensors import read_tensors
from devnet.io.writer import digest
from devnet.spec import ModelSpec, parse_model


def check_run(path: Path) -> None:
    """Refuse a folder that holds no run.

    Args:
        path: The folder.

    Raises:
        ConfigError: It holds none.
    """
    if not (path / "run.json").is_file():
        raise ConfigError("run", str(path), "a folder that devnet run wrote")


def read_run(path: str | Path) -> tuple[ModelSpec, dict[str, Any]]:
    """Return which run a folder holds.

    Args:
        path: The run folder.

    Returns:
        The model, and the content of ``run.json``.

    Raises:
        ConfigError: It is no run folder.
        CorruptFileError: Its configuration is damaged.
    """
    path = Path(path)
    check_run(path)
    record, config = read_record(path / "run.json"), path / "config.toml"
    try:
        return parse_model(config.read_text(encoding="utf-8"), where=str(config)), record
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise CorruptFileError(f"{config}: cannot be read back ({error})") from None


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
    place = Path(path) / "manifest.json"
    manifest = read_record(place)
    try:
        found = {str(name): str(manifest["files"][name]["sha256"]) for name in manifest["artefacts"]}
    except (KeyError, TypeError):
        found = {}
    if not found:
        raise CorruptFileError(f"{place}: damaged, or declares no artefacts")
    return found


def verify(path: str | Path) -> int:
    """Check every file of a run folder against its digest: by the manifest, or before a run is finished by its records.

    Args:
        path: The run folder.

    Returns:
        How many files were checked.

    Raises:
        ConfigError: It is no run folder.
        CorruptFileError: A record is damaged or empty, or files are missing, changed or new; all are named.
    """
    path = Path(path)
    if not (path / "manifest.json").exists():
        return _verify_unfinished(path)
    manifest = read_record(path / "manifest.json")
    files: Any = manifest.get("files")
    if manifest.get("schema") != SCHEMA or not isinstance(files, dict) or not files:
        raise CorruptFileError(f"{path / 'manifest.json'}: empty, or not a manifest of this devnet")
    listed = check_names(path / "manifest.json", cast("dict[str, Any]", files))
    problems = [f"{path / name}: not in the manifest" for name in sorted(set(files_of(path)) - set(listed))]
    sums = {
        name: cast("dict[str, Any]", e).get("sha256") if isinstance(e, dict) else None
        for name, e in listed.items()
    }
    return _checked(path, sums, problems)


def _verify_unfinished(path: Path) -> int:
    read_run(path)
    problems: list[str] = []
    sums: dict[str, Any] = {}
    count = 2
    for record in sorted(path.glob("*/stage.json")):
        sums |= read_stage(path, record.parent.name)["files"]
        count += 1
    for file in sorted((path / PLACE).rglob("*.safetensors")):
        count += 1
        try:
            read_tensors(file)
        except CorruptFileError as error:
            problems.append(str(error))
    return count + _checked(path, sums, problems)


def _checked(path: Path, sums: dict[str, Any], problems: list[str]) -> int:
    for name, sha in sums.items():
        if not (path / name).is_file():
            problems.append(f"{path / name}: missing")
        elif digest(path / name) != sha:
            problems.append(f"{path / name}: does not match its SHA-256")
    if problems:
        raise CorruptFileError("\n".join(problems))
    return len(sums)


def files_of(path: Path) -> list[str]:
    """Return the names of all files that a manifest lists, in order."""
    skip = {"manifest.json", LOCK}
    return sorted(
        name
        for file in path.rglob("*")
        if file.is_file()
        and (name := file.relative_to(path).as_posix()) not in skip
        and not name.startswith(f"{PLACE}/")
        and not name.endswith(".tmp")
    )
