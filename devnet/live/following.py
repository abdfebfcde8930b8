"""Follow a run folder while the run goes on. Reads only; the folder is never written to."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from devnet._core.errors import ConfigError, DevnetError
from devnet.io import library_version
from devnet.live.server import Site
from devnet.spec import ModelSpec, load_model
from devnet.viz.scene import part_so_far, versions

_STAGES = ("grow", "simulate", "organize", "export", "readout", "fip")


def follow(path: str | Path) -> Site:
    """Return a site that shows what a run folder holds, and what comes to it.

    Args:
        path: The run folder.

    Returns:
        The site.

    Raises:
        ConfigError: The folder holds no run.
    """
    folder = Path(path)
    if not (folder / "config.toml").is_file():
        raise ConfigError("run", str(path), "a folder that holds a run: one with a config.toml")
    model = load_model(folder / "config.toml")
    reader = _Reader(folder, model)
    return Site(
        mode="view",
        title=model.title or model.name,
        name=folder.resolve().name,
        version=library_version(),
        listing=reader.listing,
        part=reader.part,
    )


@final
class _Reader:
    """Reads parts of a run, each version once."""

    def __init__(self, folder: Path, model: ModelSpec) -> None:
        self._folder, self._model = folder, model
        self._lock = threading.Lock()
        self._made: dict[str, _Made] = {}

    def listing(self) -> dict[str, Any]:
        """Return the versions of all parts, the stages that are finished, and what is wrong with files that were read."""
        finished = [name for name in _STAGES if (self._folder / name / "stage.json").is_file()]
        found = versions(self._folder, self._model)
        none = {name: made for name, made in self._made.copy().items() if made.is_none(found.get(name))}
        return {
            "parts": {name: version for name, version in found.items() if name not in none},
            "stages": finished,
            "errors": sorted({made.error for made in none.values() if made.error}),
        }

    def part(self, name: str) -> bytes | None:
        """Return a part, compressed; None where there is none, or a file that it is made from is damaged."""
        version = versions(self._folder, self._model).get(name)
        if version is None:
            return None
        with self._lock:
            if name not in self._made or self._made[name].version != version:
                self._made[name] = self._make(name, version)
            return self._made[name].data

    def _make(self, name: str, version: str) -> _Made:
        try:
            found = part_so_far(self._folder, self._model, name)
        except DevnetError as error:
            return _Made(version, error=str(error))
        return _Made(version, None if found is None else found.compressed())


@dataclass(frozen=True)
class _Made:
    """What a version of a part was found to be: bytes, nothing, or an error; files are written whole or not at all."""

    version: str
    data: bytes | None = None
    error: str = ""

    def is_none(self, version: str | None) -> bool:
        """Say whether there is nothing to ask for while the version is this one."""
        return self.data is None and self.version == version
