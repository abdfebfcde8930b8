"""The linearization of a network at a point: products with its Jacobian and the transposed one."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from devnet.fip._inputs import Batch
from devnet.fip._layout import CONVOLUTIONS
from devnet.fip._network import Network, seeded


class Linearization:
    """Outputs and Jacobian products of a network on some inputs, each graph built once.

    ``J v`` is the transpose of ``J^T u``, whose graph is kept. Convolutions are differentiated forwards instead: their
    second derivative costs twice that (ResNet-18: 1.35 against 0.8 of a training step).

    Attributes:
        outputs: The outputs at the point.
    """

    def __init__(self, network: Network, weights: Tensor, inputs: Batch) -> None:
        # Plain autograd, not torch.func.vjp: that one loads the compiler, over a second in every process.
        self._weights = weights.clone().requires_grad_()
        self._function = network.function(inputs)
        self._forwards = any(isinstance(m, CONVOLUTIONS) for m in network.module.modules())
        with sdpa_kernel(SDPBackend.MATH):  # fused attention cannot be differentiated twice
            self._live = self._function(self._weights)
        self.outputs: Tensor = self._live.detach()
        self._transpose: tuple[Tensor, Tensor] | None = None

    def mv(self, v: Tensor) -> Tensor:
        """Return ``J v``."""
        if self._forwards:
            try:
                return self._push(v)
            except NotImplementedError:  # an operation that has no forward derivative
                self._forwards = False
        if self._transpose is None:
            # u -> J^T u is linear, so its own transpose is v -> J v, and either graph is built only once.
            u = torch.zeros_like(self.outputs).requires_grad_()
            self._transpose = u, _pull(self._live, self._weights, u, create_graph=True)
        u, pulled = self._transpose
        return _pull(pulled, u, v)

    def _push(self, v: Tensor) -> Tensor:
        """Return ``J v`` by forward differentiation."""
        with warnings.catch_warnings(), torch.no_grad(), forward_ad.dual_level():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, at its first use
            moved = self._function(forward_ad.make_dual(self._weights.detach(), v))
            tangent = forward_ad.unpack_dual(moved).tangent
        return torch.zeros_like(self.outputs) if tangent is None else tangent

    def rmv(self, u: Tensor) -> Tensor:
        """Return ``J^T u``."""
        return _pull(self._live, self._weights, u)


def _pull(outputs: Tensor, inputs: Tensor, seed: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return the transposed Jacobian of ``outputs`` by ``inputs`` times ``seed``, keeping the graph."""
    return torch.autograd.grad(seeded(outputs, seed), inputs, retain_graph=True, create_graph=create_graph)[0]
