"""Inputs of a module: one tensor, or several that belong together example by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np
import torch
from torch import Tensor, nn

from devnet._core.errors import ConfigError


@final
class Inputs:
    """Several tensors with the same number of examples, for modules of more than one argument.

    Args:
        placed: Positional arguments of the module.
        named: Its keyword arguments.

    Attributes:
        placed: As above.
        named: As above.
        tensors: All of them.
    """

    def __init__(self, placed: Sequence[Tensor], named: Mapping[str, Tensor] | None = None) -> None:
        self.placed = tuple(placed)
        self.named = dict(named or {})
        self.tensors = (*self.placed, *self.named.values())

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.tensors[0])

    @property
    def shape(self) -> tuple[Any, ...]:
        """Number of examples, then the shape of an example of every tensor."""
        return (len(self), *(tuple(t.shape[1:]) for t in self.tensors))

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.tensors[0].device

    def __getitem__(self, rows: slice) -> Inputs:
        """Return a run of examples."""
        return Inputs([t[rows] for t in self.placed], {n: t[rows] for n, t in self.named.items()})

    def index_select(self, dim: int, index: Tensor) -> Inputs:
        """Return the numbered examples; ``dim`` is 0."""
        placed = [t.index_select(dim, index) for t in self.placed]
        return Inputs(placed, {n: t.index_select(dim, index) for n, t in self.named.items()})


Batch: TypeAlias = Tensor | Inputs
"""Examples as a module takes them."""


def arguments(inputs: Batch) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Return the positional and keyword arguments of a module: copies, since it may work in place on them."""
    if isinstance(inputs, Inputs):
        return tuple(t.clone() for t in inputs.placed), {n: t.clone() for n, t in inputs.named.items()}
    return (inputs.clone(),), {}


def call(module: nn.Module, inputs: Batch) -> Any:
    """Return what a module answers."""
    placed, named = arguments(inputs)
    return module(*placed, **named)


def as_inputs(field: str, inputs: Any, like: Tensor) -> Batch:
    """Return inputs as tensors on the network's device; floating inputs take the network's type.

    Args:
        field: Argument name that an error shall show.
        inputs: Tensor or NumPy array with examples along the first dimension; or a tuple of these (positional
            arguments of the module), or a mapping (keyword arguments).
        like: A tensor of the network's type and device.

    Returns:
        A tensor, or several as ``Inputs``.

    Raises:
        ConfigError: None of these, no example, unequal numbers of examples, or numbers that are not finite.
    """
    if not isinstance(inputs, Mapping | tuple):
        return _tensor(field, inputs, like)
    if isinstance(inputs, Mapping):
        named = {str(n): _tensor(f"{field}.{n}", t, like) for n, t in inputs.items()}
        several = Inputs([], named) if named else None
    else:
        placed = [_tensor(f"{field}[{i}]", t, like) for i, t in enumerate(inputs)]
        several = Inputs(placed) if placed else None
    counts = [] if several is None else [len(t) for t in several.tensors]
    if several is None or len(set(counts)) > 1:
        raise ConfigError(field, counts, "tensors with the same number of examples, at least one")
    return several


def _tensor(field: str, inputs: Any, like: Tensor) -> Tensor:
    """Check one tensor of inputs and bring it to the network's device and type."""
    if isinstance(inputs, np.ndarray):
        try:
            inputs = torch.from_numpy(np.array(inputs))
        except TypeError as error:
            raise ConfigError(field, f"array of {inputs.dtype}", "an array of numbers") from error
    if not isinstance(inputs, Tensor) or inputs.ndim < 1 or len(inputs) == 0:
        held = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise ConfigError(
            field, held, "a tensor or array with at least one example along its first dimension"
        )
    if inputs.is_floating_point():
        inputs = inputs.to(like)
        if not bool(inputs.isfinite().all()):
            raise ConfigError(field, "inputs with NaN or infinity", "finite numbers")
        return inputs
    return inputs.to(like.device)
