"""The state of a walk as arrays and plain data, so that a paused walk goes on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True, eq=False)
class WalkState:
    """What a walk carries at a way-point beside its weights.

    Attributes:
        arrays: Tensors of its memory by number.
        plain: All else, as types that JSON can hold.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    plain: Mapping[str, Any]

    @staticmethod
    def of(walk: Walk, rejected: int, identity: Mapping[str, str] | None = None) -> WalkState:
        """Take down the state of a walk.

        Args:
            walk: The walk, at a way-point.
            rejected: Rejected steps in a row.
            identity: By what the walk is known again, or None where that is kept elsewhere.

        Returns:
            The state, copied.

        Raises:
            ConfigError: An objective, direction or step remembers something that cannot be saved.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        held = _encode(arrays, {"memory": walk.memory, "mask": walk.mask})
        plain: dict[str, Any] = {"step": walk.step, "rejected": rejected, "held": held}
        return WalkState(arrays, plain if identity is None else plain | {"identity": dict(identity)})

    def differs(self, identity: Mapping[str, str]) -> list[str]:
        """Return which parts of a walk's identity are not those of this state; files of old versions tell none.

        Args:
            identity: By what the walk is known again.

        Returns:
            Their names.

        Raises:
            CorruptFileError: The state is damaged.
        """
        mine = self.plain.get("identity", {})
        if not isinstance(mine, Mapping):
            raise CorruptFileError("path: no names in the identity of its state")
        return [name for name, part in identity.items() if mine.get(name, part) != part]

    def restore(self, walk: Walk) -> int:
        """Give a freshly begun walk this state; its weights are set elsewhere.

        Args:
            walk: The walk, changed in place.

        Returns:
            Rejected steps in a row.

        Raises:
            CorruptFileError: The state is damaged.
        """
        try:
            held = _decode(self.arrays, self.plain["held"], walk.weights.device)
            walk.memory, walk.mask = held["memory"], held["mask"]
            walk.step = int(self.plain["step"])
            return int(self.plain["rejected"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise CorruptFileError(f"path: {type(error).__name__} in its state: {error}") from error


def _encode(arrays: dict[str, npt.NDArray[Any]], value: Any) -> list[Any]:
    """Return a value as a tagged list, its tensors put among the arrays."""
    if value is None or isinstance(value, bool | int | float | str):
        return ["plain", value]
    if isinstance(value, Tensor):
        name = str(len(arrays))
        tensor = value.detach().cpu().contiguous()
        narrow = tensor.is_floating_point() and tensor.element_size() < 4
        arrays[name] = np.array((tensor.float() if narrow else tensor).numpy())
        return ["tensor", name, str(value.dtype).removeprefix("torch.")]
    if isinstance(value, dict):
        return ["dict", [[key, _encode(arrays, item)] for key, item in value.items()]]
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [_encode(arrays, item) for item in value]]
    raise ConfigError(
        "walk.memory", type(value).__name__, "tensors, plain data, dicts, lists and tuples of them"
    )


def _decode(arrays: Mapping[str, npt.NDArray[Any]], told: Any, device: torch.device) -> Any:
    """Undo ``_encode``."""
    kind, *rest = told
    if kind == "plain":
        return rest[0]
    if kind == "tensor":
        dtype = getattr(torch, rest[1])
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"{rest[1]!r} is no type of a tensor")
        return torch.from_numpy(np.array(arrays[rest[0]])).to(device, dtype)
    if kind == "dict":
        return {key: _decode(arrays, item, device) for key, item in rest[0]}
    items = [_decode(arrays, item, device) for item in rest[0]]
    return {"list": list, "tuple": tuple}[kind](items)
