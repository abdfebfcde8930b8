"""The eigenvalues of a metric tensor: in which directions of weight space the outputs move, and in how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.random import Stream, as_key
from devnet.fip._gram import gram_matrix
from devnet.fip._metric import LocalMetric


@final
@dataclass(frozen=True, eq=False)
class Spectrum:
    r"""Largest eigenvalues and eigenvectors of a metric tensor, :math:`g\,v_k = \lambda_k v_k` (F24, R20).

    Attributes:
        values: Eigenvalues found, falling, float64 ``[m]``; all non-zero ones where ``exact`` made it.
        vectors: Orthonormal eigenvectors of the first k of them, a row each, ``[k, P]``.
    """

    values: Tensor
    vectors: Tensor

    @property
    def effective_rank(self) -> float:
        r"""Participation ratio :math:`(\sum \lambda)^2 / \sum \lambda^2`: how many directions carry the change.

        Every further eigenvalue raises it, so that what is left out makes this a lower bound.
        """
        square = float(self.values.square().sum())
        return float(self.values.sum()) ** 2 / square if square > 0 else 0.0

    def less(self, v: Tensor, damping: float) -> Tensor:
        r"""Return a step less what of it moves the outputs, as far as the eigenvectors tell.

        .. math:: v - \sum_k \frac{e_k}{e_k + \mu e_1} v_k v_k^T v

        Args:
            v: Vector ``[P]``.
            damping: :math:`\mu`; 0 projects the eigenvectors off entirely.

        Returns:
            Vector ``[P]``.
        """
        e = self.values[: len(self.vectors)]
        shares = (e / (e + damping * e[:1].sum())).to(v)
        return v - self.vectors.T @ (shares * (self.vectors @ v))

    @staticmethod
    def exact(local: LocalMetric, count: int) -> Spectrum:
        """Diagonalize the dual Gram matrix in float64 (see ``gram_matrix``).

        Outputs that are constant or masked have zero rows and are left out. Eigenvalues that rounding cannot tell
        from zero are dropped: below 1e-7 of the largest in float32; make the module double to see smaller ones.

        Args:
            local: The metric tensor.
            count: Eigenvectors to return; fewer where the metric has a lower rank.

        Returns:
            The spectrum.

        Raises:
            ConfigError: Bad count, or the module mixes its examples.
            ResourceError: The Gram matrix does not fit; use ``lanczos``.
        """
        whole("count", count)
        gram = gram_matrix(local)
        seen = gram.diagonal() > 1e-30 * gram.diagonal().amax()
        values, inner = torch.linalg.eigh(gram[seen][:, seen])
        values, inner = values.flip(0), inner.flip(1)
        enough = torch.finfo(local.weights.dtype).eps * (values[0] if len(values) else 0.0)
        values = values[values > enough]
        vectors = local.weights.new_zeros(min(count, len(values)), len(local.weights))
        for k in range(len(vectors)):
            u = gram.new_zeros(len(gram))
            u[seen] = inner[:, k]
            u = u.to(local.outputs).view(*local.outputs.shape[:-1], -1)
            vectors[k] = local.jacobian_rmv(local.metric.factor_mv(local.outputs, u))
            _orthonormalize(vectors[k], vectors[:k])
        return Spectrum(values, vectors)

    @staticmethod
    def lanczos(
        local: LocalMetric, count: int, *, iterations: int | None = None, rng: Any = None
    ) -> Spectrum:
        """Find the largest eigenvalues by products with the metric alone: any metric, module and number of inputs.

        Lanczos' recursion, orthogonalized against its whole basis twice, so that no eigenvalue appears that is not
        there (Paige 1970).

        Args:
            local: The metric tensor.
            count: Eigenvalues and eigenvectors to return.
            iterations: Products, at least ``count``; also the vectors ``[P]`` held. None means 2 count + 20.
            rng: Seed, generator or key of the first vector.

        Returns:
            The spectrum.

        Raises:
            ConfigError: Bad count or fewer iterations than that.
        """
        whole("count", count)
        total = 2 * count + 20 if iterations is None else iterations
        whole("iterations", total, count)
        size = len(local.weights)
        basis = local.weights.new_zeros(min(total, size), size)
        band = torch.zeros(len(basis), len(basis), dtype=torch.float64)
        stream = as_key(rng).stream("lanczos")
        made, norm = 0, 0.0
        fresh = _drawn(stream, 0, local.weights)
        scale = 0.0
        for j in range(len(basis)):
            norm = _orthonormalize(fresh, basis[:j])
            tiny = 10 * torch.finfo(fresh.dtype).eps * scale
            if j and norm <= tiny:
                # The space is invariant; what it misses, a repeated eigenvalue say, a new start finds.
                norm = 0.0
                fresh = _drawn(stream, j, local.weights)
                _orthonormalize(fresh, basis[:j])
            basis[j] = fresh
            if j:
                band[j, j - 1] = band[j - 1, j] = norm
            fresh = local.mv(basis[j])
            band[j, j] = float(fresh.double() @ basis[j].double())
            scale = max(scale, abs(float(band[j, j])) + (norm if j else 0.0))  # at first it is the raw draw's
            made = j + 1
        values, inner = torch.linalg.eigh(band[:made, :made])
        kept = values.flip(0)[:count]
        kept = kept[kept > torch.finfo(local.weights.dtype).eps * kept[0].clamp_min(0.0)]
        vectors = inner.flip(1)[:, : len(kept)].T.to(basis) @ basis[:made]
        return Spectrum(kept, vectors)


def _drawn(stream: Stream, step: int, like: Tensor) -> Tensor:
    """Return Gaussians beside a vector."""
    return torch.from_numpy(stream.normal(step, len(like))).to(like)


def _orthonormalize(v: Tensor, basis: Tensor) -> float:
    """Take from a vector what lies in a basis, twice, scale it to length 1 in place, and return what was left."""
    for _ in range(2):
        v.sub_(basis.T @ (basis @ v))
    norm = float(v.norm())
    v.div_(max(norm, torch.finfo(v.dtype).tiny))
    return norm


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    r"""What the metric predicts of the outputs' change along directions, beside what happens.

    Attributes:
        sizes: Step lengths :math:`\epsilon`, ``[S]``.
        predicted: :math:`\epsilon^2\, v^T g v`, float64 ``[S, D]``.
        actual: Twice the mean divergence after the step, ``[S, D]``.
    """

    sizes: tuple[float, ...]
    predicted: Tensor
    actual: Tensor

    @property
    def r_squared(self) -> Tensor:
        """Share of the variance over directions that is predicted, for each size, ``[S]``; 1 is perfect."""
        wrong = (self.actual - self.predicted).square().sum(1)
        spread = (self.actual - self.actual.mean(1, keepdim=True)).square().sum(1)
        return 1.0 - wrong / spread


def predict_change(local: LocalMetric, directions: Tensor, sizes: tuple[float, ...]) -> Prediction:
    """Compare predicted with actual change of the outputs.

    In float32 the Fisher divergence of steps below about 0.03 is rounding; make the module double for those.

    Args:
        local: The metric tensor.
        directions: Rows of unit length, ``[D, P]``, D at least 2.
        sizes: Step lengths.

    Returns:
        Both changes.

    Raises:
        ConfigError: Directions of another shape, or no size.
    """
    if directions.ndim != 2 or directions.shape[1] != len(local.weights) or len(directions) < 2:
        raise ConfigError(
            "directions", tuple(directions.shape), f"at least 2 rows of {len(local.weights)} entries"
        )
    if not sizes:
        raise ConfigError("sizes", sizes, "at least one step length")
    quadratic = torch.tensor([local.quadratic(v) for v in directions], dtype=torch.float64)
    move = local.network.function(local.inputs)
    actual = torch.empty(len(sizes), len(directions), dtype=torch.float64)
    with torch.no_grad():
        home = move(local.weights).double()
        for s, size in enumerate(sizes):
            for d, v in enumerate(directions):
                outputs = move(local.weights + size * v)
                change = local.metric.divergence(outputs.double(), home)
                actual[s, d] = 2.0 * change.mean()
    squares = torch.tensor(sizes, dtype=torch.float64).square()
    return Prediction(tuple(sizes), squares[:, None] * quadratic, actual)
