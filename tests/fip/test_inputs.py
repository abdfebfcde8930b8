"""Modules of several arguments, and memory that runs out: the same calls, the same results."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from devnet._core.errors import ConfigError, ResourceError
from devnet.fip import (
    Backtrack,
    Damage,
    DampedNatural,
    Euclidean,
    Fisher,
    MetricSaliency,
    Network,
    NewTask,
    PenalizedGradient,
    Problem,
    Replay,
    Sparsity,
    Spectrum,
    StopWhen,
    Sum,
    recalibrate,
    resilience,
    traverse,
)


class Two(nn.Module):
    """Takes a picture and a token."""

    def __init__(self):
        super().__init__()
        self.see = nn.Linear(8, 6)
        self.norm = nn.BatchNorm1d(6)
        self.read = nn.Embedding(4, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, picture, token):
        return self.out(torch.tanh(self.norm(self.see(picture)) + self.read(token)))


def several(draws):
    return draws("picture", 120, 8), torch.arange(120) % 4


def test_a_module_of_several_arguments_takes_every_way(draws):
    module, (picture, token) = Two(), several(draws)
    problem = {"objective": Sparsity(0.6, refresh=4), "stop": StopWhen(steps=9)}
    placed = traverse(module, Problem((picture, token), **problem), rng=0)
    named = traverse(module, Problem({"token": token, "picture": picture.numpy()}, **problem), rng=0)
    assert placed.deltas.tobytes() == named.deltas.tobytes()
    assert placed.sparsity[-1] == pytest.approx(0.6, abs=0.01)
    damage = Damage.weights(module, 0.3, rng=0)
    recovery = {"objective": damage, "direction": DampedNatural(iterations=5), "step": Backtrack()}
    path = traverse(module, Problem((picture, token), **recovery, stop=StopWhen(steps=3)), rng=0)
    assert path.distance[-1] < path.distance[0]
    task = NewTask(
        (picture, token), token % 3, replay=Replay({"picture": picture, "token": token}, token % 3)
    )
    goal = Problem(
        (picture, token), objective=task, direction=PenalizedGradient(penalty=1.0), stop=StopWhen(4)
    )
    assert len(traverse(module, goal, rng=0)) == 5
    fresh = recalibrate(module, (picture, token))
    torch.testing.assert_close(
        fresh.norm.running_mean, module.see(picture).mean(0).detach(), atol=1e-6, rtol=1e-4
    )
    local = Euclidean().at(Network(module.double()), traverse_inputs(picture[:6], token[:6]))
    assert len(Spectrum.exact(local, 3).values) == 18
    assert set(resilience(local).layers) == {"see", "norm", "read", "out"}


def traverse_inputs(picture, token):
    from devnet.fip._inputs import as_inputs

    return as_inputs("inputs", (picture, token), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize(
    ("field", "inputs"),
    [
        ("inputs", ()),
        ("inputs", {}),
        ("inputs", (torch.zeros(4, 8), torch.zeros(5, dtype=torch.int64))),
        (r"inputs\[1\]", (torch.zeros(4, 8), "tokens")),
        (r"inputs\.token", {"picture": torch.zeros(4, 8), "token": torch.full((4,), torch.nan)}),
        ("inputs", {"picture": torch.zeros(4, 8), "word": torch.zeros(4, dtype=torch.int64)}),
        ("inputs", torch.zeros(4, 8)),
    ],
)
def test_inputs_that_do_not_fit_are_refused(field, inputs):
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        traverse(Two(), Problem(inputs))


class Greedy(nn.Linear):
    """Runs out of memory on more examples than it can take, as a device does."""

    most = 10**6
    error: type[Exception] = torch.OutOfMemoryError
    calls = 0

    def forward(self, x):
        if len(x) > Greedy.most:
            Greedy.calls += 1
            raise Greedy.error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return super().forward(x)


@pytest.fixture(params=[torch.OutOfMemoryError, RuntimeError])
def greedy(request, monkeypatch, mlp) -> nn.Sequential:
    monkeypatch.setattr(Greedy, "error", request.param)
    monkeypatch.setattr(Greedy, "calls", 0)
    with torch.random.fork_rng(devices=[]):
        layer = Greedy(8, 16)
    layer.load_state_dict(mlp[0].state_dict())
    return nn.Sequential(layer, nn.ReLU(), mlp[2]).double()


def walks(module, inputs):
    x = inputs.double()
    damage = Damage.weights(module, 0.3, rng=0)
    yield Problem(
        x,
        objective=Sum(
            Sparsity(0.5, refresh=4, saliency=MetricSaliency(examples=50)), NewTask(x, [1] * len(x))
        ),
        direction=PenalizedGradient(batch=50, penalty=0.1),
        stop=StopWhen(steps=8),
    )
    yield Problem(
        x,
        objective=damage,
        metric=Fisher(),
        direction=DampedNatural(examples=60, iterations=6),
        step=Backtrack(),
        stop=StopWhen(steps=3),
    )


def test_out_of_memory_halves_the_micro_batch_with_the_same_result(greedy, inputs, monkeypatch):
    for problem in walks(greedy, inputs):
        monkeypatch.setattr(Greedy, "most", 10**6)
        ample = traverse(greedy, problem, rng=0)
        monkeypatch.setattr(Greedy, "most", 7)
        monkeypatch.setattr(Greedy, "calls", 0)
        tight = traverse(greedy, problem, rng=0)
        assert 0 < Greedy.calls < 8, "what did not fit once is not tried again"
        torch.testing.assert_close(
            torch.from_numpy(tight.deltas.copy()), torch.from_numpy(ample.deltas.copy()), rtol=1e-6, atol=1e-8
        )


def test_memory_that_runs_out_on_the_way_changes_nothing(greedy, inputs, monkeypatch):
    x = inputs.double()
    monkeypatch.setattr(Greedy, "most", 10**6)
    local = Euclidean().at(Network(greedy), x)
    v = torch.ones_like(local.weights)
    before = local.mv(v)
    local.network.micro_batch = 13
    torch.testing.assert_close(local.mv(v), before)


def test_where_not_even_one_example_fits_it_is_said(greedy, inputs, monkeypatch):
    monkeypatch.setattr(Greedy, "most", 0)
    with pytest.raises(ResourceError, match="single example"):
        traverse(greedy, Problem(inputs))
