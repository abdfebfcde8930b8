"""How modules run on a path: one mode, frozen statistics, nothing waits for the device."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from devnet._core.errors import ConfigError
from devnet.fip import (
    Adam,
    Damage,
    Euclidean,
    Fixed,
    FunctionalBudget,
    NewTask,
    Optimizer,
    PenalizedGradient,
    Problem,
    Sparsity,
    Stay,
    StopWhen,
    Sum,
    ToWeights,
    UnitLength,
    recalibrate,
    traverse,
)


def normalized() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.9), nn.Linear(6, 3))


def test_recalibrated_statistics_are_those_of_the_data(draws):
    module = normalized()
    module[4].eval()
    before = copy.deepcopy(module.state_dict())
    x = 3.0 + draws("x", 100, 8)
    fresh = recalibrate(module, x, batch=200)
    seen = module[0](x).detach()
    torch.testing.assert_close(fresh[1].running_mean, seen.mean(0))
    torch.testing.assert_close(fresh[1].running_var, seen.var(0))
    assert fresh[1].momentum == 0.1
    assert [m.training for m in fresh] == [m.training for m in module]
    assert all(torch.equal(before[n], b) for n, b in module.state_dict().items())
    parts = recalibrate(module, x.numpy(), batch=30)
    torch.testing.assert_close(parts[1].running_mean, seen.mean(0))
    torch.testing.assert_close(parts[1].running_var, seen.var(0), rtol=0.1, atol=0)


def test_recalibration_regains_what_frozen_statistics_lost(draws):
    module, x = normalized(), draws("x", 400, 8)
    module = recalibrate(module, x)
    other = Damage.noise(module, 0.3, rng=0).apply(module)
    other[1].running_mean += 2.0
    z = module.eval()(x)
    lost, regained = (Euclidean().divergence(m.eval()(x), z).mean() for m in (other, recalibrate(other, x)))
    assert regained < 0.5 * lost


class Stubborn(nn.Dropout):
    def train(self, mode=True):
        return super().train(True)


class Counting(nn.Linear):
    def __init__(self):
        super().__init__(8, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


@pytest.mark.parametrize(
    ("words", "module"),
    [
        ("'1 in training mode'", nn.Sequential(nn.Linear(8, 3), Stubborn())),
        ("'1 without running", nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3, track_running_stats=False))),
        ("'buffer calls that changes'", Counting()),
    ],
)
def test_what_does_not_run_the_same_twice_is_refused(inputs, words, module):
    with pytest.raises(ConfigError, match=rf"^module: {words}"):
        traverse(module, Problem(inputs))


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("module", lambda x: recalibrate(nn.Linear(8, 3), x)),
        ("module", lambda x: recalibrate("net", x)),
        ("inputs", lambda x: recalibrate(normalized(), x[:1])),
        ("batch", lambda x: recalibrate(normalized(), x, batch=1)),
    ],
)
def test_what_cannot_be_recalibrated_is_refused(inputs, field, call):
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        call(inputs)


class Waits(TorchDispatchMode):
    """Counts the operations that make the host wait for a number of the device, and copies between devices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        moved = name in {"_to_copy", "copy_"} and kwargs is not None and kwargs.get("device") is not None
        self.count += moved or name in {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal"}
        return func(*args, **(kwargs or {}))


def waits(mlp, inputs, goal, step) -> list[int]:
    seen = []
    for steps in (20, 40):
        problem = Problem(
            inputs,
            objective=goal,
            direction=PenalizedGradient(penalty=0.1),
            step=step,
            keep=2,
            stop=StopWhen(steps),
        )
        with Waits() as counted:
            traverse(mlp, problem, rng=0)
        seen.append(counted.count)
    return seen


@pytest.mark.parametrize(
    "step", [Fixed(0.01), UnitLength(0.01), Adam(), Optimizer(lambda p: torch.optim.SGD(p, lr=0.1))]
)
@pytest.mark.parametrize("kind", ["stay", "damage", "sum", "sparsity"])
def test_no_step_makes_the_host_wait(mlp, inputs, step, kind):
    damage = Damage.units(mlp, 0.5, rng=0)
    goal = {
        "stay": Stay(),
        "sparsity": Sparsity(0.5, refresh=1000),
        "damage": damage,
        "sum": Sum(NewTask(inputs, [0] * len(inputs)), ToWeights(damage.apply(mlp), pull=0.1)),
    }[kind]
    seen = waits(mlp, inputs, goal, step)
    assert seen[0] == seen[1] > 0, "the ends of a path may wait, its steps may not"


def test_the_count_would_see_a_step_that_waits(mlp, inputs):
    few, many = waits(mlp, inputs, Stay(), FunctionalBudget(1.0))
    assert many >= few + 20
