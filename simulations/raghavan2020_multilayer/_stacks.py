"""What the figures share: the square first sheet, stacks above it, and how their numbers are collected."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time
from typing import Any

import numpy as np

from devnet.measure import layer_statistics
from devnet.organization import organize_stack
from devnet.sheet import Scaffold, Sheet, Stack, even_places
from devnet.spec import LayerSpec, StackSpec, load_model

FRESH = 100
"""Seeds below it served to choose the constants."""


def square_sheet(side: int) -> Sheet:
    """Return a declared sheet of side x side cells, one a unit of area."""
    model = load_model("raghavan2019_grown_pooling/small")
    corners = ((0.0, 0.0), (side, 0.0), (side, side), (0.0, side))
    scaffold = model.scaffold.replace(outline=corners, holes=(), seed_cell=(side / 2,) * 2)
    return Sheet.declared(
        model.replace(scaffold=scaffold), even_places(Scaffold.from_spec(scaffold), side**2)
    )


def stack_spec(sides: Sequence[int], dynamics: str = "rate_map", psp: int = 1, **changes: Any) -> StackSpec:
    """Return a stack of square layers; the first side is the sheet's. All share all constants but their gate and layer 2's psp."""
    layers = {
        f"layer{number}": LayerSpec(
            units=side**2, min_active=8 if number == 2 else 2, psp=psp if number == 2 else 1, **changes
        )
        for number, side in enumerate(sides[1:], start=2)
    }
    return StackSpec(dynamics=dynamics, layers=layers)


def organized_stack(
    sides: Sequence[int],
    steps: int,
    seed: int,
    dynamics: str = "rate_map",
    changes: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Stack, float]:
    """Let a stack wire itself; returns it and the processor seconds that took."""
    began = process_time()
    stack = organize_stack(
        square_sheet(sides[0]),
        stack_spec(sides, dynamics, **(changes or {})),
        steps=steps,
        rng=seed,
        **options,
    )
    return stack, process_time() - began


def rows_of(stack: Stack) -> dict[str, float]:
    """Return every number of every layer: ``order_2`` of layer 2 over the next, ``ratio_31`` of layer 3 seen in layer 1."""
    found: dict[str, float] = {}
    for number in range(2, len(stack.layers) + 2):
        for seen_in, mark in ((None, f"{number}"), (1, f"{number}1")):
            numbers = layer_statistics(stack, number, seen_in).numbers()
            found |= {f"{name}_{mark}": value for name, value in numbers.items()}
    return found


def looks_at(stack: Stack, number: int, seen_in: int = 1) -> np.ndarray:
    """Return where in a lower layer the units of a layer look, the mean place of their weights ``[units, 2]``."""
    weights = stack.weights(number, seen_in)
    return (weights / weights.sum(axis=0)).T @ stack.places(seen_in)


def draw_map(axes: Any, stack: Stack, number: int, seen_in: int = 1) -> None:
    """Draw where the units of a square layer look, neighbors joined: the map as a grid."""
    at = looks_at(stack, number, seen_in)
    side = round(len(at) ** 0.5)
    grid = at.reshape(side, side, 2)
    for lines in (grid, grid.transpose(1, 0, 2)):
        for line in lines:
            axes.plot(line[:, 0], line[:, 1], color="#0072b2", linewidth=0.8)
    axes.plot(at[:, 0], at[:, 1], ".", color="#d55e00", markersize=2.5)
    frame(axes, stack)


def frame(axes: Any, stack: Stack) -> None:
    """Give an axes the outline of the sheet."""
    x0, y0, x1, y1 = stack.sheet.scaffold.bounds
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal", xticks=[], yticks=[])


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation in words."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.3f}"
