"""What a form of cell is: two state variables, a test for firing, and one step.

A step of a sheet, the same for every form:

1. F = {i : fires(s_i)} from the state as the step before left it,
2. I_i = sum over j in F of S_ij (lateral coupling),
3. s_i <- advance(s_i, i in F, I_i, noise_i).

A law is written once, in arithmetic and ``select``: NumPy evaluates it on whole arrays (the oracle) and the compiled
backend on one cell at a time.

A form of your own is one file: a spec (a ``Spec`` with ``form``, ``coupling`` and ``noise``), the functions of
``Form``, and ``register(Form("mine", 9, ...))``. ``simulate(sheet, MySpec())`` then runs it on every backend but
Brian2, compiled; give it a ``Brian2Text`` and it runs there too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from devnet._core.random import Key
from devnet._core.registry import Registry
from devnet.spec import DynamicsSpec

Cells = Float[np.ndarray, "2 n"]
Constants = Float[np.ndarray, " k"]


def select(condition: Any, yes: Any, no: Any) -> Any:
    """Choose by cell: ``yes`` where the condition holds, else ``no``."""
    return np.where(condition, yes, no)


@dataclass(frozen=True)
class Brian2Text:
    """The same step as text for Brian2, in the order in which its statements stand.

    Units are words: ``"1"``, ``"mV"``, ``"ms"`` or ``"1/ms"``; ``millivolt`` in a text is one of them. The text finds
    the lateral input as ``I`` and a standard Gaussian as ``noise``.

    Attributes:
        state: Units of the two state variables.
        cells: (name, unit) of the numbers that differ from cell to cell.
        constants: (name, unit) of each constant, in the order of ``Form.constants``.
        drive: Unit of the lateral input.
        threshold: Condition of firing.
        update: One step, after firing was found and the lateral input summed.
        step: The constant that is the length of a step; None where a step is 1 ms.
    """

    state: tuple[str, str]
    cells: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, str], ...]
    drive: str
    threshold: str
    update: str
    step: str | None = None


@dataclass(frozen=True)
class Form:
    """The law of one form of cell.

    Attributes:
        name: As a spec's ``form`` names it.
        number: Its place among the built-in forms, by which the compiled backend dispatches; 9 for all others.
        state: Names of the two state variables.
        constants: ``spec -> k`` constants, the last argument of the law.
        cells: ``(spec, positions, key) -> (2, n)`` numbers that differ from cell to cell, drawn once.
        start: ``(spec, cells) -> (2, n)`` state at step 0.
        fires: ``(s0, s1, k) -> bool``.
        advance: ``(s0, s1, fired, drive, noise, p0, p1, k) -> (s0, s1)``; drive is the lateral input, noise a
            standard Gaussian, p the cell's own numbers.
        hold: ``spec -> steps`` for which one noise sample is kept.
        brian2: The law as Brian2 reads it, where somebody wrote it.
    """

    name: str
    number: int
    state: tuple[str, str]
    constants: Callable[[Any], Constants]
    cells: Callable[[Any, Float[np.ndarray, "n 2"], Key], Cells]
    start: Callable[[Any, Cells], Cells]
    fires: Callable[..., Any]
    advance: Callable[..., Any]
    hold: Callable[[Any], int]
    brian2: Brian2Text | None = None


_FORMS: Registry[Form] = Registry("dynamics.form")
register = _FORMS.register


def form_of(spec: DynamicsSpec) -> Form:
    """Return the law that a spec names; a ``ConfigError`` where none of that name is registered."""
    return _FORMS.of(spec.form)
