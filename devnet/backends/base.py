"""What a backend is given and what it must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from devnet._core.errors import ConfigError, HealthError, ResourceError
from devnet._core.random import Key
from devnet.dynamics import Form, form_of
from devnet.dynamics.plasticity.hebbian_wta import Learner
from devnet.sheet import Sheet
from devnet.spec import CouplingSpec, DynamicsSpec, HebbianWTASpec

NOISE = "noise"
"""Name of the stream that drives the cells: one Gaussian per (step, cell)."""

MAX_DENSE = 20_000
"""Most cells whose coupling is kept as a dense matrix (3.2 GB)."""


@dataclass(frozen=True)
class SheetModel:
    """A sheet of cells ready to be stepped: laws, numbers, coupling, and the key of its noise.

    Attributes:
        form: The law.
        constants: Its constants.
        cells: (2, n), numbers that differ from cell to cell.
        start: (2, n), state at step 0.
        coupling: (n, n), S_ij with S_ii = 0; symmetric.
        hold: Steps for which one noise sample is kept.
        key: Key of the noise.
        positions: (n, 2), places of the cells.
    """

    form: Form
    constants: Float[np.ndarray, " k"]
    cells: Float[np.ndarray, "2 n"]
    start: Float[np.ndarray, "2 n"]
    coupling: Float[np.ndarray, "n n"]
    hold: int
    key: Key
    positions: Float[np.ndarray, "n 2"]

    @property
    def n(self) -> int:
        """Number of cells."""
        return len(self.positions)

    @classmethod
    def build(cls, sheet: Sheet, spec: DynamicsSpec, key: Key) -> SheetModel:
        """Resolve a spec on a sheet.

        Args:
            sheet: Where the cells are.
            spec: Their form, constants and coupling.
            key: Key of what is drawn once per cell and of the noise.

        Returns:
            The model.

        Raises:
            ResourceError: The sheet has more cells than a dense coupling can hold.
        """
        form = form_of(spec)
        if sheet.n > MAX_DENSE:
            raise ResourceError(
                f"simulate: {sheet.n} cells are more than {MAX_DENSE}, the most that an exact field holds in memory; "
                "grow a smaller sheet"
            )
        cells = form.cells(spec, sheet.positions, key)
        return cls(
            form=form,
            constants=form.constants(spec),
            cells=cells,
            start=form.start(spec, cells),
            coupling=coupling_matrix(sheet, spec.coupling),
            hold=form.hold(spec),
            key=key,
            positions=sheet.positions,
        )


def coupling_matrix(sheet: Sheet, spec: CouplingSpec) -> Float[np.ndarray, "n n"]:
    """Return S_ij = a_i [D < r_i] - a_o [D > r_o] exp(-D / decay), S_ii = 0.

    Args:
        sheet: Positions, and the mean spacing where lengths count in it.
        spec: Radii, strengths and decay length.

    Returns:
        (n, n) symmetric matrix.
    """
    unit = sheet.spacing if spec.length_unit == "spacing" else 1.0
    x, y = sheet.positions.T
    distance = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
    coupling = np.exp(distance / (-spec.decay * unit))
    coupling *= -spec.a_o
    coupling[distance <= spec.r_o * unit] = 0.0
    coupling[distance < spec.r_i * unit] += spec.a_i
    np.fill_diagonal(coupling, 0.0)
    return coupling


@dataclass
class State:
    """Where a run stands: everything the next step needs besides the model.

    Attributes:
        cells: (2, n), the form's two state variables.
        fired: (n,), who fired in the last step.
        step: Steps done.
        learner: Weights and thresholds, where something learns.
    """

    cells: Float[np.ndarray, "2 n"]
    fired: Bool[np.ndarray, " n"]
    step: int = 0
    learner: Learner | None = None

    @classmethod
    def initial(cls, model: SheetModel, learner: Learner | None = None) -> State:
        """Return the state before the first step."""
        return cls(model.start.copy(), np.zeros(model.n, dtype=bool), 0, learner)


@dataclass(frozen=True)
class Spikes:
    """Spikes in order of time, then cell: ``time`` (K,) and ``cell`` (K,)."""

    time: Int[np.ndarray, " K"]
    cell: Int[np.ndarray, " K"]


class Backend(ABC):
    """A way to step a sheet. All backends give the same spikes for the same key."""

    name: str
    field: str

    @abstractmethod
    def advance(
        self,
        model: SheetModel,
        state: State,
        steps: int,
        *,
        rule: HebbianWTASpec | None = None,
        noise: Float[np.ndarray, "steps n"] | None = None,
        record: bool = True,
    ) -> Spikes:
        """Take a number of steps, in place.

        A run cut into several calls ends bit for bit as one call does if each cut is at a multiple of 1024 steps.

        Args:
            model: What runs.
            state: Where it stands; changed.
            steps: How many steps to take.
            rule: Learning rule; needs ``state.learner``.
            noise: Standard Gaussians to use instead of the model's own stream, one row a step.
            record: Keep spikes; without, none are returned.

        Returns:
            The spikes of these steps.

        Raises:
            HealthError: A state variable is no longer finite.
        """


def check_finite(model: SheetModel, state: State) -> None:
    """Stop a run whose state left the finite numbers.

    Args:
        model: What runs.
        state: Where it stands.

    Raises:
        HealthError: Naming variable, cell and step.
    """
    if np.isfinite(state.cells).all():
        return
    variable, cell = np.argwhere(~np.isfinite(state.cells))[0]
    raise HealthError(
        f"{model.form.name}: {model.form.state[variable]} of cell {cell} is {state.cells[variable, cell]} "
        f"by step {state.step}; lower the coupling or the noise"
    )


def backend_of(name: Any) -> Backend:
    """Return a backend by name.

    Args:
        name: ``"numba"`` or ``"reference"``.

    Returns:
        The backend.

    Raises:
        ConfigError: No such backend.
    """
    if name == "numba":
        from devnet.backends.numba_.backend import NumbaBackend

        return NumbaBackend()
    if name == "reference":
        from devnet.backends.reference import ReferenceBackend

        return ReferenceBackend()
    raise ConfigError.of("backend", name, "'numba' or 'reference'")
