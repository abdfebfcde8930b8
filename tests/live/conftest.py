"""A site with one part, served as `devnet view` and `devnet play` serve theirs, but on a thread of the test."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="the extra live is not installed")
pytest.importorskip("starlette", reason="the extra live is not installed")

from devnet.live.server import Site  # noqa: E402

TOKEN = "a-token-that-nobody-guesses"


async def echo(websocket):
    await websocket.accept()
    await websocket.send_bytes(b"\x07")
    await websocket.close()


@pytest.fixture(scope="session")
def site():
    return Site(
        mode="play",
        title="<script>alert(1)</script>",
        name="a run",
        version="0",
        listing=lambda: {"parts": {"sheet": "1"}, "stages": []},
        part={"sheet": b"the sheet"}.get,
        stream=echo,
    )


class Asker:
    """Sends requests exactly as they are written."""

    def __init__(self, port):
        self.port = port

    def __call__(self, target, *, method="GET", host=None, token=TOKEN, cookie=True, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name in host if isinstance(host, list) else [host or f"127.0.0.1:{self.port}"]:
            connection.putheader("Host", name)
        if cookie and token is not None:
            connection.putheader("Cookie", f"devnet-{self.port}={token}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body

    def upgrade(self, **headers):
        """Ask for a WebSocket."""
        usual = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version": "13",
        }
        return self("/stream", **{"Origin": f"http://127.0.0.1:{self.port}", **usual, **headers})


@pytest.fixture(scope="session")
def ask(site):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(site.app(port, TOKEN), log_level="critical", lifespan="off", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    end = time.monotonic() + 10
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    yield Asker(port)
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
