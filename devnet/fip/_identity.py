"""What tells a problem, or a part of one, from another: plain data, by which a walk and a path know their own again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

from devnet._core.checkpoint import fingerprint
from devnet.fip._inputs import Inputs


def told(value: Any) -> Any:
    """Return what tells a part of a problem from another one.

    Args:
        value: Anything that a problem may hold.

    Returns:
        Plain data that JSON can hold: of arrays a digest, of functions the name.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided:
            value = value.detach().to_sparse_coo().coalesce()
            return [told(value.indices()), told(value.values()), list(value.shape)]
        flat = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        return fingerprint([str(value.dtype), list(value.shape)], flat)
    if isinstance(value, np.ndarray | np.generic):
        return fingerprint(np.asarray(value))
    if isinstance(value, Inputs):
        return [told(value.placed), told(value.named)]
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {f.name: told(getattr(value, f.name)) for f in fields(value)}]
    if isinstance(value, Mapping):
        return {str(name): told(part) for name, part in value.items()}
    if isinstance(value, Sequence):
        return [told(part) for part in value]
    if isinstance(value, torch.nn.Module):
        return told(value.state_dict())
    return (
        str(value) if isinstance(value, torch.dtype) else getattr(value, "__qualname__", type(value).__name__)
    )
