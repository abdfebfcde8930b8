"""Every metric keeps the same promises; the oracle is slow dense code in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet.fip import (
    Euclidean,
    Fisher,
    LocalMetric,
    Metric,
    Mixed,
    Network,
    Problem,
    StopWhen,
    traverse,
)


class MetricContract:
    """Inherit, give ``metric``."""

    metric: Metric

    @pytest.fixture
    def network(self, make_mlp) -> Network:
        return Network(make_mlp(4, 6, 3, dtype=torch.float64))

    @pytest.fixture
    def points(self, draws) -> Tensor:
        return draws("points", 12, 4, dtype=torch.float64)

    @pytest.fixture
    def local(self, network, points) -> LocalMetric:
        return self.metric.at(network, points)

    @pytest.fixture
    def dense(self, network, points) -> Tensor:
        jacobian = torch.func.jacrev(network.function(points))(network.weights)
        outputs = network.outputs(points)
        total = torch.zeros(network.weights.numel(), network.weights.numel(), dtype=torch.float64)
        for j, z in zip(jacobian, outputs, strict=True):
            # Twice in reverse: forward mode goes through a part of PyTorch that is deprecated.
            twice = torch.func.jacrev(
                torch.func.jacrev(lambda u, z=z: self.metric.divergence(u[None], z[None]).sum())
            )
            hessian = twice(z)
            total += j.T @ hessian @ j
        return total / len(points)

    def test_products_equal_those_of_the_dense_matrix(self, local, dense, draws):
        for k in range(3):
            v = draws(f"v{k}", len(dense), dtype=torch.float64)
            torch.testing.assert_close(local.mv(v), dense @ v, rtol=1e-9, atol=1e-11)

    def test_it_is_symmetric_and_positive_semidefinite(self, local, dense):
        columns = torch.stack([local.mv(e) for e in torch.eye(len(dense), dtype=torch.float64)])
        torch.testing.assert_close(columns, columns.T, rtol=1e-9, atol=1e-12)
        assert torch.linalg.eigvalsh(columns).min() > -1e-10 * columns.diagonal().max()

    def test_gradient_equals_that_of_the_mean_divergence(self, local, network, points, draws):
        reference = draws("elsewhere", 12, 3, dtype=torch.float64)
        f = network.function(points)
        expected = torch.func.grad(lambda w: self.metric.divergence(f(w), reference).mean())(network.weights)
        torch.testing.assert_close(local.gradient(reference), expected, rtol=1e-9, atol=1e-12)

    def test_factor_times_its_transpose_is_the_output_metric(self, draws):
        z = draws("z", 1, 4, dtype=torch.float64)
        ends = torch.eye(4 * self.metric.factors, dtype=torch.float64)
        factor = torch.cat([self.metric.factor_mv(z, e[None]) for e in ends]).T
        output = torch.cat([self.metric.output_mv(z, e[None]) for e in torch.eye(4, dtype=torch.float64)])
        torch.testing.assert_close(factor @ factor.T, output, rtol=1e-9, atol=1e-12)

    def test_diagonal_estimate_converges(self, local, dense, draws):
        errors = []
        for probes in (20, 2000):
            signs = draws(f"signs{probes}", probes, 12, 3 * self.metric.factors, dtype=torch.float64).sign()
            diagonal = local.diagonal(signs)
            assert (diagonal >= 0).all()
            errors.append(float((diagonal - dense.diagonal()).norm() / dense.diagonal().norm()))
        assert errors[1] < 0.08
        assert errors[1] < 0.4 * errors[0]

    def test_divergence_is_zero_at_home_and_the_quadratic_form_nearby(self, local, network, points, draws):
        home = network.outputs(points)
        assert self.metric.divergence(home, home).abs().max() < 1e-12
        v = 1e-4 * draws("near", network.weights.numel(), dtype=torch.float64)
        moved = network.function(points)(network.weights + v)
        actual = float(self.metric.divergence(moved, home).mean())
        assert actual == pytest.approx(0.5 * float(v @ local.mv(v)), rel=1e-2)

    def test_dimensions_between_examples_and_classes_are_summed(self, draws):
        z, z0 = draws("a", 5, 7, 3), draws("b", 5, 7, 3)
        one = self.metric.divergence(z, z0)
        assert one.shape == (5,)
        parts = self.metric.divergence(z.reshape(35, 3), z0.reshape(35, 3)).reshape(5, 7).sum(1)
        torch.testing.assert_close(one, parts)


class TestEuclidean(MetricContract):
    metric = Euclidean()


class TestFisher(MetricContract):
    metric = Fisher()


class TestMixed(MetricContract):
    metric = Mixed(0.05)


def test_fisher_survives_outputs_of_a_very_confident_network():
    z = torch.tensor([[1e4, -1e4, 0.0]])
    assert torch.isfinite(Fisher().divergence(z, -z)).all()
    assert torch.isfinite(Fisher().residual(z, -z)).all()


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"metric\.euclidean: -1"):
        Mixed(-1)


@pytest.mark.parametrize("metric", [Fisher(), Mixed(0.0)])
def test_a_single_output_has_no_softmax_to_watch(make_mlp, draws, metric):
    module, x = make_mlp(8, 6, 1), draws("x", 20, 8)
    for ask in (
        lambda m: traverse(module, Problem(x, metric=m, stop=StopWhen(2))),
        lambda m: m.at(Network(module), x),
    ):
        with pytest.raises(ConfigError, match=r"^metric: 'Fisher of one output' .*Euclidean\(\)"):
            ask(metric)
        ask(Mixed())
        ask(Euclidean())
