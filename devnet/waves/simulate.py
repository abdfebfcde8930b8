"""The verb ``simulate``: run a sheet's own activity and record who fires when."""

from __future__ import annotations

from typing import Any

from devnet._core.errors import ConfigError
from devnet._core.progress import task
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, Spikes, State, backend_of
from devnet.sheet import Recording, Sheet
from devnet.spec import DynamicsSpec, Spec

CHUNK = 1024
"""Steps between two signs of progress; a multiple of the compiled backend's refresh."""


def dynamics_of(sheet: Sheet, spec: DynamicsSpec | str | None) -> DynamicsSpec:
    """Return the dynamics that an argument means.

    Args:
        sheet: The sheet whose model is asked.
        spec: A spec, the name of one of the model's dynamics, or None for the model's first.

    Returns:
        The spec.

    Raises:
        ConfigError: The model has no dynamics of that name.
    """
    if isinstance(spec, Spec):
        return spec
    known = sheet.model.dynamics
    name = next(iter(known)) if spec is None else spec
    if name not in known:
        raise ConfigError("dynamics", name, f"one of {', '.join(sorted(known))}")
    return known[name]


def simulate(
    sheet: Sheet,
    spec: DynamicsSpec | str | None = None,
    *,
    steps: int = 2000,
    rng: Any = None,
    backend: str = "numba",
    field: str = "exact",
    threads: int = 1,
) -> Recording:
    """Run the spontaneous activity of a sheet.

    Args:
        sheet: Where the cells are.
        spec: Form and constants of the cells: a spec, the name of one of the sheet's model's dynamics, or None for
            the model's first.
        steps: Number of steps (1 ms in the Izhikevich form, ``dt`` in the adaptive leaky form).
        rng: Seed as ``as_key`` takes it; all draws are functions of (key, stream, step, cell, draw).
        backend: ``"numba"``, or ``"reference"``, ``"brian2"``, ``"torch"``: the same spikes, slower.
        field: ``"exact"`` or ``"fast"``, how the coupling is summed; see ``backends.base.backend_of``.
        threads: Threads for large sheets with a fast field; the result does not depend on it.

    Returns:
        All spikes.

    Raises:
        ConfigError: Unknown dynamics or backend, or no steps.
        HealthError: A state variable left the finite numbers.
    """
    if steps < 1:
        raise ConfigError("steps", steps, "at least 1")
    dynamics = dynamics_of(sheet, spec)
    stepper = backend_of(backend, field, threads)
    key = as_key(rng)
    model = SheetModel.build(sheet, dynamics, key)
    state = State.initial(model)
    parts: list[Spikes] = []
    with task(f"simulate {dynamics.form}", steps) as tick:
        while state.step < steps:
            chunk = min(CHUNK, steps - state.step)
            parts.append(stepper.advance(model, state, chunk))
            tick(chunk)
    spikes = Spikes.join(parts)
    return Recording(
        sheet=sheet,
        dynamics=dynamics,
        key=key,
        backend=stepper.name,
        field=stepper.field(model),
        steps=steps,
        time=spikes.time,
        cell=spikes.cell,
    )
