"""Both ways to the spectrum against a dense matrix; predictions and resilience against constructed cases."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from devnet._core.errors import ConfigError, ResourceError
from devnet.fip import Euclidean, Fisher, Mixed, Network, Spectrum, _gram, predict_change, resilience

METRICS = [Euclidean(), Fisher(), Mixed(0.1)]


def dense(local):
    columns = [local.mv(e) for e in torch.eye(len(local.weights), dtype=local.weights.dtype)]
    return torch.stack(columns)


@pytest.fixture
def place(make_mlp, draws):
    network = Network(make_mlp(4, 6, 3, dtype=torch.float64))
    return lambda metric: metric.at(network, draws("points", 7, 4, dtype=torch.float64))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("way", ["exact", "lanczos"])
def test_eigenvalues_and_vectors_are_those_of_the_dense_matrix(place, metric, way):
    local = place(metric)
    g = dense(local)
    values = torch.linalg.eigvalsh(g).flip(0)
    if way == "exact":
        found = Spectrum.exact(local, 6)
        rank = int((values > 1e-13 * values[0]).sum())
        torch.testing.assert_close(found.values, values[: len(found.values)], rtol=1e-8, atol=1e-14)
        assert abs(len(found.values) - rank) <= 1
        expected = float(values.sum() ** 2 / values.square().sum())
        assert found.effective_rank == pytest.approx(expected, rel=1e-9)
    else:
        found = Spectrum.lanczos(local, 6, iterations=len(g), rng=0)
        torch.testing.assert_close(found.values, values[:6], rtol=1e-8, atol=1e-14)
    v = found.vectors
    assert len(v) == 6
    torch.testing.assert_close(v @ v.T, torch.eye(6, dtype=v.dtype), rtol=0, atol=1e-9)
    torch.testing.assert_close(v @ g, found.values[:6, None] * v, rtol=0, atol=1e-8 * float(values[0]))


class Shared(nn.Module):
    """Uses a linear layer behind the back of its hooks."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        hidden = torch.tanh(self.inner(x))
        return nn.functional.linear(hidden, self.inner.weight, self.inner.bias)


class Mixing(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) - self.inner(x).mean(0)


def modules(make_mlp):
    yield nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)).double(), (6, 4)
    yield Shared(make_mlp(4, 4, dtype=torch.float64)[0]), (6, 4)
    yield (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double(),
        (5, 1, 4, 4),
    )
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    yield nn.Sequential(layer, nn.Linear(4, 2)).double(), (3, 2, 4)
    yield nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 2)).double(), (6, 4)


def test_any_module_gives_the_exact_spectrum(make_mlp, draws):
    for module, shape in modules(make_mlp):
        local = Fisher().at(Network(module), draws("x", *shape, dtype=torch.float64))
        found = Spectrum.exact(local, 2)
        values = torch.linalg.eigvalsh(dense(local)).flip(0)
        torch.testing.assert_close(found.values, values[: len(found.values)], rtol=1e-7, atol=1e-14)


def test_masked_and_constant_outputs_are_left_out(make_mlp, draws):
    module = make_mlp(4, 6, 5)
    module[2].weight.data[3] = 0.0
    masked = nn.Sequential(module, nn.Softmax(-1), nn.ZeroPad1d((0, 3)))
    found = Spectrum.exact(Euclidean().at(Network(masked), draws("x", 9, 4)), 50)
    assert len(found.values) <= 45
    assert (found.values > 0).all()
    assert torch.isfinite(found.vectors).all()
    gone = Spectrum.exact(
        Euclidean().at(Network(nn.Sequential(module, nn.ZeroPad1d((-5, 2)))), draws("x", 3, 4)), 2
    )
    assert len(gone.values) == 0
    assert gone.vectors.shape == (0, 65)
    assert gone.effective_rank == 0.0


def test_lanczos_finds_an_eigenvalue_as_often_as_it_is_there():
    network = Network(nn.Linear(3, 4, bias=False).double())
    local = Euclidean().at(network, torch.eye(3, dtype=torch.float64) * torch.tensor([[3.0], [3.0], [1.0]]))
    found = Spectrum.lanczos(local, 12, rng=1)
    torch.testing.assert_close(found.values, torch.tensor([3.0] * 8 + [1 / 3] * 4, dtype=torch.float64))


def test_lanczos_finds_small_eigenvalues_in_single_precision():
    """In a float32 vector of many entries, eigenvalues far below 1 are couplings, not rounding."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(400, 300, bias=False), nn.Tanh(), nn.Linear(300, 1, bias=False))
    for parameter in module.parameters():
        parameter.data *= 0.1
    local = Euclidean().at(Network(module), 0.1 * torch.randn(12, 400))
    exact, found = Spectrum.exact(local, 6), Spectrum.lanczos(local, 6, rng=1)
    torch.testing.assert_close(found.values, exact.values[:6], rtol=1e-4, atol=0)


def test_a_module_that_mixes_its_examples_is_refused(make_mlp, draws):
    local = Euclidean().at(Network(Mixing(make_mlp(4, 3))), draws("x", 6, 4))
    with pytest.raises(ConfigError, match=r"^module: 'Mixing'"):
        Spectrum.exact(local, 2)


def test_what_does_not_fit_is_said_before_it_is_made(make_mlp, draws, monkeypatch):
    local = Euclidean().at(Network(Shared(make_mlp(4, 4)[0])), draws("x", 6, 4))
    monkeypatch.setattr(_gram, "LARGEST", 8 * 24**2)
    assert len(Spectrum.exact(local, 2).values) > 2
    monkeypatch.setattr(_gram, "LARGEST", 8 * 24**2 - 1)
    with pytest.raises(ResourceError, match="lanczos"):
        Spectrum.exact(local, 2)


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("count", lambda p: Spectrum.exact(p, 0)),
        ("count", lambda p: Spectrum.lanczos(p, 1.5)),
        ("iterations", lambda p: Spectrum.lanczos(p, 5, iterations=4)),
        ("directions", lambda p: predict_change(p, torch.ones(3, 2), (1.0,))),
        ("sizes", lambda p: predict_change(p, torch.ones(2, 51).double(), ())),
    ],
)
def test_bad_values_are_refused(place, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        call(place(Euclidean()))


def test_the_metric_predicts_the_change_of_small_steps(place, draws):
    local = place(Euclidean())
    directions = nn.functional.normalize(draws("v", 20, len(local.weights), dtype=torch.float64), dim=1)
    told = predict_change(local, directions, (1e-3, 0.1, 10.0))
    assert told.predicted.shape == told.actual.shape == (3, 20)
    assert told.r_squared[0] > 0.9999
    assert told.r_squared[1] > 0.9
    assert told.r_squared[2] < told.r_squared[1]
    assert local.quadratic(directions[0]) == pytest.approx(float(directions[0] @ local.mv(directions[0])))


def test_cutting_the_last_layer_breaks_a_network_at_the_speed_of_its_outputs(place):
    local = place(Euclidean())
    speeds = resilience(local)
    # The outputs are linear in the last layer: cut at unit speed they fall to 0 in unit time.
    assert speeds.layers["2"] == pytest.approx(float(local.outputs.square().sum(1).mean() ** 0.5))
    square = local.outputs.square().mean(0).sqrt()
    torch.testing.assert_close(torch.tensor(speeds.units["2"]), square)
    assert {n: len(u) for n, u in speeds.units.items()} == {"0": 6, "2": 3}


def test_a_silent_unit_is_perfectly_resilient(make_mlp, draws):
    module = make_mlp(4, 6, 3)
    module[0].bias.data[2] = -1e3
    speeds = resilience(Fisher().at(Network(module), draws("x", 20, 4)))
    assert speeds.units["0"][2] == 0.0
    assert (speeds.units["0"][[0, 1, 3, 4, 5]] > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        speeds.units["0"][0] = 1.0


def test_a_layer_of_unequal_parameters_has_a_speed_but_no_units(draws):
    module = nn.Bilinear(4, 4, 3)
    wrapped = nn.Sequential(nn.PReLU(), nn.Linear(4, 3))

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Parameter(torch.ones(4, 2))
            self.second = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return x @ self.first * self.second

    assert module.weight.ndim == 3
    speeds = resilience(Euclidean().at(Network(Odd()), draws("x", 5, 4)))
    assert set(speeds.layers) == {""}
    assert not speeds.units
    assert set(resilience(Euclidean().at(Network(wrapped), draws("x", 5, 4))).units) == {"0", "1"}


def test_where_memory_runs_out_the_spectrum_is_made_in_parts(place, monkeypatch):
    """The graph of all examples at once does not fit; halves of it do."""
    whole = place(Fisher())
    expected = Spectrum.exact(whole, 3)
    local, real = place(Fisher()), Network.function
    asked = []

    def tight(network, inputs):
        asked.append(len(inputs))
        if len(inputs) > 3:
            raise torch.OutOfMemoryError("too many at once")
        return real(network, inputs)

    monkeypatch.setattr(Network, "function", tight)
    found = Spectrum.exact(local, 3)
    assert local.network.micro_batch <= 3
    assert 0 < min(asked) <= 3 < max(asked)
    torch.testing.assert_close(found.values, expected.values)
    torch.testing.assert_close((found.vectors @ expected.vectors.T).abs(), torch.eye(3, dtype=torch.float64))
