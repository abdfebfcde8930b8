"""What jobs are given: inputs with class numbers, checked against what the network answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet.fip import Network
from devnet.fip._inputs import Batch, as_inputs
from devnet.fip._reference import as_labels


def one_tensor(field: str, inputs: Any, like: Tensor) -> Tensor:
    """Return inputs of a module that takes one tensor.

    Args:
        field: Argument name that an error shall show.
        inputs: ``[N, ...]``.
        like: A tensor of the network's type and device.

    Returns:
        The tensor on the network's device.

    Raises:
        ConfigError: Several tensors, or what ``as_inputs`` refuses.
    """
    x = as_inputs(field, inputs, like)
    if not isinstance(x, Tensor):
        raise ConfigError(field, "several tensors", "one tensor")
    return x


def classified(outputs: Tensor, labels: Tensor, field: str = "labels") -> None:
    """Refuse what is no classification: one row of class scores for each label, and a column for its class.

    Args:
        outputs: What the module answers to these examples or the first of them, ``[M, C]``.
        labels: Class numbers ``[N]``.
        field: Argument name of the labels that an error shall show.

    Raises:
        ConfigError: Outputs of another shape, or a class without an output.
    """
    if outputs.ndim != 2:
        raise ConfigError("module", f"outputs {tuple(outputs.shape)}", "a classifier with outputs [N, C]")
    most, classes = int(labels.max()), outputs.shape[1]
    if most >= classes:
        raise ConfigError(field, most, f"class numbers below {classes}, the number of outputs")


def labels_of(network: Network, inputs: Batch, labels: Any, field: str = "labels") -> Tensor:
    """Return the labels of a classifier's inputs.

    Args:
        network: The classifier.
        inputs: ``[N, ...]``, one tensor or several.
        labels: Class numbers ``[N]``, tensor or array.
        field: Argument name of the labels that an error shall show.

    Returns:
        Class numbers on the inputs' device.

    Raises:
        ConfigError: Inputs, labels and outputs ``[N, C]`` do not fit together.
    """
    y = as_labels(field, labels, inputs)
    classified(network.outputs(inputs[:1]), y, field)
    return y


def spread(inputs: Tensor, count: int) -> Tensor:
    r"""Return examples evenly spaced over a task, numbers :math:`\lfloor k N / count \rfloor`; all if there are fewer.

    The first ones would do only for a task in random order: sorted by class, they are of one class.

    Args:
        inputs: ``[N, ...]``.
        count: Examples wanted.

    Returns:
        At most ``count`` examples.
    """
    if count >= len(inputs):
        return inputs
    return inputs[torch.arange(count, device=inputs.device) * len(inputs) // count]
