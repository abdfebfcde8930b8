"""The verb ``simulate``: run a sheet's own activity and record who fires when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from devnet._core.errors import ConfigError, InterruptedRunError
from devnet._core.progress import task
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, State, backend_of
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

    Ctrl-C raises ``InterruptedRunError`` whose ``kept`` is the recording so far.

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
        InterruptedRunError: Ctrl-C, after the first steps were recorded.
        KeyboardInterrupt: Ctrl-C before that.
    """
    parts: list[Recording] = []
    try:
        for part in stream(sheet, spec, steps=steps, rng=rng, backend=backend, field=field, threads=threads):
            parts.append(part)  # noqa: PERF402  # must hold what came before an interrupt
    except KeyboardInterrupt:
        if not parts:
            raise
        kept = _joined(parts)
        raise InterruptedRunError(
            f"simulate: stopped after {kept.steps} of {steps} steps; they are kept", kept=kept
        ) from None
    return _joined(parts)


def stream(
    sheet: Sheet,
    spec: DynamicsSpec | str | None = None,
    *,
    steps: int = 2000,
    rng: Any = None,
    backend: str = "numba",
    field: str = "exact",
    threads: int = 1,
) -> Iterator[Recording]:
    """Run the activity of a sheet and hand it out piece by piece, so that memory does not grow with the steps.

    Args:
        sheet: As ``simulate``, and so all others.
        spec: Form and constants.
        steps: Number of steps in all.
        rng: Seed.
        backend: Who steps the sheet.
        field: How the coupling is summed.
        threads: Threads for large sheets with a fast field.

    Yields:
        Recordings of at most 1024 steps each, one after another; times count from each one's own first step.

    Raises:
        ConfigError: Unknown dynamics or backend, or no steps.
    """
    if steps < 1:
        raise ConfigError("steps", steps, "at least 1")
    dynamics = named("dynamics", sheet.model.dynamics, spec)
    stepper = backend_of(backend, field, threads)
    key = as_key(rng)
    model = SheetModel.build(sheet, dynamics, key)
    state = State.initial(model)
    with task(f"simulate {dynamics.form}", steps) as tick:
        while state.step < steps:
            first, chunk = state.step, min(CHUNK, steps - state.step)
            spikes = stepper.advance(model, state, chunk)
            yield Recording(
                sheet=sheet,
                dynamics=dynamics,
                key=key,
                backend=stepper.name,
                field=stepper.field(model),
                steps=chunk,
                time=spikes.time - first,
                cell=spikes.cell,
            )
            tick(chunk)


def _joined(parts: list[Recording]) -> Recording:
    """Return consecutive recordings as one."""
    firsts = np.cumsum([0] + [part.steps for part in parts])
    return replace(
        parts[0],
        steps=int(firsts[-1]),
        time=np.concatenate([part.time + first for part, first in zip(parts, firsts[:-1], strict=True)]),
        cell=np.concatenate([part.cell for part in parts]),
    )
