"""What a backend is given and what it must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from devnet._core.checks import whole
from devnet._core.errors import ConfigError, HealthError
from devnet._core.optional import require
from devnet._core.random import Key
from devnet.backends.coupling import Coupling
from devnet.dynamics import Form, form_of
from devnet.dynamics.plasticity import Learner
from devnet.dynamics.plasticity.upkeep import pieces, tend
from devnet.sheet import Sheet
from devnet.spec import DynamicsSpec, RuleSpec

NOISE = "noise"
"""Name of the stream that drives the cells: one Gaussian per (step, cell)."""


@dataclass(frozen=True)
class SheetModel:
    """A sheet of cells ready to be stepped: laws, numbers, coupling, and the key of its noise.

    Attributes:
        form: The law.
        constants: Its constants.
        cells: (2, n), numbers that differ from cell to cell.
        start: (2, n), state at step 0.
        coupling: S, and where the cells are.
        hold: Steps for which one noise sample is kept.
        key: Key of the noise.
        dead: Cells that never fire, ascending: at the beginning of each step their state is set to 0.
    """

    form: Form
    constants: Float[np.ndarray, " k"]
    cells: Float[np.ndarray, "2 n"]
    start: Float[np.ndarray, "2 n"]
    coupling: Coupling
    hold: int
    key: Key
    dead: Int[np.ndarray, " k"]

    @property
    def n(self) -> int:
        """Number of cells."""
        return self.coupling.n

    @classmethod
    def build(cls, sheet: Sheet, spec: DynamicsSpec, key: Key) -> SheetModel:
        """Resolve a spec on a sheet.

        Args:
            sheet: Where the cells are.
            spec: Their form, constants and coupling.
            key: Key of what is drawn once per cell and of the noise.

        Returns:
            The model.
        """
        form = form_of(spec)
        cells = form.cells(spec, sheet.positions, key)
        return cls(
            form=form,
            constants=form.constants(spec),
            cells=cells,
            start=form.start(spec, cells),
            coupling=Coupling.build(sheet, spec.coupling),
            hold=form.hold(spec),
            key=key,
            dead=np.flatnonzero(sheet.dead),
        )


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

    @classmethod
    def join(cls, parts: list[Spikes]) -> Spikes:
        """Return the spikes of consecutive parts as one."""
        empty = np.empty(0, np.int32)
        return cls(
            np.concatenate([empty, *(part.time for part in parts)]),
            np.concatenate([empty, *(part.cell for part in parts)]),
        )


class Backend(ABC):
    """A way to step a sheet. All backends give the same spikes for the same key."""

    name: str

    @abstractmethod
    def field(self, model: SheetModel) -> str:
        """Say how this backend sums the lateral coupling of that model: what a result records."""

    @abstractmethod
    def take(
        self,
        model: SheetModel,
        state: State,
        steps: int,
        *,
        rule: RuleSpec | None = None,
        noise: Float[np.ndarray, "steps n"] | None = None,
        record: bool = True,
    ) -> Spikes:
        """Take steps without upkeep; arguments as ``advance``."""

    def advance(
        self,
        model: SheetModel,
        state: State,
        steps: int,
        *,
        rule: RuleSpec | None = None,
        noise: Float[np.ndarray, "steps n"] | None = None,
        record: bool = True,
    ) -> Spikes:
        """Take a number of steps, in place, and the rule's upkeep where it is due.

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
        parts: list[Spikes] = []
        first = state.step
        for count in pieces(rule, state.step, steps):
            given = None if noise is None else noise[state.step - first :][:count]
            parts.append(self.take(model, state, count, rule=rule, noise=given, record=record))
            if rule is not None and state.learner is not None:
                tend(rule, state.learner, state.step, model.key)
        return parts[0] if len(parts) == 1 else Spikes.join(parts)


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


def backend_of(name: Any, field: str = "exact", threads: int = 1, dtype: str = "float64") -> Backend:
    """Return a backend by name.

    Args:
        name: ``"numba"`` or ``"reference"``; with Brian2 installed ``"brian2"`` (Cython where there is a compiler, else
            NumPy) or ``"brian2-numpy"``; with torch ``"torch"`` (on a CUDA device where there is one), ``"torch-cpu"``
            or ``"torch-cuda"``.
        field: ``"exact"``: the coupling as it is; or ``"fast"`` (numba and torch): off by at most 1e-6 of the
            largest drive, where the dynamics is chaotic a different but equally good run.
        threads: Threads for large sheets with a fast field (numba only); the result does not depend on it.
        dtype: ``"float64"``; or ``"float32"`` (numba and torch): the cells' state is held in half the memory, and each
            step is right to 1e-5 rather than 1e-12.

    Returns:
        The backend.

    Raises:
        ConfigError: No such backend, field, dtype or device.
        MissingDependencyError: The backend's library is not installed.
    """
    if field not in ("exact", "fast"):
        raise ConfigError("field", field, "'exact' or 'fast'")
    whole("threads", threads)
    if dtype not in ("float64", "float32"):
        raise ConfigError("dtype", dtype, "'float64' or 'float32'")
    if name == "numba":
        from devnet.backends.numba_.backend import NumbaBackend

        return NumbaBackend(field, threads, dtype)
    if name in ("torch", "torch-cpu", "torch-cuda"):
        require("torch", extra="torch")
        from devnet.backends.torch_.backend import TorchBackend

        return TorchBackend(None if name == "torch" else name.removeprefix("torch-"), dtype, field)
    if field == "fast":
        raise ConfigError("field", field, f"'exact': backend {name!r} has no other")
    if dtype == "float32":
        raise ConfigError("dtype", dtype, f"'float64': backend {name!r} has no other")
    if name == "reference":
        from devnet.backends.reference import ReferenceBackend

        return ReferenceBackend()
    if name in ("brian2", "brian2-numpy"):
        require("brian2", extra="brian2")
        from devnet.backends.brian2_.backend import Brian2Backend

        return Brian2Backend("numpy" if name == "brian2-numpy" else None)
    raise ConfigError(
        "backend",
        name,
        "'numba' or 'reference', 'brian2' or 'brian2-numpy', 'torch', 'torch-cpu' or 'torch-cuda'",
    )
