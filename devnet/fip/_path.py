"""A path: the networks that a walk went through, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from devnet._core.arrays import frozen_array
from devnet._core.checkpoint import fingerprint
from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.notebook import table
from devnet.fip._identity import told
from devnet.fip._layout import Layout, copied, layout_of
from devnet.fip._state import WalkState
from devnet.fip._stop import Stop

FORMAT = "devnet.fip.path/1"
_STATE = "state/"
SERIES = ("distance", "objective", "weight_distance", "sparsity")
"""Numbers of a way-point."""


def as_delta(change: Tensor) -> npt.NDArray[np.floating[Any]]:
    """Return a change of the weights as an array; half precision is widened, which loses nothing."""
    return (change if change.element_size() >= 4 else change.float()).cpu().numpy()


def _known_by(module: nn.Module) -> str:
    """Return by what a module's weights and buffers are known again."""
    return fingerprint(told(module.state_dict()))


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
        state: What ``resume`` needs where the walk was paused, else None.
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
    state: WalkState | None = None

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
        for name in SERIES:
            put(self, name, frozen_array(f"path.{name}", getattr(self, name), np.float64, (count,)))

    def _repr_html_(self) -> str:
        return table(
            "Path",
            {
                "way-points": len(self),
                "steps": int(self.steps[-1]),
                "weights that moved": self.layout.size,
                "change of outputs, at the end": float(self.distance[-1]),
                "change of weights, at the end": float(self.weight_distance[-1]),
                "weights at zero, %": 100.0 * float(self.sparsity[-1]),
                "ended because": self.stop.help,
            },
        )

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
        return self._loaded(self.deltas[self._numbered("i", i)].copy())

    def at(self, t: float) -> nn.Module:
        """Load a network between way-points: weights on the straight line from one to the next.

        Args:
            t: Share of the path's steps, from 0 (its first way-point) to 1 (its last).

        Returns:
            A new module; at a way-point it is that of ``module``, bit for bit.

        Raises:
            ConfigError: ``t`` is outside.
        """
        if isinstance(t, bool) or not isinstance(t, Real) or not 0 <= t <= 1:
            raise ConfigError("t", t, "a number from 0 to 1")
        step = self.steps[0] + float(t) * (self.steps[-1] - self.steps[0])
        after = int(np.searchsorted(self.steps, step))
        if self.steps[after] == step:
            return self.module(after)
        share = (step - self.steps[after - 1]) / (self.steps[after] - self.steps[after - 1])
        kind = self.deltas.dtype.type
        return self._loaded(kind(1.0 - share) * self.deltas[after - 1] + kind(share) * self.deltas[after])

    def cut(self, first: int, last: int) -> Path:
        """Return a part of the path.

        Args:
            first: Number of its first way-point; negative numbers count from the end.
            last: Number of its last way-point, included.

        Returns:
            The part. Deltas and distances are still from ``base``.

        Raises:
            ConfigError: No such way-point, or the last before the first.
        """
        a, b = self._numbered("first", first), self._numbered("last", last)
        if b < a:
            raise ConfigError("last", last, f"a way-point from {a} on")
        rows = {name: getattr(self, name)[a : b + 1] for name in ("steps", "deltas", *SERIES)}
        if b == len(self) - 1:
            return replace(self, **rows)
        return replace(self, **rows, stop=Stop.CUT, state=None)

    def join(self, other: Path) -> Path:
        """Append a path that starts where this one ends.

        Args:
            other: Its ``base`` has the weights and buffers of this path's last way-point, and the same parameters
                move.

        Returns:
            One path from this one's ``base``. Networks of the second part are those of ``other`` up to rounding,
            exact zeros included; its distances stay those from its own start. Where ``other`` was paused, the whole
            cannot be resumed, since its walk is one from elsewhere: it counts as cut.

        Raises:
            ConfigError: It starts elsewhere.
        """
        mine, theirs = self.module().state_dict(), other.module(0).state_dict()
        same = mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)
        if other.layout != self.layout or not same:
            raise ConfigError("other", "a path from elsewhere", "a path that starts where this one ends")
        # From the weights themselves, not from sums of deltas: a weight of 0 stays exactly 0.
        home, theirs = (p.layout.join(dict(p.base.named_parameters())).detach() for p in (self, other))
        appended = [as_delta(theirs + torch.from_numpy(d.copy()).to(theirs) - home) for d in other.deltas[1:]]
        rows = {
            "steps": np.concatenate([self.steps, self.steps[-1] - other.steps[0] + other.steps[1:]]),
            "deltas": np.stack([*self.deltas, *appended]),
        }
        rows.update({n: np.concatenate([getattr(self, n), getattr(other, n)[1:]]) for n in SERIES})
        rows["weight_distance"] = np.linalg.norm(rows["deltas"].astype(np.float64), axis=1)
        stop = Stop.CUT if other.stop is Stop.PAUSED else other.stop
        return replace(self, **rows, stop=stop, state=None)

    def _numbered(self, field: str, i: int) -> int:
        """Return the number of a way-point counted from the start."""
        if isinstance(i, bool) or not isinstance(i, Integral) or not -len(self) <= i < len(self):
            raise ConfigError(field, i, f"a way-point from {-len(self)} to {len(self) - 1}")
        return int(i) % len(self)

    def _loaded(self, delta: npt.NDArray[np.floating[Any]]) -> nn.Module:
        """Return a copy of the base, moved."""
        loaded = copied(self.base)
        parameters = dict(loaded.named_parameters())
        with torch.no_grad():
            for name, change in self.layout.split(torch.from_numpy(delta)).items():
                parameters[name].add_(change.to(parameters[name]))
        return loaded

    def to_tensors(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return the path as arrays and plain data that JSON can hold; the module itself is not among them.

        Returns:
            Arrays by name, and metadata. ``from_tensors`` with the same module brings the path back.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"steps": self.steps, "deltas": self.deltas}
        arrays.update({name: getattr(self, name) for name in SERIES})
        metadata: dict[str, Any] = {
            "format": FORMAT,
            "stop": self.stop.value,
            "key": str(self.key),
            "layout": self.layout.metadata(),
            "base": _known_by(self.base),
        }
        if self.state is not None:
            arrays.update({_STATE + name: array for name, array in self.state.arrays.items()})
            metadata["state"] = self.state.plain
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
            ConfigError: The module has not the parameters that moved, or other weights or buffers than the path's
                ``base`` had. Files of old versions do not tell the latter.
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
            series = {name: np.asarray(arrays[name]) for name in ("steps", "deltas", *SERIES)}
            if series["deltas"].dtype.kind != "f" or series["deltas"].ndim != 2:
                raise CorruptFileError("path: deltas is not a matrix of floating-point numbers")
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"path: {type(error).__name__} in its metadata or arrays: {error}"
            ) from error
        counted = [n for n, c in zip(layout.names, layout.counted, strict=False) if c]
        same = metadata.get("base") in {None, _known_by(module)}
        if layout_of(module, layout.names, counted) != layout or not same:
            raise ConfigError("module", type(module).__name__, "the module from which the path started")
        state = None
        if "state" in metadata:
            held = {n.removeprefix(_STATE): a for n, a in arrays.items() if n.startswith(_STATE)}
            state = WalkState(held, metadata["state"])
        try:
            return Path(copied(module), layout, **series, stop=stop, key=key, state=state)
        except ConfigError as error:
            raise CorruptFileError(str(error)) from error
