"""Who may ask: this machine's browser, by the right host name, with the token."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import final

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "devnet"
_LONGEST = 512
"""Bytes of a path and query that are looked at; ours are shorter."""


@final
class Guard:
    """Let a request through only if Host, Origin and token are right, and put the headers on every answer.

    Another page in the same browser can send requests here; a name that an attacker points at 127.0.0.1 can even make
    them look like ours (DNS rebinding). The list of host names stops the second, the origin and the token, which no
    other page knows, the first.

    Args:
        app: What answers.
        port: Where it is served.
        token: What the address that was printed holds; it becomes a cookie of this site alone.
        policy: Content security policy of every answer.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, policy: str) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"{COOKIE}-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._headers = {
            "content-security-policy": f"{policy}; frame-ancestors 'none'",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            return
        refusal = self._refusal(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if refusal is None and scope["path"] == "/":
                    cookie = f"{self._cookie}={self._token.decode()}; Path=/; HttpOnly; SameSite=Strict"
                    headers.append("set-cookie", cookie)
            await send(message)

        if refusal is None:
            await self._app(scope, receive, answer)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
        else:
            status, words = refusal
            await PlainTextResponse(words, status)(scope, receive, answer)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or headers["host"] not in self._hosts:
            return 421, "this server answers to its own name only"
        if scope["type"] == "websocket" or "origin" in headers:
            origin = headers.get("origin", "")
            if origin != f"http://{headers['host']}":
                return 403, "another page may not ask"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _LONGEST:
            return 414, "too long"
        if not self._known(scope, headers):
            return 403, "open the address that devnet printed: it holds the token"
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return 405, "only reading is possible"
        return None

    def _known(self, scope: Scope, headers: Headers) -> bool:
        """Say whether a request holds the token: as a cookie, or, for the page itself, in its address."""
        given = [self._from_cookie(headers.get("cookie", ""))]
        if scope["type"] == "http" and scope["path"] == "/":
            given.append(QueryParams(scope["query_string"].decode("latin-1")).get("token", ""))
        return any(secrets.compare_digest(one.encode("utf-8", "replace"), self._token) for one in given)

    def _from_cookie(self, text: str) -> str:
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value
