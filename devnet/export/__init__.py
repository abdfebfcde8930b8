"""Grown networks for others to use: PyTorch modules whose features equal the simulator's, saved without pickle.

Stacks also go to snnTorch, ONNX and NIR.

PyTorch is loaded by the first call, not by the import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devnet.export.stack import LOST as LOST
from devnet.export.stack import stack_to_torch as stack_to_torch
from devnet.export.stack import to_nir as to_nir
from devnet.export.stack import to_onnx as to_onnx
from devnet.export.stack import to_snntorch as to_snntorch
from devnet.export.stack import write_stack as write_stack
from devnet.export.torch import load_network as load_network
from devnet.export.torch import save_network as save_network
from devnet.export.torch import to_torch as to_torch

if TYPE_CHECKING:
    from devnet.export._network import GrownNetwork as GrownNetwork
    from devnet.export._network import PoolingLayer as PoolingLayer


def __getattr__(name: str) -> Any:
    """Load a module class, and PyTorch with it, on first use."""
    if name in ("GrownNetwork", "PoolingLayer"):
        from devnet._core.optional import require

        require("torch", extra="torch")
        from devnet.export import _network

        return getattr(_network, name)
    raise AttributeError(f"module 'devnet.export' has no attribute {name!r}")
