"""The noun Stack: a sheet, and layers above it that its waves have wired, each on the one before or on one below it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import (  # pyright: ignore[reportMissingTypeStubs]
    cKDTree,  # pyright: ignore[reportUnknownVariableType, reportAttributeAccessIssue]
)

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError
from devnet._core.notebook import table
from devnet._core.random import Key
from devnet.sheet.geometry import Scaffold
from devnet.sheet.nouns import Sheet
from devnet.spec import DynamicsSpec, LayerSpec, StackSpec

_POINTS_A_UNIT = 64
_ROUNDS = 60


def even_places(scaffold: Scaffold, count: int) -> Float[np.ndarray, "M 2"]:
    """Spread units evenly over a scaffold, whatever its outline and holes; the same ones at every call.

    A square lattice where it fills the region's box exactly; else Lloyd's algorithm on a Halton sequence: every unit moves
    to the middle of the points that are nearest to it. A middle that lies outside, as of points around a hole, gives way to
    the nearest of these points.

    Args:
        scaffold: The region.
        count: Number of units.

    Returns:
        (count, 2), row by row from below, so that neighbors are near in the array too.
    """
    x0, y0, x1, y1 = scaffold.bounds
    corner, box = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
    side = round(count**0.5)
    if side**2 == count and np.isclose(scaffold.area, box.prod()) and np.isclose(box[0], box[1]):
        rows, columns = np.divmod(np.arange(count), side)
        return corner + box * (np.stack([columns, rows], axis=1) + 0.5) / side
    wanted = int(np.ceil(_POINTS_A_UNIT * count * box.prod() / scaffold.area))
    from scipy.stats import qmc  # pyright: ignore[reportMissingTypeStubs]  # asks for torch when it loads

    points = corner + box * qmc.Halton(2, scramble=False).random(wanted)
    points = points[scaffold.contains(points)]
    places = points[:: len(points) // count][:count]
    for _ in range(_ROUNDS):
        nearest = _nearest(places, points)
        sums = np.stack([np.bincount(nearest, points[:, axis], count) for axis in (0, 1)], axis=1)
        places = sums / np.bincount(nearest, minlength=count)[:, None]
    nearest = _nearest(places, points)
    for unit in np.flatnonzero(~scaffold.contains(places)):
        own = points[nearest == unit]
        places[unit] = own[np.argmin(((own - places[unit]) ** 2).sum(axis=1))]
    rows = np.floor((places[:, 1] - y0) / (scaffold.area / count) ** 0.5)
    return places[np.lexsort((places[:, 0], rows))]


def _nearest(places: Float[np.ndarray, "M 2"], points: Float[np.ndarray, "k 2"]) -> Int[np.ndarray, " k"]:
    """Return the nearest place of each point."""
    return np.asarray(cKDTree(places).query(points)[1])  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a stack.

    Attributes:
        spec: Its constants.
        positions: (M, 2), places of its units over the sheet.
        weights: (n_pre, M), from the layer below; each unit's sum to 1.
        c: (M,), conscience of the units.
        maturity: From 0 to 1.
        late_wins: (M,), how often each fired in the last fifth of the run.
    """

    spec: LayerSpec
    positions: Float[np.ndarray, "M 2"]
    weights: Float[np.ndarray, "n M"]
    c: Float[np.ndarray, " M"]
    maturity: float
    late_wins: Int[np.ndarray, " M"]

    def __post_init__(self) -> None:
        for name, dtype, shape, bounds in (
            ("positions", np.float64, (self.units, 2), {}),
            ("weights", np.float64, (None, self.units), {"low": 0}),
            ("c", np.float64, (self.units,), {}),
            ("late_wins", np.int64, (self.units,), {"low": 0}),
        ):
            value = frozen_array(f"Layer.{name}", getattr(self, name), dtype, shape, **bounds)
            object.__setattr__(self, name, value)

    @property
    def units(self) -> int:
        """Number of units M."""
        return self.spec.units


@dataclass(frozen=True, eq=False)
class Stack:
    """A sheet and the layers above it.

    Attributes:
        sheet: The first sheet, whose waves wire all others.
        spec: What was asked for.
        dynamics: Form and constants of the first sheet's cells.
        key: Key of its randomness.
        backend: Which backend stepped it.
        field: How the first sheet's long-range inhibition was summed.
        activity: ``"waves"``, or ``"shuffled"`` for the control whose steps come in another order.
        steps: Steps of learning.
        layers: From below.
    """

    sheet: Sheet
    spec: StackSpec
    dynamics: DynamicsSpec
    key: Key
    backend: str
    field: str
    activity: str
    steps: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if len(self.layers) != len(self.spec.layers):
            raise ConfigError("Stack.layers", len(self.layers), f"the spec's {len(self.spec.layers)}")
        for number, (layer, below) in enumerate(zip(self.layers, self.spec.feeding, strict=True), start=2):
            if len(layer.weights) != len(self.places(below)):
                shape, rows = layer.weights.shape, len(self.places(below))
                raise ConfigError(f"Stack.layers[{number - 2}].weights", shape, f"{rows} rows")

    def places(self, number: int) -> Float[np.ndarray, "n 2"]:
        """Return the places of a layer.

        Args:
            number: The layer; 1 is the sheet.

        Returns:
            (n, 2).

        Raises:
            ConfigError: There is no such layer.
        """
        if not 1 <= number <= len(self.layers) + 1:
            raise ConfigError("number", number, f"a layer, from 1 to {len(self.layers) + 1}")
        return self.sheet.positions if number == 1 else self.layers[number - 2].positions

    def spacing(self, number: int) -> float:
        """Return the mean spacing of a layer's units, ``sqrt(area / M)``; 1 is the sheet."""
        return (self.sheet.scaffold.area / len(self.places(number))) ** 0.5

    def path(self, number: int, seen_in: int = 1) -> tuple[int, ...]:
        """Return the layers by which ``seen_in`` feeds a layer, both ends included, from below.

        Args:
            number: The layer, from 2.
            seen_in: A layer below it.

        Returns:
            Their numbers.

        Raises:
            ConfigError: There is no such layer, or ``seen_in`` does not feed it: it is on another branch.
        """
        if not 2 <= number <= len(self.layers) + 1:
            raise ConfigError("number", number, f"a layer, from 2 to {len(self.layers) + 1}")
        found = [number]
        while found[-1] > max(1, seen_in):
            found.append(self.spec.feeding[found[-1] - 2])
        if found[-1] != seen_in or seen_in == number:
            raise ConfigError("seen_in", seen_in, f"a layer that feeds layer {number}")
        return tuple(reversed(found))

    def weights(self, number: int, seen_in: int | None = None) -> Float[np.ndarray, "n M"]:
        """Return the weights of a layer, seen in a layer below.

        Args:
            number: The layer, from 2.
            seen_in: A layer below it; None for the one that feeds it. Weights are multiplied on the way.

        Returns:
            (n, M), each unit's sum to 1.

        Raises:
            ConfigError: ``seen_in`` does not feed the layer.
        """
        if seen_in is None:
            seen_in = self.spec.feeding[number - 2] if 2 <= number <= len(self.layers) + 1 else 1
        path = self.path(number, seen_in)
        return reduce(np.matmul, [self.layers[upper - 2].weights for upper in path[1:]])

    def __repr__(self) -> str:
        text = str(self.sheet.n)
        for number, (layer, below) in enumerate(zip(self.layers, self.spec.feeding, strict=True), start=2):
            text += (f", {len(self.places(below))}" if below < number - 1 else "") + f" -> {layer.units}"
        return f"Stack({text})"

    def _repr_html_(self) -> str:
        return table(
            "Stack",
            {
                "cells": self.sheet.n,
                "layers above": ", ".join(f"{layer.units} units" for layer in self.layers),
                "maturity": ", ".join(f"{layer.maturity:.2f}" for layer in self.layers),
                "steps": self.steps,
                "activity": self.activity,
                "backend": f"{self.backend}; field {self.field}",
            },
        )
