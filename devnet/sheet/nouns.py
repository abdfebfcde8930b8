"""The nouns that the verbs return: Sheet, Recording, Wiring. Frozen; their arrays are read-only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError
from devnet._core.notebook import table
from devnet._core.random import Key
from devnet.sheet.geometry import Scaffold
from devnet.spec import DynamicsSpec, LearningSpec, ModelSpec


def _freeze(noun: Any, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...], **bounds: Any) -> None:
    value = frozen_array(f"{type(noun).__name__}.{name}", getattr(noun, name), dtype, shape, **bounds)
    object.__setattr__(noun, name, value)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Two layers of cells on a scaffold: n layer-I cells and m layer-II units that rose from them.

    Attributes:
        model: The model it was grown from.
        key: Key of its randomness.
        positions: (n, 2), places of the layer-I cells, in the order of their birth.
        parent: (n,), mother of each cell; -1 for the first.
        born: (n,), sweep in which a cell was born; 0 for the first.
        unit_parent: (m,), layer-I cell that emitted each layer-II unit. A unit keeps its parent's place.
        emitted: (m,), sweep in which a unit was emitted.
        unit_height: (m,), height to which a unit has risen.
        sweeps: Sweeps until growth ended.
        dead: (n,), cells that neither fire nor act on others; none by default.
    """

    model: ModelSpec
    key: Key
    positions: Float[np.ndarray, "n 2"]
    parent: Int[np.ndarray, " n"]
    born: Int[np.ndarray, " n"]
    unit_parent: Int[np.ndarray, " m"]
    emitted: Int[np.ndarray, " m"]
    unit_height: Float[np.ndarray, " m"]
    sweeps: int
    dead: Bool[np.ndarray, " n"] = dataclass_field(default_factory=lambda: np.empty(0, np.bool_))

    def __post_init__(self) -> None:
        n, m = len(self.positions), len(self.unit_parent)
        if n == 0:
            raise ConfigError("Sheet.positions", "no cells", "at least one cell")
        _freeze(self, "positions", np.float64, (n, 2))
        _freeze(self, "parent", np.int32, (n,), low=-1, high=n - 1)
        if np.any(self.parent >= np.arange(n)):
            raise ConfigError(
                "Sheet.parent", "a cell born before its mother", "mothers that come before daughters"
            )
        _freeze(self, "born", np.int32, (n,), low=0, high=self.sweeps)
        _freeze(self, "unit_parent", np.int32, (m,), low=0, high=n - 1)
        _freeze(self, "emitted", np.int32, (m,), low=0, high=self.sweeps)
        _freeze(self, "unit_height", np.float64, (m,), low=0)
        if len(self.dead) == 0:
            object.__setattr__(self, "dead", np.zeros(n, dtype=np.bool_))
        _freeze(self, "dead", np.bool_, (n,))

    @classmethod
    def declared(
        cls, model: ModelSpec, positions: Float[np.ndarray, "n 2"], unit_parent: npt.ArrayLike = ()
    ) -> Sheet:
        """Return a sheet whose cells are placed by hand instead of grown: all without mother, born at once.

        Args:
            model: Scaffold (for density and spacing), dynamics and learning.
            positions: (n, 2), places of the layer-I cells.
            unit_parent: (m,), cells above which layer-II units stand.

        Returns:
            The sheet, with key 0.

        Raises:
            ConfigError: No cell, or an entry out of range.
        """
        n, m = len(positions), np.size(unit_parent)
        parents = np.asarray(unit_parent, dtype=np.int32)
        none, zero = np.full(n, -1, np.int32), np.zeros(n, np.int32)
        return cls(
            model, Key(0), positions, none, zero, parents, np.zeros(m, np.int32), np.zeros(m), sweeps=0
        )

    @property
    def n(self) -> int:
        """Number of layer-I cells."""
        return len(self.positions)

    @property
    def m(self) -> int:
        """Number of layer-II units."""
        return len(self.unit_parent)

    @property
    def unit_positions(self) -> Float[np.ndarray, "m 2"]:
        """(m, 2), places of the layer-II units: those of their parents."""
        return self.positions[self.unit_parent]

    @cached_property
    def scaffold(self) -> Scaffold:
        """The region on which the sheet lives."""
        return Scaffold.from_spec(self.model.scaffold)

    @property
    def density(self) -> float:
        """Layer-I cells per unit area."""
        return self.n / self.scaffold.area

    @property
    def spacing(self) -> float:
        """Mean spacing of layer-I cells, 1/sqrt(density)."""
        return self.density**-0.5

    @property
    def rms_radius(self) -> float:
        """Root mean square distance of layer-I cells to their centroid."""
        return float(np.sqrt(((self.positions - self.positions.mean(axis=0)) ** 2).sum(axis=1).mean()))

    @property
    def growth_curve(self) -> Int[np.ndarray, " sweeps+1"]:
        """Number of layer-I cells after each sweep, from sweep 0."""
        return np.cumsum(np.bincount(self.born, minlength=self.sweeps + 1))

    def damaged(self, centers: Float[np.ndarray, "k 2"], radius: float) -> Sheet:
        """Return the sheet with the cells of k round regions dead, besides those that were.

        Dead cells keep their place: they count in the density and in units' norms, and nothing fires in their stead
        (G19 clamps v = u = I = 0).

        Args:
            centers: (k, 2), the middles of the regions.
            radius: Cells at most this far from a middle die.

        Returns:
            The damaged sheet.

        Raises:
            ConfigError: The centers are no points, the radius is below 0, or no cell would be left alive.
        """
        centers = frozen_array("centers", centers, np.float64, (None, 2))
        if not radius >= 0:
            raise ConfigError("radius", radius, "a length of at least 0")
        near = self.scaffold.surface.distances(self.positions, centers) <= radius
        dead = self.dead | near.any(axis=1)
        if dead.all():
            raise ConfigError("radius", radius, "a damage that leaves a cell alive")
        return replace(self, dead=dead)

    def __repr__(self) -> str:
        return f"Sheet({self.model.name}: {self.n} cells, {self.m} units, density {self.density:.2f})"

    def _repr_html_(self) -> str:
        return table(
            "Sheet",
            {
                "model": self.model.name,
                "layer-I cells": self.n,
                "layer-II units": self.m,
                "cells per unit area": self.density,
                "sweeps of growth": self.sweeps,
            },
        )


@dataclass(frozen=True, eq=False)
class Recording:
    """Who fired when: K spikes of n cells over a number of steps.

    Attributes:
        sheet: The sheet that ran.
        dynamics: The form and constants of its cells.
        key: Key of its randomness.
        backend: Which backend stepped it.
        field: How the long-range inhibition was summed.
        steps: Number of steps.
        time: (K,), step of each spike, ascending.
        cell: (K,), cell of each spike, ascending within a step.
    """

    sheet: Sheet
    dynamics: DynamicsSpec
    key: Key
    backend: str
    field: str
    steps: int
    time: Int[np.ndarray, " K"]
    cell: Int[np.ndarray, " K"]

    def __post_init__(self) -> None:
        _freeze(self, "time", np.int32, (len(self.time),), low=0, high=self.steps - 1)
        _freeze(self, "cell", np.int32, (len(self.time),), low=0, high=self.sheet.n - 1)
        if np.any(np.diff(self.time) < 0):
            raise ConfigError("Recording.time", "steps out of order", "ascending steps")

    @cached_property
    def active(self) -> Int[np.ndarray, " steps"]:
        """Number of cells that fired in each step."""
        return np.bincount(self.time, minlength=self.steps)

    def firing(self, step: int) -> Int[np.ndarray, " k"]:
        """Cells that fired in one step."""
        first, last = np.searchsorted(self.time, [step, step + 1])
        return self.cell[first:last]

    def __repr__(self) -> str:
        return f"Recording({self.dynamics.form}: {len(self.time)} spikes of {self.sheet.n} cells, {self.steps} steps)"

    def _repr_html_(self) -> str:
        return table(
            "Recording",
            {
                "form": self.dynamics.form,
                "cells": self.sheet.n,
                "steps": self.steps,
                "spikes": len(self.time),
                "active cells, mean": float(self.active.mean()),
                "backend": f"{self.backend}; field {self.field}",
            },
        )


@dataclass(frozen=True, eq=False)
class Wiring:
    """Plastic weights from n layer-I cells to M units, and how they came about.

    Attributes:
        sheet: The sheet whose waves wired it.
        learning: Rule, dynamics and length of learning.
        dynamics: Form and constants of the cells, as they ran.
        key: Key of its randomness.
        backend: Which backend stepped it.
        field: How the long-range inhibition was summed.
        activity: ``"waves"``, ``"waves while growing"``, ``"noise"`` for the control in which uncoupled cells fire by
            noise alone, or ``"replay"`` of a recording.
        steps: Steps of learning.
        weights: (n, M), at least 0 unless the rule's weights have signs.
        initial_weights: (n, M), before the first step.
        thresholds: (M,), the units' thresholds c.
        wins: (M,), learning events won.
        late_wins: (M,), learning events won in the last fifth of the run, rounded down to 1024 steps.
        snapshot_steps: (k,), steps at which weights were kept for pictures, ascending.
        snapshots: (k, n, M), the weights at those steps.
    """

    sheet: Sheet
    learning: LearningSpec
    dynamics: DynamicsSpec
    key: Key
    backend: str
    field: str
    activity: str
    steps: int
    weights: Float[np.ndarray, "n M"]
    initial_weights: Float[np.ndarray, "n M"]
    thresholds: Float[np.ndarray, " M"]
    wins: Int[np.ndarray, " M"]
    late_wins: Int[np.ndarray, " M"]
    snapshot_steps: Int[np.ndarray, " k"] = dataclass_field(default_factory=lambda: np.empty(0, np.int64))
    snapshots: Float[np.ndarray, "k n M"] | None = None

    def __post_init__(self) -> None:
        n, units = self.sheet.n, self.weights.shape[-1]
        bounds = {} if self.learning.rule.signed else {"low": 0}
        _freeze(self, "weights", np.float64, (n, units), **bounds)
        _freeze(self, "initial_weights", np.float64, (n, units), **bounds)
        _freeze(self, "thresholds", np.float64, (units,))
        _freeze(self, "wins", np.int64, (units,), low=0)
        _freeze(self, "late_wins", np.int64, (units,), low=0)
        k = len(self.snapshot_steps)
        if self.snapshots is None:
            object.__setattr__(self, "snapshots", np.empty((0, n, units), np.float32))
        _freeze(self, "snapshot_steps", np.int64, (k,), low=0)
        _freeze(self, "snapshots", np.float32, (k, n, units), **bounds)

    @property
    def units(self) -> int:
        """Number of units M."""
        return self.weights.shape[1]

    @property
    def rule_name(self) -> str:
        """Name of the plasticity rule."""
        return self.learning.rule.rule

    def __repr__(self) -> str:
        return f"Wiring({self.learning.dynamics}, {self.steps} steps: {self.sheet.n} cells -> {self.units} units)"

    def _repr_html_(self) -> str:
        return table(
            "Wiring",
            {
                "activity": f"{self.activity}, {self.learning.dynamics}",
                "rule": self.rule_name,
                "cells": self.sheet.n,
                "units": self.units,
                "steps": self.steps,
                "units that won": int((self.wins > 0).sum()),
                "backend": f"{self.backend}; field {self.field}",
            },
        )
