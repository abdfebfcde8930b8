"""What a run folder holds so far."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from devnet._core.errors import CorruptFileError
from devnet.io import read_tensors
from devnet.io.nouns import load_recording, load_sheet, load_stack, load_wiring
from devnet.sheet import Recording, Sheet, Stack, Wiring
from devnet.spec import ModelSpec

_ENDING = "safetensors"


@dataclass(frozen=True, eq=False)
class WayPoints:
    """What a path's file tells without the network: as ``devnet.fip.Path``, and the accuracy where it was kept."""

    steps: Int[np.ndarray, " K"]
    distance: Float[np.ndarray, " K"]
    objective: Float[np.ndarray, " K"]
    weight_distance: Float[np.ndarray, " K"]
    sparsity: Float[np.ndarray, " K"]
    accuracy: Float[np.ndarray, " K"] | None
    deltas: Float[np.ndarray, "K P"]

    @classmethod
    def load(cls, path: Path) -> WayPoints:
        """Load a file of kind ``path``.

        Args:
            path: The file.

        Returns:
            Its way-points.

        Raises:
            CorruptFileError: It is damaged, or an array is missing.
        """
        arrays, _ = read_tensors(path, "path")
        names = [field.name for field in fields(cls) if field.name != "accuracy"]
        if missing := set(names) - set(arrays):
            raise CorruptFileError(f"{path}: path: no array {', '.join(sorted(missing))}")
        return cls(**{name: arrays[name] for name in names}, accuracy=arrays.get("accuracy"))


class Run:
    """What a run folder holds so far, loaded when it is first asked for.

    Args:
        path: The run folder.
        model: What runs.
        summary: Its numbers, empty before the end.
        going_on: Take files of stages that are not finished as well; each is written whole or not at all.
    """

    def __init__(
        self, path: Path, model: ModelSpec, summary: dict[str, Any], *, going_on: bool = False
    ) -> None:
        self.path, self.model, self.summary, self._going_on = path, model, summary, going_on

    def has(self, name: str) -> bool:
        """Say whether a file is there, and the stage that writes it is finished where that is asked for."""
        file = self.path / f"{name}.{_ENDING}"
        return file.is_file() and (self._going_on or (file.parent / "stage.json").is_file())

    @cached_property
    def sheets(self) -> list[Sheet]:
        """All sheets, in the order of their seeds."""
        found: list[Sheet] = []
        while self.has(name := f"grow/sheet-{len(found)}"):
            found.append(load_sheet(self.path / f"{name}.{_ENDING}"))
        return found

    @cached_property
    def recordings(self) -> dict[str, Recording]:
        """Recordings by the name of the dynamics, in the model's order."""
        names = {name: f"simulate/{name}-0" for name in self.model.dynamics}
        return {
            name: load_recording(self.path / f"{file}.{_ENDING}")
            for name, file in names.items()
            if self.has(file)
        }

    @cached_property
    def wiring(self) -> Wiring | None:
        """The first sheet's wiring."""
        return self._wiring("wiring")

    @cached_property
    def noise(self) -> Wiring | None:
        """The same under noise."""
        return self._wiring("noise")

    def _wiring(self, label: str) -> Wiring | None:
        name = f"organize/{label}-0"
        return load_wiring(self.path / f"{name}.{_ENDING}") if self.has(name) else None

    @cached_property
    def stack(self) -> Stack | None:
        """The stack on the first sheet."""
        name = "organize/stack-0"
        return load_stack(self.path / f"{name}.{_ENDING}") if self.has(name) else None

    @cached_property
    def paths(self) -> dict[str, WayPoints]:
        """Way-points of the first perceptron's paths: ``sparsify95`` and so on, and ``recover``."""
        files = {name: f"fip/path-{name}-0" for name in path_names(self.model)}
        return {
            name: WayPoints.load(self.path / f"{file}.{_ENDING}")
            for name, file in files.items()
            if self.has(file)
        }


def path_names(model: ModelSpec) -> list[str]:
    """Return what the paths of a run are called."""
    return [*(f"sparsify{100 * share:g}" for share in model.path.sparsity), "recover"]


def sources(model: ModelSpec) -> dict[str, list[str]]:
    """Return from which files of a run folder each part of its scene is made.

    Args:
        model: What runs.

    Returns:
        Names of files by the part's id; a part is there once one of them is, ``summary.json`` aside where it adds to others.
    """
    waves = {
        f"waves-{i}": [f"simulate/{name}-0.{_ENDING}", "summary.json"]
        for i, name in enumerate(model.dynamics)
    }
    paths = [f"fip/path-{name}-0.{_ENDING}" for name in path_names(model)]
    return {
        "sheet": [f"grow/sheet-0.{_ENDING}"],
        **waves,
        "wiring": [f"organize/wiring-0.{_ENDING}"],
        "paths": paths,
        "readout": ["summary.json"],
    }
