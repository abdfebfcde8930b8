"""Products with the Jacobian against the dense one, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from devnet.fip import Euclidean, Network
from devnet.fip._linear import Linearization


def convolution() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 3),
    ).double()


class _Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g


class Odd(nn.Module):
    """An operation without a forward derivative."""

    def forward(self, x):
        return _Backwards.apply(x)


@pytest.mark.parametrize("more", [[], [Odd()]])
def test_products_are_those_of_the_dense_jacobian(draws, more):
    network = Network(nn.Sequential(*convolution(), *more))
    x = draws("x", 4, 1, 6, 6, dtype=torch.float64)
    v, u = draws("v", len(network.weights), dtype=torch.float64), draws("u", 4, 3, dtype=torch.float64)
    dense = torch.autograd.functional.jacobian(network.function(x), network.weights)
    found = Linearization(network, network.weights, x)
    torch.testing.assert_close(found.mv(v), dense @ v)
    torch.testing.assert_close(found.rmv(u), torch.einsum("ncp,nc->p", dense, u))
    assert found._forwards == (not more)


def test_forwards_and_backwards_agree_on_the_metric(draws):
    network = Network(convolution())
    local = Euclidean().at(network, draws("x", 4, 1, 6, 6, dtype=torch.float64))
    v = draws("v", len(network.weights), dtype=torch.float64)
    forwards = local.mv(v)
    (kept,) = local._kept.values()
    kept._forwards = False
    torch.testing.assert_close(local.mv(v), forwards)


def test_a_perceptron_keeps_its_graph(mlp, inputs):
    assert not Linearization(Network(mlp), Network(mlp).weights, inputs)._forwards


def test_outputs_that_no_weight_moves_have_no_tangent(draws):
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.ZeroPad1d((-32, 3)))
    network = Network(module)
    found = Linearization(network, network.weights, draws("x", 2, 1, 6, 6))
    assert torch.equal(found.mv(torch.ones_like(network.weights)), torch.zeros(2, 3))
