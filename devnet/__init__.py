"""devnet grows neural networks the way brains do, and then keeps them alive.

Five verbs; each takes frozen nouns and a seed and returns one frozen result::

    grow      -> Sheet        cells, positions, layers, lineage
    simulate  -> Recording    who fired when, wave statistics
    organize  -> Wiring       plastic weights between layers, pools
    to_torch  -> nn.Module    masks and positions as buffers
    traverse  -> Path         a functionally invariant path through weight space

Importing devnet is cheap: each name loads its room when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from devnet import data as data
    from devnet import export as export
    from devnet import fip as fip
    from devnet import measure as measure
    from devnet import tasks as tasks
    from devnet import viz as viz
    from devnet._core.random import Key as Key
    from devnet.export import to_torch as to_torch
    from devnet.fip import Path as Path
    from devnet.fip import Problem as Problem
    from devnet.fip import traverse as traverse
    from devnet.growth import grow as grow
    from devnet.io import load as load
    from devnet.io import save as save
    from devnet.organization import organize as organize
    from devnet.organization import organize_stack as organize_stack
    from devnet.organization import simulate_stack as simulate_stack
    from devnet.sheet import Recording as Recording
    from devnet.sheet import Scaffold as Scaffold
    from devnet.sheet import Sheet as Sheet
    from devnet.sheet import Stack as Stack
    from devnet.sheet import Wiring as Wiring
    from devnet.spec import ModelSpec as ModelSpec
    from devnet.spec import load_model as load_model
    from devnet.waves import simulate as simulate

_ROOM_OF = {
    "Key": "_core.random",
    "ModelSpec": "spec",
    "Path": "fip",
    "Problem": "fip",
    "Recording": "sheet",
    "Scaffold": "sheet",
    "Sheet": "sheet",
    "Stack": "sheet",
    "Wiring": "sheet",
    "grow": "growth",
    "load": "io",
    "load_model": "spec",
    "organize": "organization",
    "organize_stack": "organization",
    "save": "io",
    "simulate": "waves",
    "simulate_stack": "organization",
    "to_torch": "export",
    "traverse": "fip",
}
_ROOMS = ("data", "export", "fip", "measure", "tasks", "viz")

__all__ = ["__version__", *_ROOM_OF, *_ROOMS]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a public name from its room on first use."""
    if name in _ROOM_OF:
        value = getattr(import_module(f"devnet.{_ROOM_OF[name]}"), name)
    elif name in _ROOMS:
        value = import_module(f"devnet.{name}")
    else:
        raise AttributeError(f"module 'devnet' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
