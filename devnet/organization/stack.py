"""Stacks that wire themselves: every layer learns from the waves that reach it, all of them from the first step on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Float

from devnet._core.checkpoint import Arrays, Checkpoint
from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.progress import task
from devnet._core.random import Key, as_key
from devnet.backends.base import Backend, SheetModel, State, backend_of
from devnet.backends.layers import Stepper, check_layer, stepper_of
from devnet.dynamics.layered import STAGES, LayerState, Stage, bell, mature, pruned, spacings
from devnet.dynamics.plasticity.upkeep import pieces, tend
from devnet.growth import emitted_units
from devnet.sheet import PLANE, Frames, Layer, Recording, Sheet, Stack, even_places
from devnet.spec import LayerSpec, StackSpec
from devnet.waves import named
from devnet.waves.resume import identity, packed, restore

CHUNK = 1024
"""Constants that follow maturity change, and weak synapses go, only at multiples of so many steps."""
WINDOW = 16
"""Chunks within which the control's steps change places."""

_STATE = tuple(part.name for part in fields(LayerState) if part.name != "learner")
_LEARNER = ("wins", "counted", "pre", "post")
"""What a learner has beside the weights and the conscience, which are the layer's own arrays."""


class _Growing:
    """A layer while it is stepped."""

    def __init__(
        self,
        spec: LayerSpec,
        below: np.ndarray,
        positions: np.ndarray,
        area: float,
        state: LayerState,
        key: Key,
    ) -> None:
        self.spec, self.positions, self.state, self._key = spec, positions, state, key
        self._below, self._cell_area = below, area / len(below)
        self._distance, self._side = spacings(positions, area)
        self._stage: tuple[int, Stage] | None = None
        self._before = Frames(np.zeros(1, np.int64), np.empty(0, np.int64))
        self.wins = np.zeros(spec.units, np.int64)
        self.steps = 0

    def advance(self, stepper: Stepper, below: Frames, maturity_below: float, *, learn: bool) -> Frames:
        """Step through the frames of the layer below; mature and lose weak synapses on the way."""
        stage = int(self.state.maturity * STAGES)
        if self._stage is None or self._stage[0] != stage:
            self._stage = stage, Stage.at(self.spec, self._distance, self._side, self.state.maturity)
        fresh = below
        if self.spec.psp > 1:
            joined = Frames.join([self._before, below])
            self._before = joined.part(max(0, len(joined) - self.spec.psp + 1), len(joined))
            below = joined.held(self.spec.psp).part(len(joined) - len(below), len(joined))
        if self.spec.max_spread > 0:
            below = below.compact(self._below, self._cell_area, self.spec.max_spread)
        before, at, parts = self.state.events, 0, list[Frames]()
        for count in pieces(self.spec.rule, self.steps, len(below)):
            now, new = below.part(at, at + count), fresh.part(at, at + count)
            parts.append(stepper.advance(self.spec, self._stage[1], self.state, now, learn=learn, fresh=new))
            at += count
            self.steps += count
            if learn and self.spec.rule is not None and self.state.learner is not None:
                tend(self.spec.rule, self.state.learner, self.steps, self._key)
        frames = Frames.join(parts)
        self.wins += np.bincount(frames.cells, minlength=self.spec.units)
        if learn:
            events = self.state.events - before
            self.state.maturity = mature(self.spec, events, self.state.maturity, maturity_below)
            if self.spec.rule is None and self.spec.prune > 0 and self.state.maturity >= 0.5:
                self.state.weights[:] = pruned(self.state.weights, self.spec.prune)
        return frames

    def weights(self) -> Float[np.ndarray, "n M"]:
        """Return the weights, each unit's sum to 1, whatever its rule makes it."""
        sums = self.state.weights.sum(axis=0)
        return self.state.weights / np.where(sums > 0, sums, 1.0) if self.spec.rule else self.state.weights

    def packed(self, name: str) -> dict[str, np.ndarray]:
        """Return all that changes, under names that begin with the layer's."""
        held = {part: np.asarray(getattr(self.state, part)) for part in _STATE}
        if self.state.learner is not None:
            held |= {f"learner.{part}": getattr(self.state.learner, part) for part in _LEARNER}
        held |= {"before.first": self._before.first, "before.cells": self._before.cells}
        held |= {"wins": self.wins, "steps": np.array(self.steps)}
        return {f"{name}.{part}": array for part, array in held.items()}

    def restore(self, arrays: Arrays, name: str) -> None:
        """Take over what ``packed`` took down."""
        for part in _STATE:
            array, held = arrays[f"{name}.{part}"], getattr(self.state, part)
            if isinstance(held, np.ndarray):
                held[:] = array
            else:
                setattr(self.state, part, array.item())
        if self.state.learner is not None:
            for part in _LEARNER:
                getattr(self.state.learner, part)[:] = arrays[f"{name}.learner.{part}"]
        self._before = Frames(arrays[f"{name}.before.first"], arrays[f"{name}.before.cells"])
        self.wins[:], self.steps = arrays[f"{name}.wins"], arrays[f"{name}.steps"].item()


def _start(
    name: str,
    spec: LayerSpec,
    below: Float[np.ndarray, "n 2"],
    places: Float[np.ndarray, "M 2"],
    side: float,
    key: Key,
) -> LayerState:
    """Draw the weights of a layer: U(0.5, 1.5), times a Gaussian arbor where it has one; each unit's sum to 1."""
    draws = key.stream("weights")
    weights = np.stack([draws.uniform(unit, len(below)) for unit in range(len(places))], axis=1) + 0.5
    if spec.start == "arbor":
        weights *= bell(np.linalg.norm(below[:, None] - places[None], axis=2), spec.arbor * side)
        if not weights.any(axis=0).all():
            where = f"stack.layers.{name}.arbor"
            raise ConfigError(where, spec.arbor, "arbors so wide that each reaches a cell of the layer below")
    return LayerState.of(weights / weights.sum(axis=0), rule=spec.rule)


def organize_stack(
    sheet: Sheet,
    spec: StackSpec | None = None,
    *,
    steps: int | None = None,
    rng: Any = None,
    backend: str = "numba",
    field: str = "exact",
    threads: int = 1,
    activity: str = "waves",
    learn: bool = True,
    checkpoint: Checkpoint | None = None,
) -> Stack:
    """Let the waves of a sheet wire a stack of layers above it.

    Args:
        sheet: The first sheet.
        spec: The layers; None takes those of the sheet's model.
        steps: Number of steps; None takes the spec's.
        rng: Seed as ``as_key`` takes it; all draws are functions of (key, stream, step, cell, draw).
        backend: ``"numba"``, or ``"reference"``, ``"brian2"``: the same stack, slower.
        field: ``"exact"`` or ``"fast"``, how the first sheet's coupling is summed.
        threads: Threads for large first sheets with a fast field.
        activity: ``"waves"``, or ``"shuffled"`` for the control in which the steps of the first sheet change places, within
            windows of 16384.
        learn: False for the control whose weights stay as they were drawn.
        checkpoint: Where the state is kept, so that the learning goes on bit for bit if its process dies;
            ``devnet.io.Checkpoints`` is one.

    Returns:
        The stack.

    Raises:
        ConfigError: Unknown name, no layer, or no step.
        HealthError: A variable left the finite numbers.
        InterruptedRunError: It was asked to stop; the checkpoint holds its state.
    """
    spec = sheet.model.stack if spec is None else spec
    if not isinstance(spec, StackSpec):
        raise ConfigError("spec", spec, "a StackSpec, or None and a model with a [stack]")
    if sheet.scaffold.surface != PLANE:
        raise ConfigError(
            "sheet", "on a sphere", "a sheet on the plane: layers of a stack measure distances there"
        )
    length = spec.steps if steps is None else steps
    whole("steps", length)
    if activity not in {"waves", "shuffled"}:
        raise ConfigError("activity", activity, "'waves' or 'shuffled'")
    key, stepper = as_key(rng), stepper_of(backend)
    dynamics = named("dynamics", sheet.model.dynamics, spec.dynamics or None)
    model = SheetModel.build(sheet, dynamics, key)
    first = backend_of(backend, field, threads)
    named_layers = _layers(sheet, spec, key)
    layers = list(named_layers.values())
    spec = spec.replace(layers={name: layer.spec for name, layer in named_layers.items()})
    late = length * 4 // 5 // CHUNK * CHUNK
    state = State.initial(model)
    if checkpoint is not None:
        told = (spec.model_dump(mode="json"), list(spec.layers), length, activity, learn)
        places = [layer.positions for layer in layers]
        _resume(checkpoint, identity("organize_stack", model, first, *told, *places), state, named_layers)
    done = state.step
    with task(f"organize {len(layers)} layers", length) as tick:
        tick(done)
        for frames in _waves(first, model, state, length, key if activity == "shuffled" else None):
            if done == late:
                for layer in layers:
                    layer.wins[:] = 0
            _through(stepper, spec.feeding, layers, frames, learn=learn)
            for number, layer in enumerate(layers, start=2):
                check_layer(layer.state, number, done + len(frames))
            done += len(frames)
            tick(len(frames))
            if checkpoint is not None and done == state.step < length and checkpoint.due():
                held = [layer.packed(name) for name, layer in named_layers.items()]
                checkpoint.save(
                    {k: v for part in (packed(state), *held) for k, v in part.items()}, {"step": done}
                )
    return Stack(
        sheet=sheet,
        spec=spec,
        dynamics=dynamics,
        key=key,
        backend=stepper.name,
        field=first.field(model),
        activity=activity,
        steps=length,
        layers=tuple(
            Layer(
                spec=layer.spec,
                positions=layer.positions,
                weights=layer.weights(),
                c=layer.state.c,
                maturity=layer.state.maturity,
                late_wins=layer.wins,
            )
            for layer in layers
        ),
    )


def _resume(checkpoint: Checkpoint, what: dict[str, Any], state: State, layers: dict[str, _Growing]) -> None:
    """Give a fresh sheet and its layers, in place, the state that was saved, if there is one."""
    if saved := checkpoint.load(what):
        restore(state, saved.arrays, saved.numbers["step"])
        for name, layer in layers.items():
            layer.restore(saved.arrays, name)


def _layers(sheet: Sheet, spec: StackSpec, key: Key) -> dict[str, _Growing]:
    """Place the units of all layers and draw their weights."""
    places_of, side = [sheet.positions], sheet.scaffold.area**0.5
    layers: dict[str, _Growing] = {}
    for number, (name, feeding) in enumerate(zip(spec.layers, spec.feeding, strict=True), start=2):
        part, below, own = spec.layers[name], places_of[feeding - 1], key.child("layer", number)
        if part.emitted:
            places = sheet.unit_positions if feeding == 1 else below[emitted_units(sheet, below, own)]
            if len(places) < 4:
                why = "a layer below that emits at least 4 units"
                raise ConfigError(f"stack.layers.{name}.emitted", f"{len(places)} units", why)
            part = part.replace(units=len(places))
        else:
            places = even_places(sheet.scaffold, part.units)
        state = _start(name, part, below, places, side, own)
        layers[name] = _Growing(part, below, places, sheet.scaffold.area, state, own)
        places_of.append(places)
    return layers


def _through(
    stepper: Stepper, feeding: Sequence[int], layers: Sequence[_Growing], frames: Frames, *, learn: bool
) -> list[Frames]:
    """Step all layers through frames of the first sheet; return the frames of each, the sheet's own in front."""
    heard, ages = [frames], [1.0, *(layer.state.maturity for layer in layers)]
    for layer, below in zip(layers, feeding, strict=True):
        heard.append(layer.advance(stepper, heard[below - 1], ages[below - 1], learn=learn))
    return heard


def _waves(
    backend: Backend, model: SheetModel, state: State, length: int, shuffle: Key | None
) -> Iterator[Frames]:
    """Step the first sheet and hand out its frames, a chunk at a time; its state runs ahead of them by a window at most."""
    reach = CHUNK if shuffle is None else CHUNK * WINDOW
    while state.step < length:
        begin = state.step
        spikes = backend.advance(model, state, min(reach, length - begin))
        frames = Frames.of(spikes.time - begin, spikes.cell, state.step - begin)
        if shuffle is not None:
            frames = frames.ordered(shuffle.stream("shuffle").permutation(begin // reach, len(frames)))
        for at in range(0, len(frames), CHUNK):
            yield frames.part(at, min(at + CHUNK, len(frames)))


def simulate_stack(stack: Stack, recording: Recording, *, backend: str = "numba") -> tuple[Frames, ...]:
    """Run the layers of a stack on a recording of its first sheet.

    Args:
        stack: The stack; it stays as it is.
        recording: Who fires in the first sheet.
        backend: ``"numba"``, ``"reference"`` or ``"brian2"``.

    Returns:
        Who fires in each layer, the first sheet's own frames in front.

    Raises:
        ConfigError: The recording is of another sheet, or the backend is unknown.
        HealthError: A variable left the finite numbers.
    """
    if not np.array_equal(recording.sheet.positions, stack.sheet.positions):
        raise ConfigError("recording", recording, "a recording of the stack's own sheet")
    stepper = stepper_of(backend)
    layers = [
        _Growing(
            layer.spec,
            stack.places(below),
            layer.positions,
            stack.sheet.scaffold.area,
            LayerState.of(layer.weights.copy(), layer.c.copy(), layer.maturity, layer.spec.rule),
            stack.key.child("layer", number),
        )
        for number, (layer, below) in enumerate(zip(stack.layers, stack.spec.feeding, strict=True), start=2)
    ]
    found: list[list[Frames]] = [[] for _ in range(len(layers) + 1)]
    frames = Frames.of(recording.time, recording.cell, recording.steps)
    for at in range(0, len(frames), CHUNK):
        part = frames.part(at, min(at + CHUNK, len(frames)))
        for kept, heard in zip(
            found, _through(stepper, stack.spec.feeding, layers, part, learn=False), strict=True
        ):
            kept.append(heard)
        for number, layer in enumerate(layers, start=2):
            check_layer(layer.state, number, at + len(part))
    return tuple(Frames.join(parts) for parts in found)
