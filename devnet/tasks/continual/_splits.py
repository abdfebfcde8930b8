"""Sequences of tasks made from one labelled set: its classes in turn, or its inputs in ever other orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.random import as_key

Task = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]
"""Inputs and class numbers."""


def split_classes(inputs: npt.ArrayLike, labels: npt.ArrayLike, *, per_task: int = 2) -> list[Task]:
    """Split a set into tasks of some classes each, in the order of their numbers.

    Args:
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``; they stay as they are.
        per_task: Classes a task.

    Returns:
        The tasks.

    Raises:
        ConfigError: Inputs and labels differ in number, or a bad number of classes.
    """
    x, y = _checked(inputs, labels)
    whole("per_task", per_task)
    groups = y // per_task
    return [(x[groups == g], y[groups == g]) for g in np.unique(groups)]


def permute_inputs(
    inputs: npt.ArrayLike, labels: npt.ArrayLike, *, count: int = 10, rng: Any = None
) -> list[Task]:
    """Repeat a set with its features in other orders; the first task has them as they are.

    Args:
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        count: Number of tasks.
        rng: Seed, generator or key of the orders. The same one gives the same orders to a training and a test set.

    Returns:
        The tasks, inputs flattened to ``[N, F]``.

    Raises:
        ConfigError: Inputs and labels differ in number, or a bad number of tasks.
    """
    x, y = _checked(inputs, labels)
    whole("count", count)
    x, stream = x.reshape(len(x), -1), as_key(rng).stream("order of inputs")
    orders = [np.arange(x.shape[1]), *(stream.permutation(t, x.shape[1]) for t in range(1, count))]
    return [(x[:, order], y) for order in orders]


def _checked(inputs: npt.ArrayLike, labels: npt.ArrayLike) -> Task:
    x, y = np.asarray(inputs), np.asarray(labels)
    if y.ndim != 1 or len(x) != len(y) or y.dtype.kind not in "iu" or not len(y):
        raise ConfigError("labels", f"{y.dtype} {y.shape}", f"{len(x)} class numbers, at least one")
    return x, y.astype(np.int64)
