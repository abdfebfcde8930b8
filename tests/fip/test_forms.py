"""Diagonal and low-rank forms against the dense metric."""

from __future__ import annotations

import math

import pytest
import torch

from devnet._core.errors import ConfigError
from devnet.fip import Diagonal, Euclidean, Fisher, Form, LowRank, Mixed, Network

METRICS = [Euclidean(), Fisher(), Mixed(0.1)]


@pytest.fixture
def place(make_mlp, draws):
    network = Network(make_mlp(4, 6, 3, dtype=torch.float64))
    return lambda metric: metric.at(network, draws("points", 7, 4, dtype=torch.float64))


def dense(form) -> torch.Tensor:
    size = len(form.weights) if hasattr(form, "weights") else form_size(form)
    return torch.stack([form.mv(e) for e in torch.eye(size, dtype=torch.float64)])


def form_size(form: Form) -> int:
    return len(form.values) if isinstance(form, Diagonal) else form.vectors.shape[1]


@pytest.mark.parametrize("metric", METRICS)
def test_with_all_eigenvectors_the_low_rank_form_is_the_metric(place, metric):
    local = place(metric)
    found = LowRank.of(local, 50)
    torch.testing.assert_close(dense(found), dense(local), rtol=1e-7, atol=1e-12)
    assert found.remainder == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_few_eigenvectors_and_the_remainder_keep_the_trace_and_the_leading_part(place, metric):
    local = place(metric)
    g, form = dense(local), dense(LowRank.of(local, 4))
    assert float(form.trace()) == pytest.approx(float(g.trace()), rel=1e-9)
    values, vectors = torch.linalg.eigh(g)
    lead = vectors[:, -4:]
    torch.testing.assert_close(form @ lead, g @ lead, rtol=1e-7, atol=1e-10)
    rest = (g.trace() - values[-4:].sum()) / (len(g) - 4)
    torch.testing.assert_close(form @ vectors[:, :3], rest * vectors[:, :3], rtol=1e-7, atol=1e-10)


def test_the_diagonal_converges_to_that_of_the_dense_matrix(place):
    local = place(Mixed(0.1))
    right = dense(local).diagonal()
    few, many = (Diagonal.estimate(local, probes=n, rng=0).values for n in (8, 4000))
    assert (few >= 0).all()
    assert float((many - right).norm() / right.norm()) < 0.06
    assert float((few - right).norm()) > 3 * float((many - right).norm())


@pytest.mark.parametrize("make", [lambda m: LowRank.of(m, 4), lambda m: Diagonal.estimate(m, rng=0)])
def test_solving_inverts_the_damped_form(place, draws, make):
    form = make(place(Euclidean()))
    matrix = dense(form)
    v = draws("v", len(matrix), dtype=torch.float64)
    damped = matrix + 0.3 * torch.eye(len(matrix))
    torch.testing.assert_close(form.solve(v, 0.3), torch.linalg.solve(damped, v))
    assert form.quadratic(v) == pytest.approx(float(v @ matrix @ v))


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("count", lambda m: LowRank.of(m, 0)),
        ("count", lambda m: LowRank.of(m, 51)),
        ("probes", lambda m: Diagonal.estimate(m, probes=0)),
        ("damping", lambda m: LowRank.of(m, 2).solve(m.weights, 0.0)),
        ("damping", lambda m: Diagonal(m.weights.square()).solve(m.weights, math.nan)),
    ],
)
def test_bad_numbers_are_refused(place, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        call(place(Euclidean()))
