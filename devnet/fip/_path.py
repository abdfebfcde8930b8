"""A path: the networks that a walk went through, as frozen data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip._layout import Layout, layout_of
from devnet.fip._stop import Stop

FORMAT = "devnet.fip.path/1"
_SERIES = ("distance", "objective", "weight_distance", "sparsity")


@final
@dataclass(frozen=True, eq=False)
class Path:
    r"""Way-points of a functionally invariant path.

    Way-point k has the weights :math:`w_0 + \Delta_k`, evaluated in the network's own precision; the walk itself went
    through exactly these.

    Attributes:
        base: The module that was handed in, a private copy; its weights are :math:`w_0`.
        layout: Names and shapes of the parameters that moved, in the order in which they fill a row of ``deltas``.
        steps: Step number of each way-point, ``[K]``.
        deltas: :math:`\Delta_k`, ``[K, P]``.
        distance: Mean divergence of the outputs from those of ``base`` on reference inputs, ``[K]``.
        objective: Value of the secondary goal, ``[K]``.
        weight_distance: :math:`\|\Delta_k\|`, ``[K]``.
        sparsity: Share of the counted weights that is exactly zero, ``[K]``.
        stop: Why the walk ended.
        key: The 64-bit key from which it drew all its randomness.
    """

    base: nn.Module
    layout: Layout
    steps: npt.NDArray[np.int64]
    deltas: npt.NDArray[np.floating[Any]]
    distance: npt.NDArray[np.float64]
    objective: npt.NDArray[np.float64]
    weight_distance: npt.NDArray[np.float64]
    sparsity: npt.NDArray[np.float64]
    stop: Stop
    key: int

    def __post_init__(self) -> None:
        count = len(self.steps)
        if count == 0:
            raise ConfigError("path.steps", "no way-point", "at least one way-point")
        put = object.__setattr__
        put(self, "steps", frozen_array("path.steps", self.steps, np.int64, (count,), low=0))
        put(
            self,
            "deltas",
            frozen_array("path.deltas", self.deltas, self.deltas.dtype, (count, self.layout.size)),
        )
        for name in _SERIES:
            put(self, name, frozen_array(f"path.{name}", getattr(self, name), np.float64, (count,)))

    def __len__(self) -> int:
        """Number of way-points."""
        return len(self.steps)

    def module(self, i: int = -1) -> nn.Module:
        """Load a network on the path.

        Args:
            i: Number of the way-point; negative numbers count from the end.

        Returns:
            A new module, in the mode of the one that was handed in, with the weights of that way-point.

        Raises:
            ConfigError: No such way-point.
        """
        if not -len(self) <= i < len(self):
            raise ConfigError("i", i, f"a way-point from {-len(self)} to {len(self) - 1}")
        loaded = copy.deepcopy(self.base)
        parameters = dict(loaded.named_parameters())
        delta = self.layout.split(torch.from_numpy(self.deltas[i].copy()))
        with torch.no_grad():
            for name, change in delta.items():
                parameters[name].add_(change.to(parameters[name]))
        return loaded

    def to_tensors(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return the path as arrays and plain data that JSON can hold; the module itself is not among them.

        Returns:
            Arrays by name, and metadata. ``from_tensors`` with the same module brings the path back.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"steps": self.steps, "deltas": self.deltas}
        arrays.update({name: getattr(self, name) for name in _SERIES})
        metadata = {
            "format": FORMAT,
            "stop": self.stop.value,
            "key": str(self.key),
            "layout": self.layout.metadata(),
        }
        return arrays, metadata

    @staticmethod
    def from_tensors(
        arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, Any], module: nn.Module
    ) -> Path:
        """Bring back a path that ``to_tensors`` took apart.

        Args:
            arrays: Arrays by name.
            metadata: The plain data beside them.
            module: The module from which the path started.

        Returns:
            The path.

        Raises:
            CorruptFileError: Something is missing, of another format, or of the wrong type or shape.
            ConfigError: The module has not the parameters that moved.
        """
        if metadata.get("format") != FORMAT:
            raise CorruptFileError(f"path: format is {metadata.get('format')!r}, expected {FORMAT!r}")
        try:
            told = metadata["layout"]
            layout = Layout(
                tuple(str(n) for n in told["names"]),
                tuple(tuple(int(n) for n in shape) for shape in told["shapes"]),
                tuple(bool(c) for c in told["counted"]),
            )
            stop, key = Stop(metadata["stop"]), int(metadata["key"])
            series = {name: np.asarray(arrays[name]) for name in ("steps", "deltas", *_SERIES)}
            if series["deltas"].dtype.kind != "f" or series["deltas"].ndim != 2:
                raise CorruptFileError("path: deltas is not a matrix of floating-point numbers")
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"path: {type(error).__name__} in its metadata or arrays: {error}"
            ) from error
        counted = [n for n, c in zip(layout.names, layout.counted, strict=False) if c]
        if layout_of(module, layout.names, counted) != layout:
            raise ConfigError("module", type(module).__name__, "the module from which the path started")
        try:
            return Path(copy.deepcopy(module), layout, **series, stop=stop, key=key)
        except ConfigError as error:
            raise CorruptFileError(str(error)) from error
