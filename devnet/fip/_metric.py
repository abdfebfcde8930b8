r"""Metrics: how far two outputs of a network are apart, and what that says about a step in its weights.

A metric is a divergence :math:`d(z, z_0) \ge 0` between the outputs of two networks for one input. Its second
derivative at the point, :math:`H`, makes the weight-space metric of F24,

.. math:: g(w) = \frac{1}{N} \sum_i J_i^T H_i J_i, \qquad \frac{1}{N} \sum_i d(z_i(w + v), z_i(w)) \approx
          \tfrac12 v^T g(w) v .

All products are matrix-free. ``Euclidean`` is the template: a new metric is a divergence, the product ``H u``, and
the products with a factor ``B`` of ``H = B B^T``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from devnet._core.checks import within
from devnet._core.errors import ConfigError
from devnet._core.random import Stream
from devnet.fip._inputs import Batch
from devnet.fip._linear import Linearization
from devnet.fip._network import Network, seeded


class Metric(ABC):
    """Geometry of the output space, pulled back to the weights."""

    @abstractmethod
    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return :math:`d(z_i, z_{0,i})` for each example.

        Args:
            outputs: :math:`z`, shape ``[N, ..., C]``.
            reference: :math:`z_0`, same shape.

        Returns:
            Vector ``[N]``, summed over the dimensions between; differentiable in ``outputs``.
        """

    @abstractmethod
    def residual(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return the derivative of the divergence with respect to ``outputs``, a new tensor ``[N, ..., C]``."""

    @abstractmethod
    def output_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``H u`` for each example; ``outputs`` is where ``H`` is taken, all shapes ``[N, ..., C]``."""

    @abstractmethod
    def factor_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``B u`` with ``B B^T = H``; shapes as in ``output_mv``, ``u`` has ``factors`` times the columns."""

    @property
    def factors(self) -> int:
        """Columns of ``B`` for each output."""
        return 1

    def check(self, outputs: Tensor) -> None:  # noqa: B027  (a hook)
        """Refuse outputs that the metric says nothing about; by default none.

        Args:
            outputs: What the network answers, ``[N, ..., C]``.

        Raises:
            ConfigError: The metric is 0 whatever they do.
        """

    @final
    def at(self, network: Network, inputs: Batch) -> LocalMetric:
        """Return the metric tensor at the present weights of a network.

        Args:
            network: Where the metric is taken; its weights may move afterwards, the tensor stays.
            inputs: The N reference inputs.

        Returns:
            A linear operator.

        Raises:
            ConfigError: The metric says nothing about the outputs.
        """
        return LocalMetric(self, network, inputs)


@final
class LocalMetric:
    r"""The metric tensor :math:`g = \frac1N \sum_i J_i^T H_i J_i` at one point: symmetric, positive semi-definite.

    Attributes:
        metric: Geometry of the outputs.
        network: The network; it may have moved on since.
        inputs: The N reference inputs.
        weights: The point in weight space, ``[P]``.
        outputs: The outputs at that point.
    """

    def __init__(self, metric: Metric, network: Network, inputs: Batch) -> None:
        self.metric = metric
        self.network = network
        self.inputs = inputs
        self._count = len(inputs)
        self.weights: Tensor = network.weights.detach().clone()
        self._kept: dict[tuple[int, int], Linearization] = {}
        self.outputs: Tensor = (
            network.outputs(inputs)
            if network.layout.shard is not None or network.precision is not None
            else network.joined(self._count, lambda rows: self._linear(rows).outputs)
        )
        metric.check(self.outputs)

    def _linear(self, rows: slice) -> Linearization:
        """Return the linearization on some of the inputs; it is kept unless memory was short."""
        if self.network.micro_batch < self._count:
            self._kept.clear()
            return Linearization(self.network, self.weights, self.inputs[rows])
        place = rows.start, rows.stop
        if place not in self._kept:
            self._kept[place] = Linearization(self.network, self.weights, self.inputs[rows])
        return self._kept[place]

    def jacobian_mv(self, v: Tensor) -> Tensor:
        """Return ``J v``: the first-order change of the outputs, ``[N, ..., C]``."""
        return self.network.joined(self._count, lambda rows: self._linear(rows).mv(v))

    def jacobian_rmv(self, u: Tensor) -> Tensor:
        """Return ``J^T u``: output vectors pulled back to the weights, ``[P]``.

        Where weights are cut among processes the network is asked anew, and must stand where it stood.
        """
        if self.network.layout.shard is not None:
            return self.network.slope(
                self._count, lambda rows: seeded(self.network(self.inputs[rows]), u[rows])
            )[1]
        return self.network.summed(self._count, lambda rows, _: self._linear(rows).rmv(u[rows]))

    def mv(self, v: Tensor) -> Tensor:
        """Return ``g v``.

        Args:
            v: Vector ``[P]``.

        Returns:
            Vector ``[P]``.
        """
        u = self.metric.output_mv(self.outputs, self.jacobian_mv(v))
        return self.jacobian_rmv(u) / self._count

    def quadratic(self, v: Tensor) -> float:
        """Return ``v^T g v`` from the change of the outputs, so that it is never negative.

        Args:
            v: Vector ``[P]``.

        Returns:
            Twice the mean divergence that a step ``v`` causes, to second order.
        """
        u = self.jacobian_mv(v).double()
        return max(0.0, float((u * self.metric.output_mv(self.outputs.double(), u)).sum()) / self._count)

    def gradient(self, reference: Tensor) -> Tensor:
        """Return the gradient of the mean divergence from ``reference`` outputs, ``[P]``."""
        return self.jacobian_rmv(self.metric.residual(self.outputs, reference)) / self._count

    def signs(self, stream: Stream, step: int = 0, probes: int = 1) -> Tensor:
        """Draw random signs for ``diagonal``.

        Args:
            stream: Where they come from.
            step: Which of its draws.
            probes: Sign vectors, R.

        Returns:
            ``[R, N, ..., factors * C]``.
        """
        shape = (probes, *self.outputs.shape[:-1], self.metric.factors * self.outputs.shape[-1])
        words = stream.words(step, math.prod(shape))
        return (torch.from_numpy((words >> 31).astype("int8")).to(self.outputs) * 2.0 - 1.0).view(shape)

    def diagonal(self, signs: Tensor) -> Tensor:
        r"""Estimate the diagonal of ``g``.

        With independent signs :math:`\epsilon = \pm 1`, :math:`E[(J^T B \epsilon)^2 / N] = diag(g)`; the relative
        variance of an entry is at most 2 over the number of probes.

        Args:
            signs: R probes; see ``signs``.

        Returns:
            Vector ``[P]``, non-negative.
        """
        total = torch.zeros(0)
        for probe in signs:
            square = self.jacobian_rmv(self.metric.factor_mv(self.outputs, probe)).square_()
            total = total.add_(square) if total.numel() else square
        return total / (len(signs) * self._count)


def _sum_but_first(x: Tensor) -> Tensor:
    """Sum over all dimensions but the first."""
    return x.flatten(1).sum(1)


@final
@dataclass(frozen=True)
class Euclidean(Metric):
    r"""Squared distance of the outputs (logits): :math:`d = \frac12 \|z - z_0\|^2`, :math:`H = 1`, so g = J^T J.

    Unlike the softmax metric it sees offsets that a confident network's probabilities hide.
    """

    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return half the squared distance for each example."""
        return 0.5 * _sum_but_first((outputs - reference).square())

    def residual(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return the difference of the outputs."""
        return outputs - reference

    def output_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``u``."""
        return u

    def factor_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``u``."""
        return u


@final
@dataclass(frozen=True)
class Fisher(Metric):
    r"""Bhattacharyya distance of the softmax outputs, whose curvature is the Fisher metric (F24).

    :math:`d = -4 \log \sum_c \sqrt{p_c q_c}`, computed in the log domain; :math:`H = diag(p) - p p^T`, the same
    curvature as the Kullback-Leibler divergence. The last dimension of the outputs holds the classes; of a single one
    the softmax is always 1, so that such networks are refused.
    """

    def check(self, outputs: Tensor) -> None:
        """Refuse a single output.

        Raises:
            ConfigError: There is one.
        """
        if outputs.shape[-1] == 1:
            raise ConfigError("metric", f"{type(self).__name__} of one output", "Euclidean()")

    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return four times the Bhattacharyya distance for each example."""
        log_p = outputs.log_softmax(-1)
        log_q = reference.log_softmax(-1)
        distance = -4.0 * (0.5 * (log_p + log_q)).logsumexp(-1)
        return distance if distance.ndim == 1 else _sum_but_first(distance)

    def residual(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return ``2 (p - r)``, r being the normalized geometric mean of both distributions."""
        return (outputs.softmax(-1) - (outputs + reference).mul_(0.5).softmax(-1)).mul_(2.0)

    def output_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``(diag p - p p^T) u``."""
        p = outputs.softmax(-1)
        pu = p * u
        return pu - p * pu.sum(-1, keepdim=True)

    def factor_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``(diag sqrt(p) - p sqrt(p)^T) u``."""
        p = outputs.softmax(-1)
        su = p.sqrt() * u
        return su - p * su.sum(-1, keepdim=True)


@final
@dataclass(frozen=True)
class Mixed(Metric):
    """Fisher plus a small Euclidean part: ``H = diag p - p p^T + euclidean * 1``.

    The Fisher metric of a trained classifier is numerically of rank 10 to 50; the Euclidean part fixes what it
    leaves open.

    Attributes:
        euclidean: Weight of the Euclidean part (ours: 0.05).
    """

    euclidean: float = 0.05

    def __post_init__(self) -> None:
        within("metric.euclidean", self.euclidean, 0.0, math.inf)

    @property
    def factors(self) -> int:
        """Two: one block for either part."""
        return 2

    def check(self, outputs: Tensor) -> None:
        """Refuse a single output where there is no Euclidean part.

        Raises:
            ConfigError: So it is.
        """
        if not self.euclidean:
            Fisher().check(outputs)

    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return the weighted sum of both divergences."""
        fisher = Fisher().divergence(outputs, reference)
        return fisher + self.euclidean * Euclidean().divergence(outputs, reference)

    def residual(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return the weighted sum of both derivatives."""
        return Fisher().residual(outputs, reference).add_(outputs - reference, alpha=self.euclidean)

    def output_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return the weighted sum of both products."""
        return Fisher().output_mv(outputs, u) + self.euclidean * u

    def factor_mv(self, outputs: Tensor, u: Tensor) -> Tensor:
        """Return ``[B_Fisher, sqrt(euclidean) 1] u``."""
        first, second = u.chunk(2, dim=-1)
        return Fisher().factor_mv(outputs, first) + self.euclidean**0.5 * second
