"""The state of a running sheet as arrays, and back: what a checkpoint of ``simulate`` and ``organize`` holds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.checkpoint import Arrays, fingerprint
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


def restore(state: State, arrays: Arrays, step: int) -> None:
    """Give a fresh state, in place, what ``packed`` took down at a step."""
    state.cells[:], state.fired[:], state.step = arrays["cells"], arrays["fired"], step
    if state.learner is not None:
        for name in _LEARNED:
            getattr(state.learner, name)[:] = arrays[f"learner.{name}"]
