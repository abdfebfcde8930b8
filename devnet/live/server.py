"""A small server: one page, a table of parts by id, perhaps a stream; on the loopback interface only."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from devnet._core.errors import BusyError, ConfigError
from devnet.live.guard import Guard
from devnet.viz.page import policy, render

LOOPBACK = "127.0.0.1"
_MOST_TEXT = 4096
"""Bytes of a message from a page; ours are shorter."""


@dataclass(frozen=True)
class Site:
    """What is served.

    Attributes:
        mode: ``"view"`` or ``"play"``.
        title: What the page is called.
        name: What is shown: a model or a folder.
        version: devnet's.
        listing: Which parts there are, and what is told beside them; asked anew each time.
        part: The compressed part of an id, or None where there is none.
        stream: What a WebSocket carries, or None.
    """

    mode: str
    title: str
    name: str
    version: str
    listing: Callable[[], Mapping[str, Any]]
    part: Callable[[str], bytes | None]
    stream: Callable[[WebSocket], Awaitable[None]] | None = None

    def app(self, port: int, token: str) -> ASGIApp:
        """Return the site as an ASGI application behind its guard.

        Args:
            port: Where it is served.
            token: What a browser has to know.

        Returns:
            The application.
        """
        connect = "'self'" if self.stream is None else f"'self' ws://{LOOPBACK}:{port} ws://localhost:{port}"

        def page(_: Request) -> Response:
            return HTMLResponse(
                render(
                    "live.html.j2",
                    connect=connect,
                    mode=self.mode,
                    title=self.title,
                    name=self.name,
                    version=self.version,
                )
            )

        def listing(_: Request) -> Response:
            return JSONResponse(dict(self.listing()))

        def part(request: Request) -> Response:
            found = self.part(request.path_params["id"])
            if found is None:
                return Response("no such part", 404, media_type="text/plain")
            return Response(found, media_type="application/octet-stream")

        routes: list[Any] = [Route("/", page), Route("/parts", listing), Route("/part/{id}", part)]
        if self.stream is not None:
            routes.append(WebSocketRoute("/stream", self.stream))
        return Guard(Starlette(routes=routes), port, token, policy(connect=connect))


def serve(site: Site, *, port: int = 0, ready: Callable[[str], None]) -> None:
    """Serve a site on the loopback interface until Ctrl-C.

    Args:
        site: What is served.
        port: Where; 0 takes a free one.
        ready: Called once with the address to open, which holds the token.

    Raises:
        ConfigError: The port is no number from 0 to 65535.
        BusyError: The port is taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise ConfigError("port", port, "0 (any free one) to 65535")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            raise BusyError(f"port {port}: {error.strerror}; choose another, or 0 for any free one") from None
        taken = listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        server = uvicorn.Server(
            uvicorn.Config(
                site.app(taken, token),
                log_level="error",
                lifespan="off",
                server_header=False,
                ws_max_size=_MOST_TEXT,
                ws_per_message_deflate=False,  # it stays on this machine
                timeout_graceful_shutdown=1,
            )
        )
        listener.listen(64)
        ready(f"http://{LOOPBACK}:{taken}/?token={token}")
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            return
