"""How a layer of a stack is stepped: by the law itself, by its compiled twin, or by Brian2."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Int

from devnet._core.errors import ConfigError, HealthError
from devnet._core.optional import require
from devnet.dynamics.layered import LayerState, Stage, layer_step
from devnet.dynamics.plasticity import rule_of
from devnet.sheet import Frames
from devnet.spec import LayerSpec, TimingSpec


class Stepper(ABC):
    """Steps one layer through the frames of the layer below, at constant maturity."""

    name: str

    @abstractmethod
    def advance(
        self,
        spec: LayerSpec,
        stage: Stage,
        layer: LayerState,
        below: Frames,
        *,
        learn: bool,
        fresh: Frames | None = None,
    ) -> Frames:
        """Step a layer, in place, and return who fired in it.

        Args:
            spec: The layer's constants.
            stage: Those that follow its maturity.
            layer: Its state; changed.
            below: Who drives from below.
            learn: Whether weights and conscience change.
            fresh: Who fires below in this very step, where spikes are held; None for ``below``.

        Returns:
            One frame a step.
        """


class ReferenceStepper(Stepper):
    """The law as it stands, step by step."""

    name = "reference"

    def advance(
        self,
        spec: LayerSpec,
        stage: Stage,
        layer: LayerState,
        below: Frames,
        *,
        learn: bool,
        fresh: Frames | None = None,
    ) -> Frames:
        """Step a layer; see ``Stepper``."""
        first, cells = np.zeros(len(below) + 1, np.int64), [below.cells[:0]]
        for t, (firing, new) in enumerate(zip(below, fresh or below, strict=True)):
            layer_step(spec, stage, layer, firing, learn, new)
            cells.append(np.flatnonzero(layer.fired))
            first[t + 1] = first[t] + len(cells[-1])
        return Frames(first, np.concatenate(cells))


class NumbaStepper(Stepper):
    """The compiled twin; its state differs by rounding. Only layers with a rule that is not built in are stepped by the law."""

    name = "numba"

    def advance(
        self,
        spec: LayerSpec,
        stage: Stage,
        layer: LayerState,
        below: Frames,
        *,
        learn: bool,
        fresh: Frames | None = None,
    ) -> Frames:
        """Step a layer; see ``Stepper``."""
        from devnet.backends.numba_.laws import OWN
        from devnet.backends.numba_.layer_kernels import fold, run_layer

        learner = None
        if spec.rule is not None and layer.learner is not None:
            law, held = rule_of(spec.rule), layer.learner
            if law.number == OWN:
                return ReferenceStepper().advance(spec, stage, layer, below, learn=learn, fresh=fresh)
            constants = law.constants(spec.rule, *layer.weights.shape)
            timed = isinstance(spec.rule, TimingSpec)
            learner = (law.number, constants, timed, spec.eta[0], held.pre, held.post, held.wins)
        units, new = len(layer.c), fresh or below
        scale, square, fired = np.ones(units), np.empty(units), layer.fired.astype(np.float64)
        fold(layer.weights, scale, square)
        out_first = np.empty(len(below) + 1, np.int64)
        out_cells = np.empty(len(below) * stage.winners, np.int64)
        layer.events += run_layer(
            below.first, below.cells, new.first, new.cells, layer.weights, scale, square, layer.c, layer.x, layer.a, layer.o, fired,
            stage.spread, _bands(stage.spread), stage.reach, _bands(stage.reach),
            spec.min_active, stage.winners, stage.share, stage.teachers, stage.eta, spec.c_plus, spec.tau_x, spec.threshold,
            stage.recurrence, stage.rest, stage.h, spec.tau_a, spec.form == "spiking",
            spec.depression, spec.tau_minus, learn,
            out_first, out_cells, learner,
        )  # fmt: skip
        fold(layer.weights, scale, square)
        layer.fired[:] = fired > 0
        return Frames(out_first, out_cells[: out_first[-1]].copy())


def _bands(matrix: np.ndarray) -> Int[np.ndarray, "M 2"]:
    """Return, for each row, where its nonzero entries begin and end."""
    filled = matrix != 0.0
    return np.stack([filled.argmax(axis=1), matrix.shape[1] - filled[:, ::-1].argmax(axis=1)], axis=1)


_STEPPERS: dict[str, type[Stepper]] = {stepper.name: stepper for stepper in (NumbaStepper, ReferenceStepper)}


def stepper_of(name: Any) -> Stepper:
    """Return the stepper of a backend.

    Args:
        name: ``"numba"`` or ``"reference"``; with Brian2 installed ``"brian2"`` or ``"brian2-numpy"``.

    Returns:
        The stepper.

    Raises:
        ConfigError: No such backend for layers.
        MissingDependencyError: Brian2 is not installed.
    """
    if name in ("brian2", "brian2-numpy"):
        require("brian2", extra="brian2")
        from devnet.backends.brian2_.layers import Brian2Stepper

        return Brian2Stepper("numpy" if name == "brian2-numpy" else None)
    if name not in _STEPPERS:
        known = ", ".join(map(repr, (*_STEPPERS, "brian2", "brian2-numpy")))
        raise ConfigError("backend", name, f"one of {known} for a stack")
    return _STEPPERS[name]()


def check_layer(layer: LayerState, number: int, step: int) -> None:
    """Refuse to go on with NaN or infinity.

    Args:
        layer: The layer.
        number: Which one, for the error.
        step: Steps done, for the error.

    Raises:
        HealthError: A variable left the finite numbers; names it, the unit and the step.
    """
    for name in ("weights", "x", "a", "o", "c"):
        bad = ~np.isfinite(getattr(layer, name))
        if bad.any():
            unit = int(np.argwhere(bad)[0][-1])
            raise HealthError(f"layer {number}: {name} of unit {unit} is not finite by step {step}")
