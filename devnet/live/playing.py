"""Play with a sheet: its waves are computed while they are watched, and answer to every change of a constant."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from devnet._core.errors import ConfigError, DevnetError
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


def _setup(start: Setting) -> Part:
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
