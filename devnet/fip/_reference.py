"""The reference: what the network did before it was moved, and on which inputs that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.fip._batches import Batches
from devnet.fip._inputs import Batch, Inputs
from devnet.fip._network import Network


def as_labels(field: str, labels: Any, inputs: Batch, classes: int | None = None) -> Tensor:
    """Return class numbers as a tensor beside their inputs.

    Args:
        field: Argument name that an error shall show.
        labels: Integers ``[N]``, tensor or array.
        inputs: The N inputs they belong to.
        classes: Outputs of the network; None does not ask.

    Returns:
        An int64 tensor on the inputs' device.

    Raises:
        ConfigError: Not one non-negative integer for each input, or one that the network has no output for.
    """
    try:
        given = torch.as_tensor(np.array(labels) if isinstance(labels, np.ndarray) else labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(field, labels, f"{len(inputs)} class numbers of at least 0") from error
    if given.shape != (len(inputs),) or given.is_floating_point() or bool((given < 0).any()):
        raise ConfigError(
            field, f"{given.dtype} {tuple(given.shape)}", f"{len(inputs)} class numbers of at least 0"
        )
    if classes is not None and int(given.max()) >= classes:
        raise ConfigError(field, int(given.max()), f"class numbers below {classes}, the number of outputs")
    return given.to(inputs.device, torch.int64)


def _advice(why: str, inputs: Batch, network: Network) -> str:
    """Return what helps where integers met weights of another type."""
    kinds = {t.dtype for t in inputs.tensors} if isinstance(inputs, Inputs) else {inputs.dtype}
    whole = ", ".join(sorted(str(k).removeprefix("torch.") for k in kinds if not k.is_floating_point))
    if not whole or "type" not in why:
        return ""
    weights = str(network.weights.dtype).removeprefix("torch.")
    return f"; inputs are {whole}, the module's weights {weights}: convert, for example x / 255"


@final
@dataclass(frozen=True)
class Reference:
    """Inputs and the cached outputs of the frozen network, drawn in a reproducible order.

    Attributes:
        inputs: ``[N, ...]``, one tensor or several.
        outputs: What the network answered before it moved, ``[N, ..., C]``.
        key: Source of the order of mini-batches.
    """

    inputs: Batch
    outputs: Tensor
    key: Key

    @staticmethod
    def of(network: Network, inputs: Batch, key: Key) -> Reference:
        """Ask a network for its outputs, once.

        Args:
            network: The network before it moves.
            inputs: Reference inputs.
            key: Source of randomness.

        Returns:
            The reference.

        Raises:
            ConfigError: The network fails on these inputs, or its outputs are not finite floating-point numbers
                ``[N, ..., C]``, or differ from one call to the next.
        """
        dense = {n: b for n, b in network.module.named_buffers() if b.layout is torch.strided}
        buffers = {n: b.clone() for n, b in dense.items()}
        try:
            outputs = network.outputs(inputs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ConfigError(
                "inputs",
                tuple(inputs.shape),
                f"inputs that the module takes ({why}){_advice(why, inputs, network)}",
            ) from error
        if not outputs.is_floating_point() or not bool(outputs.isfinite().all()):
            raise ConfigError(
                "module", "its outputs", "a module whose outputs are finite floating-point numbers"
            )
        few = inputs[:16]
        if not torch.equal(network.outputs(few), network.outputs(few)):
            raise ConfigError("module", "a random output", "a module that draws nothing in evaluation mode")
        for name, buffer in network.module.named_buffers():
            if name in buffers and not torch.equal(buffer, buffers[name]):
                raise ConfigError(
                    "module", f"buffer {name} that changes", "a module whose buffers stay in evaluation mode"
                )
        return Reference(inputs, outputs, key)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.inputs)

    def take(self, index: Tensor) -> tuple[Batch, Tensor]:
        """Return inputs and outputs of the numbered examples."""
        return self.inputs.index_select(0, index), self.outputs.index_select(0, index)

    def batches(self, stream: str, size: int) -> Batches:
        """Return the order of mini-batches that a stream of that name gives."""
        return Batches(self.key.stream(stream), len(self), size, self.inputs.device)

    def draw(self, stream: str, step: int, size: int) -> tuple[Batch, Tensor]:
        """Return a random subset without repetition; all examples in order where there are no more than ``size``."""
        if size >= len(self):
            return self.inputs, self.outputs
        index = self.key.stream(stream).permutation(step, len(self))[:size]
        return self.take(torch.from_numpy(index).to(self.inputs.device))
