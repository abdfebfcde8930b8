"""What the continual studies share: candidates for tuning, and methods scored on every task at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from devnet.tasks import accuracy
from devnet.tasks.continual import Affine, Method, Task, learn_tasks

Candidate = tuple[Method, float]
"""A method and a rate."""


def candidates(
    families: Mapping[str, Sequence[Method]], rates: Sequence[float]
) -> dict[str, dict[str, Candidate]]:
    """Return as many candidates for each family as there are rates: who has n strengths takes every n-th rate."""
    return {
        name: {
            f"{method}, rate {rate:g}": (method, rate)
            for method in methods
            for rate in rates[:: len(methods)]
        }
        for name, methods in families.items()
    }


def learned(
    make: Callable[[int], nn.Module],
    train: Sequence[Task],
    test: Sequence[Task],
    method: Method,
    seed: int,
    *,
    steps: int,
    batch: int,
    stored: int,
    rate: float = 0.1,
    final: float = 0.0,
    clip: float = 2.0,
    augment: Affine | None = None,
) -> np.ndarray:
    """Return the accuracy on each task after the last one, %."""
    torch.set_num_threads(1)
    last = learn_tasks(
        make(seed),
        train,
        method,
        steps=steps,
        batch=batch,
        stored=stored,
        rate=rate,
        final=final,
        clip=clip,
        augment=augment,
        rng=seed,
    )[-1]
    return 100 * np.array([accuracy(last, *task) for task in test])
