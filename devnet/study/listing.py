"""What runs there are, and how far each is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet.io import read_run
from devnet.io.runs import busy
from devnet.study.pipeline import shares


@dataclass(frozen=True)
class Listed:
    """A run as a list shows it.

    Attributes:
        path: Its folder.
        model: Name of its model.
        state: ``finished``, ``running``, ``stopped`` (``devnet resume`` goes on with it) or ``damaged``.
        percent: Share of it that is behind, from the stages that are finished.
        stage: The first stage that is not finished; empty where all are.
        size: Bytes on disk.
        changed: When a file last changed.
    """

    path: Path
    model: str
    state: str
    percent: int
    stage: str
    size: int
    changed: datetime


def listed(folder: str | Path) -> list[Listed]:
    """Find the runs in a folder and the folders in it.

    Args:
        folder: Where to look.

    Returns:
        Its runs by path.

    Raises:
        ConfigError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError("folder", str(folder), "a folder that exists")
    return [_listed(record.parent) for record in sorted(folder.rglob("run.json"))]


def _listed(path: Path) -> Listed:
    size, changed = 0, 0.0
    for file in path.rglob("*"):
        try:
            told = file.stat()
        except OSError:  # gone meanwhile: the run is going on
            continue
        size += told.st_size if file.is_file() else 0
        changed = max(changed, told.st_mtime)
    try:
        model = read_run(path)[0].name
    except (ConfigError, CorruptFileError, StorageError):
        model = ""
    left = [name for name in shares() if not (path / name / "stage.json").exists()]
    percent = 100 - round(100 * sum(shares()[name] for name in left) / sum(shares().values()))
    finished = (path / "manifest.json").exists()
    told = "finished" if finished else "stopped"
    state = "running" if busy(path) else told if model else "damaged"
    when = datetime.fromtimestamp(changed, UTC).astimezone()
    return Listed(path, model or "?", state, percent, left[0] if left else "", size, when)
