"""Pages served from this machine to this machine: follow a run while it goes on, and play with a sheet's waves."""

from devnet._core.optional import require as _require

for _library in ("starlette", "uvicorn", "websockets"):
    _require(_library, extra="live")

from devnet.live.following import follow as follow  # noqa: E402
from devnet.live.playing import playground as playground  # noqa: E402
from devnet.live.server import Site as Site  # noqa: E402
from devnet.live.server import serve as serve  # noqa: E402
