"""Play with a sheet: its waves are computed while they are watched, and answer to every change of a constant."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, final

from starlette.websockets import WebSocket, WebSocketDisconnect

from devnet._core.errors import ConfigError, HealthError
from devnet._core.progress import task
from devnet.growth import grow
from devnet.io import library_version
from devnet.live.player import SLIDERS, Player, Setting
from devnet.live.server import Site
from devnet.spec import DynamicsSpec, LearningSpec, ModelSpec, load_model
from devnet.viz.scene import Part, sheet_part

PICTURES = 30.0
"""Pictures per second."""
WEIGHTS_EVERY = 0.6
"""Seconds between two sets of weights."""
MOST_CELLS = 5_000
"""Larger sheets could not answer at once: each change of a radius means all pairs of cells anew."""
MOST_PLAYERS = 4
"""Pages at once."""


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
    start = Setting(sheet, dynamics, learning, sheet.key.child("play"))
    table = {"sheet": sheet_part(sheet).compressed(), "setup": _setup(start).compressed()}
    kinds = (False, True) if sheet.m else (False,)
    with task(
        "compile", len(kinds)
    ) as tick:  # what is not compiled yet, half a minute of it: before anyone waits
        first = Player(start)
        for learning in kinds:
            first.learn(learning)
            first.advance(0)
            tick()
    players: list[WebSocket] = []

    async def stream(socket: WebSocket) -> None:
        if len(players) >= MOST_PLAYERS:
            await socket.close(1013)
            return
        players.append(socket)
        try:
            await _Game(socket, Player(start)).run()
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


def _setup(start: Setting) -> Part:
    """Return the sliders, the words below the scene, and of how many units pools can form."""
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
    return Part({"sliders": sliders, "words": words, "units": start.sheet.m})


def _value(dynamics: DynamicsSpec, name: str) -> float:
    return getattr(dynamics.coupling if name in ("r_i", "r_o") else dynamics, name)


@final
class _Game:
    """One page that plays: pictures go out, wishes come in, and weights are told beside the pictures.

    Args:
        socket: The page.
        player: Its sheet.
    """

    def __init__(self, socket: WebSocket, player: Player) -> None:
        self._socket, self._player, self._wishes = socket, player, _Wishes()
        self._telling: asyncio.Task[None] | None = None
        self._told = 0.0

    async def run(self) -> None:
        """Play until the page goes away; an error of ours ends it too, and does not pass in silence."""
        await self._socket.accept()
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._show())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks += [] if self._telling is None else [self._telling]
            for one in tasks:
                one.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        if tasks[0] in done and ended[0] is None:
            return  # the page went away, and what was on its way to it may fail
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                raise error

    async def _listen(self) -> None:
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            try:
                self._wishes.add(message.get("text") or "", self._player)
            except (ConfigError, ValueError, RecursionError) as error:
                await self._socket.send_json({"error": str(error)})

    async def _show(self) -> None:
        while True:
            begun = time.perf_counter()
            if self._wishes.paused:
                await asyncio.sleep(1.0 / PICTURES)
                continue
            wishes = self._wishes.take()
            try:
                part = await asyncio.to_thread(_picture, self._player, wishes)
            except ConfigError as error:
                await self._socket.send_json({"error": str(error)})
                continue
            except HealthError as error:
                self._player.again()
                await self._socket.send_json({"error": f"{error}; started again", "again": True})
                continue
            await self._socket.send_bytes(part.packed())
            if self._player.learning and begun - self._told > WEIGHTS_EVERY:
                self._tell_weights(begun, wishes.version)
            await asyncio.sleep(max(0.0, 1.0 / PICTURES - (time.perf_counter() - begun)))

    def _tell_weights(self, now: float, version: int) -> None:
        """Begin to tell the weights, unless the last ones are still on their way."""
        if self._telling is not None:
            if not self._telling.done():
                return
            self._telling.result()
        if (weights := self._player.weights(version)) is not None:
            self._told, self._telling = now, asyncio.create_task(self._tell(weights))

    async def _tell(self, weights: Callable[[], Part]) -> None:
        part = await asyncio.to_thread(weights)
        await self._socket.send_bytes(part.packed())


@final
@dataclass
class _Wishes:
    """What a page asked for since the last picture: of the places of a slider the last; and whether pictures rest."""

    version: int = 0
    paused: bool = False
    again: bool = False
    learn: bool | None = None
    values: dict[str, float] = field(default_factory=dict)

    def add(self, text: str, player: Player) -> None:
        """Take a message in, or refuse all of it.

        Args:
            text: An object in JSON.
            player: Whose sliders it may move.

        Raises:
            ConfigError: No such slider, a value out of its range, or a version that is no number of a change.
        """
        wish = json.loads(text)
        number = wish.get("version", self.version) if isinstance(wish, dict) else None
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 31:
            raise ConfigError("message", text[:60], "an object whose version is a whole number")
        values = player.checked(wish.get("set", {}))
        self.version = number
        if wish.get("again") is True:
            self.again, self.learn, self.values = True, None, {}
        if "pause" in wish:
            self.paused = wish["pause"] is True
        if "learn" in wish:
            self.learn = wish["learn"] is True
        self.values |= values

    def take(self) -> _Wishes:
        """Return what is asked for, and begin anew."""
        taken = replace(self)
        self.again, self.learn, self.values = False, None, {}
        return taken


def _picture(player: Player, wishes: _Wishes) -> Part:
    """Do what a page asked for, and take the steps of a picture, which holds the number of the last change."""
    if wishes.again:
        player.again()
    if wishes.learn is not None:
        player.learn(wishes.learn)
    if wishes.values:
        player.change(wishes.values)
    return player.advance(wishes.version)
