"""The linearization of a network at a point: products with its Jacobian and the transposed one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from devnet.fip._inputs import Batch
from devnet.fip._network import Network, seeded


class Linearization:
    """Outputs and Jacobian products of a network on some inputs, each graph built once.

    Attributes:
        outputs: The outputs at the point.
    """

    def __init__(self, network: Network, weights: Tensor, inputs: Batch) -> None:
        # Plain autograd, not torch.func.vjp: that one loads the compiler, over a second in every process.
        self._weights = weights.clone().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):  # fused attention cannot be differentiated twice
            self._live = network.function(inputs)(self._weights)
        self.outputs: Tensor = self._live.detach()
        self._transpose: tuple[Tensor, Tensor] | None = None

    def mv(self, v: Tensor) -> Tensor:
        """Return ``J v``."""
        if self._transpose is None:
            # u -> J^T u is linear, so its own transpose is v -> J v, and either graph is built only once.
            u = torch.zeros_like(self.outputs).requires_grad_()
            self._transpose = u, _pull(self._live, self._weights, u, create_graph=True)
        u, pulled = self._transpose
        return _pull(pulled, u, v)

    def rmv(self, u: Tensor) -> Tensor:
        """Return ``J^T u``."""
        return _pull(self._live, self._weights, u)


def _pull(outputs: Tensor, inputs: Tensor, seed: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return the transposed Jacobian of ``outputs`` by ``inputs`` times ``seed``, keeping the graph."""
    return torch.autograd.grad(seeded(outputs, seed), inputs, retain_graph=True, create_graph=create_graph)[0]
