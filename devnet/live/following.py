"""Follow a run folder while the run goes on. Reads only; the folder is never written to."""

from __future__ import annotations

import threading
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
        self._made: dict[str, tuple[str, bytes]] = {}

    def listing(self) -> dict[str, Any]:
        """Return the versions of all parts, and the stages that are finished."""
        finished = [name for name in _STAGES if (self._folder / name / "stage.json").is_file()]
        return {"parts": versions(self._folder, self._model), "stages": finished}

    def part(self, name: str) -> bytes | None:
        """Return a part, compressed; None where there is none or it just changes."""
        version = versions(self._folder, self._model).get(name)
        if version is None:
            return None
        with self._lock:
            made, data = self._made.get(name, ("", b""))
            if made != version:
                try:
                    found = part_so_far(self._folder, self._model, name)
                except DevnetError:
                    return None
                if found is None:
                    return None
                data = found.compressed()
                self._made[name] = version, data
            return data
