"""Play with a sheet: its waves are computed while they are watched, and answer to every change of a constant."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from devnet._core.errors import ConfigError, DevnetError
from devnet._core.random import Key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics import plasticity
from devnet.growth import grow
from devnet.io import library_version
from devnet.live.server import Site
from devnet.measure import organized
from devnet.sheet import Sheet
from devnet.spec import DynamicsSpec, LearningSpec, ModelSpec, load_model
from devnet.viz.scene import Part, even_units, levels, sheet_part, spike_arrays

PICTURES = 30.0
"""Pictures per second."""
STEPS, LEARNING_STEPS = 3, 25
"""Steps a picture, while waves are watched and while pools form."""
WEIGHTS_EVERY = 0.6
"""Seconds between two sets of weights."""
MOST_CELLS = 8_000
"""Larger sheets could not answer at once: each change of a radius means all pairs of cells anew."""
MOST_PLAYERS = 4
"""Pages at once."""


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


def playground(model: str | ModelSpec, *, rng: Any = None) -> Site:
    """Grow a sheet and return a site on which its waves can be played with.

    Args:
        model: A model, its name or its file; its first dynamics runs.
        rng: Seed.

    Returns:
        The site.

    Raises:
        ConfigError: No sliders are known for its form of cell, or the sheet is too large.
    """
    spec = model if isinstance(model, ModelSpec) else load_model(model)
    name, dynamics = next(iter(spec.dynamics.items()))
    if dynamics.form not in SLIDERS:
        raise ConfigError("dynamics", dynamics.form, f"one of {', '.join(SLIDERS)}")
    sheet = grow(spec, rng=rng)
    if sheet.n > MOST_CELLS:
        raise ConfigError("model", f"{sheet.n} cells", f"a sheet of at most {MOST_CELLS} cells")
    learning = next(
        (part for part in spec.learning.values() if part.dynamics == name), LearningSpec(dynamics=name)
    )
    start = _Setting(sheet, dynamics, learning, sheet.key.child("play"))
    table = {"sheet": sheet_part(sheet).compressed(), "setup": _setup(start).compressed()}
    Player(start).advance(0)  # compiles what is not compiled yet, before anyone waits
    players: list[WebSocket] = []

    async def stream(socket: WebSocket) -> None:
        if len(players) >= MOST_PLAYERS:
            await socket.close(1013)
            return
        players.append(socket)
        try:
            await _stream(socket, Player(start))
        finally:
            players.remove(socket)

    return Site(
        mode="play",
        title="Play with waves",
        name=spec.name,
        version=library_version(),
        listing=lambda: {"parts": dict.fromkeys(table, "1"), "stages": []},
        part=table.get,
        stream=stream,
    )


@dataclass(frozen=True)
class _Setting:
    """What a player starts from."""

    sheet: Sheet
    dynamics: DynamicsSpec
    learning: LearningSpec
    key: Key


def _setup(start: _Setting) -> Part:
    """Return the sliders, and the words below the scene."""
    sliders = [
        {
            "name": slider.name,
            "title": slider.title,
            "low": slider.low,
            "high": slider.high,
            "by": slider.by,
            "value": _value(start.dynamics, slider.name),
            "help": slider.help,
        }
        for slider in SLIDERS[start.dynamics.form]
    ]
    words = (
        "Orange cells fire. A wave starts by chance, travels, tires its cells and dies out. Try: no noise, much noise; a "
        "wider excitation; no refractoriness."
    )
    return Part({"sliders": sliders, "words": words})


def _value(dynamics: DynamicsSpec, name: str) -> float:
    return getattr(dynamics.coupling if name in ("r_i", "r_o") else dynamics, name)


@final
class Player:
    """A sheet that runs, whose constants can be changed between steps.

    Args:
        start: What it starts from.
    """

    def __init__(self, start: _Setting) -> None:
        self._start = start
        self._stepper = backend_of("numba", "fast")
        self.learning = False
        self.again()

    def again(self) -> None:
        """Start from the beginning: constants, cells, weights."""
        sheet = self._start.sheet
        self._dynamics = self._start.dynamics
        self._model = SheetModel.build(sheet, self._dynamics, self._start.key)
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
        before = self._model
        model = SheetModel.build(self._start.sheet, self._dynamics, self._start.key)
        if not radii:  # the pairs of cells stay as they are, and with them their matrix
            model = replace(model, coupling=before.coupling)
        self._model = model
        if self._state.learner is not None:
            self._state.learner.places = model.coupling.places

    def learn(self, on: bool) -> None:
        """Let the waves wire the sheet's layer-II units, or let the weights rest."""
        if on and self._state.learner is None:
            rule, sheet = self._start.learning.rule, self._start.sheet
            self._state.learner = plasticity.start(
                rule, self._model.coupling.places, sheet.m, self._start.key
            )
        self.learning = on and self._start.sheet.m > 0

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

    def weights(self) -> Part | None:
        """Return the weights as they are now; None where nothing was learned."""
        learner = self._state.learner
        if learner is None:
            return None
        sheet = self._start.sheet
        recent = learner.wins if self._wins is None else learner.wins - self._wins
        self._wins = np.maximum(learner.wins - 1, 0)  # who won at all counts: a few seconds are short
        share = 100.0 * float(organized(learner.weights, sheet.positions, recent).mean())
        return Part(
            {"kind": "weights", "step": self._state.step, "learned": self._learned, "organized": share},
            {
                "unit": np.arange(sheet.m, dtype=np.uint32),
                "share": levels(learner.weights),
                **self._shown,
            },
        )


async def _stream(socket: WebSocket, player: Player) -> None:
    """Send pictures until the page goes away, and do what it asks in between."""
    await socket.accept()
    asked: asyncio.Queue[str | None] = asyncio.Queue()

    async def listen() -> None:
        try:
            while True:
                asked.put_nowait(await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            asked.put_nowait(None)

    listener = asyncio.create_task(listen())
    version, shown = 0, 0.0
    try:
        while True:
            begun = time.perf_counter()
            wishes = [asked.get_nowait() for _ in range(asked.qsize())]
            if None in wishes:
                return
            try:
                version = await asyncio.to_thread(
                    _obey, player, [w for w in wishes if w is not None], version
                )
            except (ConfigError, ValueError) as error:
                await socket.send_text(json.dumps({"error": str(error)}))
            try:
                part = await asyncio.to_thread(player.advance, version)
            except DevnetError as error:
                await socket.send_text(json.dumps({"error": f"{error}; started again"}))
                player.again()
                continue
            await socket.send_bytes(part.packed())
            if player.learning and begun - shown > WEIGHTS_EVERY:
                shown = begun
                if (weights := await asyncio.to_thread(player.weights)) is not None:
                    await socket.send_bytes(weights.packed())
            await asyncio.sleep(max(0.0, 1.0 / PICTURES - (time.perf_counter() - begun)))
    except (WebSocketDisconnect, RuntimeError):
        return
    finally:
        listener.cancel()


def _obey(player: Player, wishes: list[str], version: int) -> int:
    """Do what a page asked for since the last picture, a slider's last place only; return the number of its last change."""
    values: dict[str, Any] = {}
    for text in wishes:
        wish = json.loads(text)
        number = wish.get("version", version) if isinstance(wish, dict) else None
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 31:
            raise ConfigError("message", text[:60], "an object whose version is a whole number")
        version = number
        if wish.get("again") is True:
            values.clear()
            player.again()
        if "learn" in wish:
            player.learn(wish["learn"] is True)
        values |= player.checked(wish.get("set", {}))
    if values:
        player.change(values)
    return version
