r"""Small stand-ins of a metric tensor that can be kept, multiplied and inverted without the network.

``Diagonal`` keeps :math:`diag(g)`; ``LowRank`` the leading eigenvectors, and what is left of the trace spread evenly
over all other directions. Both are symmetric and positive semi-definite, so that a damped one has an inverse.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from devnet._core.checks import positive, whole
from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip._metric import LocalMetric
from devnet.fip._spectrum import Spectrum


class Form(ABC):
    """A symmetric, positive semi-definite matrix ``[P, P]`` in few numbers."""

    @abstractmethod
    def mv(self, v: Tensor) -> Tensor:
        """Return the product with a vector ``[P]``."""

    @abstractmethod
    def solve(self, v: Tensor, damping: float) -> Tensor:
        r"""Return :math:`(G + \mu 1)^{-1} v`.

        Args:
            v: Vector ``[P]``.
            damping: mu, above 0.

        Returns:
            Vector ``[P]``.

        Raises:
            ConfigError: A damping that is not above 0.
        """

    @final
    def quadratic(self, v: Tensor) -> float:
        """Return ``v^T G v``: twice the divergence that a step causes, as far as the form knows."""
        return max(0.0, float(v.double().dot(self.mv(v).double())))


@final
@dataclass(frozen=True, eq=False)
class Diagonal(Form):
    """The diagonal of a metric tensor.

    Attributes:
        values: Its entries, ``[P]``, at least 0.
    """

    values: Tensor

    @staticmethod
    def estimate(local: LocalMetric, *, probes: int = 8, rng: Any = None) -> Diagonal:
        """Estimate a diagonal with random signs (see ``LocalMetric.diagonal``).

        Args:
            local: The metric tensor.
            probes: Sign vectors; the relative variance of an entry is at most 2 over their number.
            rng: Seed, generator or key.

        Returns:
            The form.

        Raises:
            ConfigError: Bad number of probes.
        """
        whole("probes", probes)
        return Diagonal(local.diagonal(local.signs(as_key(rng).stream("signs"), probes=probes)))

    def mv(self, v: Tensor) -> Tensor:
        """Return the entry-wise product."""
        return self.values * v

    def solve(self, v: Tensor, damping: float) -> Tensor:
        """Return the entry-wise quotient."""
        positive("damping", damping)
        return v / (self.values + damping)


@final
@dataclass(frozen=True, eq=False)
class LowRank(Form):
    r"""Leading eigenvectors and an even remainder: :math:`V \Lambda V^T + \rho (1 - V V^T)`.

    Attributes:
        values: Leading eigenvalues :math:`\Lambda`, ``[k]``.
        vectors: Their orthonormal eigenvectors :math:`V^T`, ``[k, P]``.
        remainder: :math:`\rho`, the mean of all other eigenvalues.
    """

    values: Tensor
    vectors: Tensor
    remainder: float

    @staticmethod
    def of(local: LocalMetric, count: int) -> LowRank:
        """Take the leading eigenvectors of a metric tensor from its dual Gram matrix.

        Args:
            local: The metric tensor.
            count: Eigenvectors to keep, below the number of weights; fewer where the metric has a lower rank.

        Returns:
            The form; its trace is that of the tensor.

        Raises:
            ConfigError: Bad count, or the module mixes its examples.
            ResourceError: The Gram matrix does not fit.
        """
        size = len(local.weights)
        whole("count", count)
        if count >= size:
            raise ConfigError("count", count, f"an integer below the number of weights, {size}")
        found = Spectrum.exact(local, count)
        kept = len(found.vectors)
        rest = float(found.values[kept:].sum()) / (size - kept)
        return LowRank(found.values[:kept].to(found.vectors), found.vectors, rest)

    def _apply(self, v: Tensor, inside: Tensor, outside: float) -> Tensor:
        """Return ``V inside V^T v + outside (1 - V V^T) v``."""
        return outside * v + self.vectors.T @ ((inside - outside) * (self.vectors @ v))

    def mv(self, v: Tensor) -> Tensor:
        """Return the product."""
        return self._apply(v, self.values, self.remainder)

    def solve(self, v: Tensor, damping: float) -> Tensor:
        """Return the product with the damped inverse, which has the same eigenvectors."""
        positive("damping", damping)
        return self._apply(v, 1.0 / (self.values + damping), 1.0 / (self.remainder + damping))
