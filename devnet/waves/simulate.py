"""The verb ``simulate``: run a sheet's own activity and record who fires when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from devnet._core.errors import ConfigError
from devnet._core.progress import task
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, Spikes, State, backend_of
from devnet.sheet import Recording, Sheet
from devnet.spec import DynamicsSpec, Spec

CHUNK = 1024
"""Steps between two signs of progress; a multiple of the compiled backend's refresh."""


P = TypeVar("P", bound=Spec)


def named(field: str, parts: Mapping[str, P], given: P | str | None) -> P:
    """Return the part of a model that an argument means.

    Args:
        field: What an error calls the argument.
        parts: The model's parts by name.
        given: A part, the name of one of the model's, or None for the model's first.

    Returns:
        The part.

    Raises:
        ConfigError: The model has no part of that name, or none at all.
    """
    if isinstance(given, Spec):
        return given
    name = next(iter(parts), None) if given is None else given
    if name is None or name not in parts:
        raise ConfigError(
            field, name, f"one of {', '.join(sorted(parts)) or 'none: the model declares none'}"
        )
    return parts[name]


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
    dynamics = named("dynamics", sheet.model.dynamics, spec)
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
