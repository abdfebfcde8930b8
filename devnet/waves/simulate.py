"""The verb ``simulate``: run a sheet's own activity and record who fires when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from devnet._core import stopping
from devnet._core.checkpoint import Checked, Saved, counts
from devnet._core.checks import whole
from devnet._core.errors import ConfigError, InterruptedRunError
from devnet._core.progress import task
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, Spikes, State, backend_of
from devnet.sheet import Recording, Sheet
from devnet.spec import DynamicsSpec, Spec
from devnet.waves.resume import identity, is_whole, packed, restore

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
    dtype: str = "float64",
    checkpoint: Checked | None = None,
) -> Recording:
    """Run the spontaneous activity of a sheet.

    Ctrl-C, or a request to stop (``devnet._core.stopping``), raises ``InterruptedRunError`` whose ``kept`` is the
    recording so far. Dead and runaway sheets run on; ``devnet.measure.wave_statistics`` tells them.

    Args:
        sheet: Where the cells are.
        spec: Form and constants of the cells: a spec, the name of one of the sheet's model's dynamics, or None for
            the model's first.
        steps: Number of steps (1 ms in the Izhikevich form, ``dt`` in the adaptive leaky form).
        rng: Seed as ``as_key`` takes it; all draws are functions of (key, stream, step, cell, draw).
        backend: ``"numba"``, or ``"reference"``, ``"brian2"``, ``"torch"``: the same spikes, slower.
        field: ``"exact"`` or ``"fast"``, how the coupling is summed; see ``backends.base.backend_of``.
        threads: Threads for large sheets with a fast field; the result does not depend on it.
        dtype: ``"float64"`` or ``"float32"``, in what the state of cells is held; see ``backends.base.backend_of``.
        checkpoint: Where state and spikes are kept, so that the recording goes on bit for bit if its process dies;
            ``devnet.io.Checkpoints`` is one.

    Returns:
        All spikes.

    Raises:
        ConfigError: Unknown dynamics or backend, or no steps.
        HealthError: A state variable left the finite numbers.
        InterruptedRunError: Ctrl-C or a request to stop, after the first steps were recorded; without ``kept`` where a
            checkpoint holds them.
        KeyboardInterrupt: Ctrl-C before that.
    """
    parts: list[Recording] = []
    try:
        for part in stream(
            sheet,
            spec,
            steps=steps,
            rng=rng,
            backend=backend,
            field=field,
            threads=threads,
            dtype=dtype,
            checkpoint=checkpoint,
        ):
            parts.append(part)  # must hold what came before an interrupt
            if checkpoint is None and stopping.asked():  # a checkpoint looks by itself, after it was written
                break
    except KeyboardInterrupt:
        if not parts:
            raise
    kept = _joined(parts)
    if kept.steps < steps:
        raise InterruptedRunError(
            f"simulate: stopped after {kept.steps} of {steps} steps; they are kept", kept=kept
        )
    return kept


def stream(
    sheet: Sheet,
    spec: DynamicsSpec | str | None = None,
    *,
    steps: int = 2000,
    rng: Any = None,
    backend: str = "numba",
    field: str = "exact",
    threads: int = 1,
    dtype: str = "float64",
    checkpoint: Checked | None = None,
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
        dtype: In what the state of cells is held.
        checkpoint: Where state and spikes are kept.

    Yields:
        Recordings of at most 1024 steps each, one after another; times count from each one's own first step. What a
        checkpoint holds already comes first, in pieces as they were saved.

    Raises:
        ConfigError: Unknown dynamics or backend, or no steps.
        InterruptedRunError: It was asked to stop; the checkpoint holds its state.
    """
    whole("steps", steps)
    dynamics = named("dynamics", sheet.model.dynamics, spec)
    stepper = backend_of(backend, field, threads, dtype)
    key = as_key(rng)
    model = SheetModel.build(sheet, dynamics, key)
    state = State.initial(model)

    def piece(spikes: Spikes, first: int, last: int) -> Recording:
        return Recording(
            sheet=sheet,
            dynamics=dynamics,
            key=key,
            backend=stepper.name,
            field=stepper.field(model),
            steps=last - first,
            time=spikes.time - first,
            cell=spikes.cell,
        )

    unsaved: list[Spikes] = []
    kept = 0
    with task(f"simulate {dynamics.form}", steps) as tick:
        if checkpoint is not None and (
            saved := checkpoint.load(
                identity("simulate", model, stepper, steps),
                lambda saved: is_whole(state, saved, CHUNK, steps) and _follow(saved, model.n),
            )
        ):
            restore(state, saved.arrays, saved.numbers["step"])
            for part in saved.segments:
                first, kept = kept, int(part["last"])
                yield piece(Spikes(part["time"], part["cell"]), first, kept)
            tick(kept)
        while state.step < steps:
            first, chunk = state.step, min(CHUNK, steps - state.step)
            spikes = stepper.advance(model, state, chunk)
            yield piece(spikes, first, state.step)
            tick(chunk, f"{len(spikes.time) / chunk:.0f} firing")
            if checkpoint is not None:
                unsaved.append(spikes)
                if state.step < steps and checkpoint.due():
                    joined = Spikes.join(unsaved)
                    segment = {"time": joined.time, "cell": joined.cell, "last": np.array(state.step)}
                    checkpoint.save(packed(state), {"step": state.step}, segment)
                    unsaved = []


def _follow(saved: Saved, n: int) -> bool:
    """Say whether the spikes of n cells that were saved follow one another up to the step of their state."""
    first = 0
    for part in saved.segments:
        time, cell, last = (part.get(name) for name in ("time", "cell", "last"))
        if time is None or cell is None or last is None or last.shape != () or time.ndim != 1:
            return False
        if not counts(last, first + 1, saved.numbers["step"]) or time.shape != cell.shape:
            return False
        if not counts(time, first, int(last) - 1) or not counts(cell, 0, n - 1) or (np.diff(time) < 0).any():
            return False
        first = int(last)
    return first == saved.numbers["step"]


def _joined(parts: list[Recording]) -> Recording:
    """Return consecutive recordings as one."""
    firsts = np.cumsum([0] + [part.steps for part in parts])
    return replace(
        parts[0],
        steps=int(firsts[-1]),
        time=np.concatenate([part.time + first for part, first in zip(parts, firsts[:-1], strict=True)]),
        cell=np.concatenate([part.cell for part in parts]),
    )
