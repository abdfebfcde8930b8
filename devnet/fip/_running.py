"""How a module runs on a path: evaluation mode throughout, batch-norm statistics frozen, or measured anew beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet.fip._inputs import as_inputs, call
from devnet.fip._layout import copied
from devnet.fip._network import BATCH_NORMS


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a while; every part then has its own mode back, also one that was frozen.

    Args:
        module: The module.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def recalibrate(module: nn.Module, inputs: Any, *, batch: int = 256) -> nn.Module:
    """Measure the statistics of all batch normalizations anew, on inputs without labels.

    Paths leave them as they were in the module that was handed in. Where a network has moved far (half of its units
    gone, say) its activations have other means and variances; this takes them from data. All else stays, dropout is
    off.

    Args:
        module: The network; it is not touched.
        inputs: ``[N, ...]``; at least two examples.
        batch: Examples a forward pass takes at once; means and variances are averaged over nearly equal passes, so
            they are exact where N is no larger.

    Returns:
        A copy with fresh statistics, in the mode of the module.

    Raises:
        ConfigError: No batch normalization that keeps statistics, or too few inputs.
    """
    whole("batch", batch, 2)
    if not isinstance(module, nn.Module):
        raise ConfigError("module", type(module).__name__, "a torch.nn.Module")
    fresh = copied(module).eval()
    norms = [m for m in fresh.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
    if not norms:
        raise ConfigError("module", type(module).__name__, "a module with batch normalization")
    x = as_inputs("inputs", inputs, next(fresh.parameters(), torch.zeros(0)).detach())
    if len(x) < 2:
        raise ConfigError("inputs", len(x), "at least two examples")
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the passes
        norm.train()
    with torch.no_grad():
        for rows in np.array_split(np.arange(len(x)), max(1, -(-len(x) // batch))):
            call(fresh, x[int(rows[0]) : int(rows[-1]) + 1])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for mine, theirs in zip(fresh.modules(), module.modules(), strict=True):
        mine.training = theirs.training
    return fresh
