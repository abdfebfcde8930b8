"""The state of a running sheet as arrays, and back: what a checkpoint of ``simulate`` and ``organize`` holds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.checkpoint import Arrays, Saved, alike, counts, fingerprint
from devnet.backends.base import Backend, SheetModel, State
from devnet.dynamics.plasticity import Learner

_LEARNED = tuple(part.name for part in fields(Learner))


def identity(verb: str, model: SheetModel, stepper: Backend, *rest: Any) -> dict[str, Any]:
    """Return by what a checkpoint is known to belong to a computation.

    Args:
        verb: Name of the verb.
        model: What runs.
        stepper: Who steps it.
        *rest: Further plain data and arrays on which the result depends.

    Returns:
        Plain data.
    """
    held = [*vars(model).values(), *(getattr(model.coupling, part.name) for part in fields(model.coupling))]
    plain = [value for value in held if isinstance(value, np.ndarray | int | float)]
    return {
        "verb": verb,
        "key": str(model.key.value),
        "form": model.form.name,
        "backend": stepper.name,
        "field": stepper.field(model),
        "sheet": fingerprint(*plain),
        "surface": repr(model.coupling.surface),
        "rest": fingerprint(*rest),
    }


def packed(state: State) -> dict[str, npt.NDArray[Any]]:
    """Return a state as arrays; its step is kept apart."""
    arrays = {"cells": state.cells, "fired": state.fired}
    if state.learner is not None:
        arrays |= {f"learner.{name}": getattr(state.learner, name) for name in _LEARNED}
    return arrays


def is_whole(state: State, saved: Saved, cut: int, steps: int) -> bool:
    """Say whether what was saved can be the state, between two of so many steps, of what a fresh state belongs to.

    Args:
        state: The fresh state.
        saved: What was saved.
        cut: The steps of which states are cut at multiples.
        steps: How many steps there are.

    Returns:
        Whether it is safe to go on from.
    """
    arrays, step = saved.arrays, saved.numbers.get("step", 0)
    if not alike(arrays, packed(state)) or not counts(step, cut, steps - 1) or step % cut:
        return False
    if state.learner is None:
        return True
    wins, counted, places = (arrays[f"learner.{name}"] for name in ("wins", "counted", "places"))
    return (
        counts(wins, 0, step)
        and bool(((counted >= 0) & (counted <= wins)).all())
        and np.array_equal(places, state.learner.places)
    )


def restore(state: State, arrays: Arrays, step: int) -> None:
    """Give a fresh state, in place, what ``packed`` took down at a step."""
    state.cells[:], state.fired[:], state.step = arrays["cells"], arrays["fired"], step
    if state.learner is not None:
        for name in _LEARNED:
            getattr(state.learner, name)[:] = arrays[f"learner.{name}"]
