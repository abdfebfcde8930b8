"""A sheet that runs while its constants are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics import plasticity
from devnet.measure import organized_on
from devnet.sheet import Sheet
from devnet.spec import DynamicsSpec, LearningSpec
from devnet.viz.scene import Part, even_units, levels, spike_arrays

STEPS, LEARNING_STEPS = 3, 25
"""Steps a picture, while waves are watched and while pools form."""


@dataclass(frozen=True)
class Slider:
    """A constant that can be changed: its name in the spec, what it is called, its range, what it does."""

    name: str
    title: str
    low: float
    high: float
    by: float
    help: str


_RADII = (
    Slider("r_i", "Excitation", 0.0, 8.0, 0.25, "r_i: cells nearer than this excite each other"),
    Slider("r_o", "Inhibition", 1.0, 14.0, 0.25, "r_o: cells farther than this silence each other"),
)
_NOISE = Slider("noise", "Noise", 0.0, 6.0, 0.1, "chance that starts waves")
SLIDERS = {
    "rate_map": (
        *_RADII,
        _NOISE,
        Slider("h", "Refractoriness", 0.0, 8.0, 0.1, "h: how much a cell tires each time it fires"),
    ),
    "izhikevich": (
        *_RADII,
        _NOISE,
        Slider("d", "Refractoriness", 0.0, 20.0, 0.5, "d: how much a cell tires each time it fires"),
    ),
    "adaptive_leaky": (
        *_RADII,
        _NOISE,
        Slider(
            "theta_plus", "Refractoriness", 0.0, 30.0, 0.5, "θ⁺: how much a cell tires each time it fires"
        ),
    ),
}
"""What can be changed, by form of cell."""


@dataclass(frozen=True)
class Setting:
    """What a player starts from."""

    sheet: Sheet
    dynamics: DynamicsSpec
    learning: LearningSpec
    key: Key

    @cached_property
    def distances(self) -> Float[np.ndarray, "n n"]:
        """Distances of all pairs of cells: no slider moves a cell, so they are measured once for all players."""
        return self.sheet.scaffold.surface.distances(self.sheet.positions, self.sheet.positions)

    def model(self, dynamics: DynamicsSpec) -> SheetModel:
        """Return the sheet ready to be stepped under a dynamics."""
        model = SheetModel.build(self.sheet, dynamics, self.key)
        return replace(model, coupling=replace(model.coupling, distances=self.distances))


@final
class Player:
    """A sheet that runs, whose constants can be changed between steps.

    Args:
        start: What it starts from.
    """

    def __init__(self, start: Setting) -> None:
        self._start = start
        self._stepper = backend_of("numba", "fast")
        self.learning = False
        self.again()

    def again(self) -> None:
        """Start from the beginning: constants, cells, weights."""
        sheet = self._start.sheet
        self._dynamics = self._start.dynamics
        self._model = self._start.model(self._dynamics)
        self._state = State.initial(self._model)
        self.learning = False
        self._learned = 0
        self._wins: np.ndarray | None = None
        self._shown = even_units(sheet)

    def checked(self, values: Any) -> dict[str, float]:
        """Return what a page wants to set, if it may.

        Args:
            values: Numbers by name, each within its slider's range.

        Returns:
            The same.

        Raises:
            ConfigError: Another name or a value out of range.
        """
        known = {slider.name: slider for slider in SLIDERS[self._dynamics.form]}
        if not isinstance(values, dict) or not set(values) <= set(known):
            raise ConfigError("set", values, f"numbers by name: {', '.join(known)}")
        for name, value in values.items():
            slider = known[name]
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not slider.low <= value <= slider.high
            ):
                raise ConfigError(name, value, f"{slider.low:g} to {slider.high:g}")
        return {name: float(value) for name, value in values.items()}

    def change(self, values: dict[str, float]) -> None:
        """Change constants; cells and weights go on as they are.

        Args:
            values: Numbers by name.

        Raises:
            ConfigError: An excitation that reaches farther than where inhibition begins.
        """
        radii = {name: value for name, value in values.items() if name in ("r_i", "r_o")}
        others = {name: value for name, value in values.items() if name not in radii}
        dynamics = self._dynamics
        if radii:
            dynamics = dynamics.replace(coupling=dynamics.coupling.replace(**radii))
        self._dynamics = dynamics.replace(**others) if others else dynamics
        coupling = self._model.coupling
        self._model = self._start.model(self._dynamics)
        if not radii:  # the pairs of cells stay as they are, and with them their matrix
            self._model = replace(self._model, coupling=coupling)
        if self._state.learner is not None:
            self._state.learner.places = self._model.coupling.places

    def learn(self, on: bool) -> None:
        """Let the waves wire the sheet's layer-II units, where it has any, or let the weights rest."""
        sheet, rule = self._start.sheet, self._start.learning.rule
        self.learning = on and sheet.m > 0
        if self.learning and self._state.learner is None:
            self._state.learner = plasticity.start(
                rule, self._model.coupling.places, sheet.m, self._start.key
            )

    def advance(self, version: int) -> Part:
        """Take the steps of a picture.

        Args:
            version: Which change of the page was the last to be taken in; goes back with the spikes.

        Returns:
            The spikes.

        Raises:
            HealthError: A state variable left the finite numbers.
        """
        steps = LEARNING_STEPS if self.learning else STEPS
        first = self._state.step
        spikes = self._stepper.advance(
            self._model, self._state, steps, rule=self._start.learning.rule if self.learning else None
        )
        self._learned += steps if self.learning else 0
        active = np.bincount(spikes.time - first, minlength=steps)
        return Part({"kind": "spikes", "step": first, "version": version}, spike_arrays(active, spikes.cell))

    def weights(self, version: int) -> Callable[[], Part] | None:
        """Keep the weights as they are now; None where nothing was learned.

        Args:
            version: Which change of the page was the last to be taken in; goes back with the weights.

        Returns:
            What makes a part of them. That takes as long as several pictures and may be called beside them.
        """
        learner = self._state.learner
        if learner is None:
            return None
        weights, step, learned = learner.weights.copy(), self._state.step, self._learned
        recent = learner.wins.copy() if self._wins is None else learner.wins - self._wins
        self._wins = np.maximum(learner.wins - 1, 0)  # who won at all counts: a few seconds are short

        def made() -> Part:
            sheet = self._start.sheet
            share = 100.0 * float(organized_on(sheet, weights, recent).mean())
            return Part(
                {
                    "kind": "weights",
                    "step": step,
                    "version": version,
                    "learned": learned,
                    "organized": share,
                },
                {"unit": np.arange(sheet.m, dtype=np.uint32), "share": levels(weights), **self._shown},
            )

        return made
