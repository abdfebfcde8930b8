"""A paused path goes on bit for bit, through a file as well; paths are cut, joined and read between way-points."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip import (
    Adam,
    Backtrack,
    Damage,
    DampedNatural,
    Diversity,
    Euclidean,
    Fixed,
    FunctionalBudget,
    NullSpace,
    Objective,
    Optimizer,
    Path,
    PenalizedGradient,
    Problem,
    Sparsity,
    Stay,
    Stop,
    StopWhen,
    Sum,
    ToWeights,
    WalkState,
    resume,
    traverse,
)


def problems(module, inputs):
    twelve = {"stop": StopWhen(steps=12), "keep": 5, "inputs": inputs}
    half = Damage.weights(module, 0.5, rng=0)
    return {
        "sparse": Problem(objective=Sparsity(0.8, refresh=2), **twelve),
        "recover": Problem(
            objective=half,
            metric=Euclidean(),
            direction=DampedNatural(iterations=3),
            step=Backtrack(),
            **twelve,
        ),
        "sum": Problem(
            objective=Sum(Damage.noise(module, 0.1, rng=0), Sparsity(0.5, refresh=3), Diversity(0.3)),
            direction=PenalizedGradient(penalty=0.1),
            step=Optimizer(lambda p: torch.optim.AdamW(p, lr=1e-2)),
            **twelve,
        ),
        "null space": Problem(
            objective=ToWeights(half.apply(module), pull=0.01),
            direction=NullSpace(count=4, examples=8, refresh=5),
            step=FunctionalBudget(0.01),
            **twelve,
        ),
    }


def through_a_file(path: Path, module) -> Path:
    arrays, metadata = path.to_tensors()
    raw = safetensors.numpy.save({n: np.array(a) for n, a in arrays.items()})
    return Path.from_tensors(safetensors.numpy.load(raw), json.loads(json.dumps(metadata)), module)


@pytest.mark.parametrize("kind", ["sparse", "recover", "sum", "null space"])
@pytest.mark.parametrize("until", [1, 4, 9])
def test_a_pause_changes_no_bit(mlp, inputs, kind, until):
    problem = problems(mlp, inputs)[kind]
    whole = traverse(mlp, problem, rng=3)
    paused = traverse(mlp, problem, rng=3, until=until)
    assert paused.stop is Stop.PAUSED
    assert paused.steps[-1] == {1: 3, 4: 6, 9: 9}[until]
    again = resume(through_a_file(paused, mlp), problem)
    assert again.stop is whole.stop
    for name in ("steps", "deltas", "distance", "objective", "weight_distance", "sparsity"):
        assert getattr(again, name).tobytes() == getattr(whole, name).tobytes(), name


def test_pauses_may_follow_each_other_and_half_precision_stays_exact(mlp, inputs):
    mlp.bfloat16()
    problem = problems(mlp, inputs)["sparse"]
    path = traverse(mlp, problem, rng=3, until=3)
    while path.stop is Stop.PAUSED:
        path = resume(through_a_file(path, mlp), problem, until=int(path.steps[-1]) + 1)
    assert path.deltas.tobytes() == traverse(mlp, problem, rng=3).deltas.tobytes()


def test_only_a_paused_path_goes_on_and_only_with_its_problem(mlp, inputs):
    problem = problems(mlp, inputs)["sparse"]
    paused = traverse(mlp, problem, rng=3, until=6)
    with pytest.raises(ConfigError, match=r"^path: 'steps'"):
        resume(traverse(mlp, problem, rng=3), problem)
    with pytest.raises(ConfigError, match=r"^path: 'int'"):
        resume(3, problem)
    with pytest.raises(ConfigError, match=r"^problem: 'int'"):
        resume(paused, 3)
    for change in ({"inputs": -inputs}, {"parameters": ("0.weight",)}, {"stop": StopWhen(steps=6)}):
        with pytest.raises(ConfigError, match=r"^problem: "):
            resume(paused, Problem(**{"inputs": inputs, "objective": Sparsity(0.8)} | change))
    with pytest.raises(ConfigError, match=r"^until: "):
        traverse(mlp, problem, until=0)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("step", {"step": Adam(1e-4)}),
        ("objective", {"objective": Sparsity(0.81, refresh=2)}),
        ("metric", {"metric": Euclidean()}),
        ("keep", {"keep": 4}),
        ("steps", {"stop": StopWhen(steps=13)}),
    ],
)
def test_a_problem_that_differs_in_one_field_is_another_one(mlp, inputs, field, change):
    problem = problems(mlp, inputs)["sparse"]
    paused = through_a_file(traverse(mlp, problem, rng=3, until=6), mlp)
    with pytest.raises(ConfigError, match=rf"^problem: 'another {field}'"):
        resume(paused, replace(problem, **change))
    resume(paused, replace(problem, stop=StopWhen(steps=12, stalled=4)), until=7)
    old = {n: part for n, part in paused.state.plain.items() if n != "identity"}
    resume(replace(paused, state=WalkState(paused.state.arrays, old)), problem, until=7)


def test_several_inputs_are_told_from_others():
    from devnet.fip._identity import told
    from devnet.fip._inputs import Inputs

    one, two = (Inputs([torch.full((3, 2), value)], {"y": torch.ones(3)}) for value in (1.0, 2.0))
    assert told(one) != told(two)
    assert told(torch.eye(2).to_sparse()) != told(2 * torch.eye(2).to_sparse())


@pytest.mark.parametrize(
    "harm",
    [
        lambda a, p: (a, {}),
        lambda a, p: ({}, p),
        lambda a, p: (a, p | {"held": ["tensor", "0", "Tensor"]}),
        lambda a, p: (a, p | {"held": ["pickle", []]}),
        lambda a, p: (a, p | {"held": ["list", []]}),
        lambda a, p: (a, p | {"held": 3}),
        lambda a, p: (a, p | {"step": None}),
        lambda a, p: (a, p | {"identity": 3}),
    ],
)
def test_a_damaged_state_is_a_typed_error(mlp, inputs, harm):
    problem = problems(mlp, inputs)["sparse"]
    paused = traverse(mlp, problem, rng=3, until=6)
    arrays, plain = harm(dict(paused.state.arrays), dict(paused.state.plain))
    broken = Path(**{**vars(paused), "state": WalkState(arrays, plain)})
    with pytest.raises(CorruptFileError, match="state"):
        resume(broken, problem)


class Forgetful(Objective):
    def value_and_grad(self, walk):
        walk.memory["thing"] = object()
        return walk.weights.new_zeros(()), torch.zeros_like(walk.weights)


def test_what_cannot_be_saved_is_said(mlp, inputs):
    with pytest.raises(ConfigError, match=r"^walk\.memory: 'object'"):
        traverse(mlp, Problem(inputs, objective=Forgetful()), until=1)


@pytest.fixture
def path(mlp, inputs) -> Path:
    return traverse(mlp, problems(mlp, inputs)["sparse"], rng=4)


def flat(module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_between_way_points_weights_lie_on_a_straight_line(path):
    assert list(path.steps) == [0, 3, 6, 9, 12]
    for k in range(5):
        assert torch.equal(flat(path.at(k / 4)), flat(path.module(k)))
    expected = 0.25 * flat(path.module(1)) + 0.75 * flat(path.module(2))
    torch.testing.assert_close(flat(path.at(5.25 / 12)), expected)
    for bad in (-0.1, 1.1, True, "half", float("nan")):
        with pytest.raises(ConfigError, match=r"^t: "):
            path.at(bad)


def test_a_part_holds_the_same_networks(path):
    part = path.cut(1, -2)
    assert part.stop is Stop.CUT
    assert list(part.steps) == [3, 6, 9]
    assert torch.equal(flat(part.module(0)), flat(path.module(1)))
    assert torch.equal(flat(part.at(0.5)), flat(path.module(2)))
    assert path.cut(2, -1).stop is path.stop
    for bad, field in (((0, 5), "last"), ((3, 2), "last"), ((-6, 2), "first")):
        with pytest.raises(ConfigError, match=rf"^{field}: "):
            path.cut(*bad)


def test_a_path_goes_on_in_another(path, inputs):
    middle = path.module()
    goal = Damage.units(middle, 0.5, rng=0)
    second = traverse(
        middle,
        Problem(inputs, objective=Sum(goal, Sparsity(0.9, refresh=1)), stop=StopWhen(6), keep=3),
        rng=1,
    )
    with pytest.raises(ConfigError, match=r"^other: "):
        path.join(second)
    third = traverse(
        middle, Problem(inputs, objective=Stay(), step=Fixed(0.1), stop=StopWhen(6), keep=3), rng=1
    )
    both = path.join(third)
    assert list(both.steps) == [0, 3, 6, 9, 12, 15, 18]
    for k in (1, 2):
        torch.testing.assert_close(flat(both.module(4 + k)), flat(third.module(k)), rtol=1e-6, atol=1e-7)
    sparse = traverse(
        middle,
        Problem(inputs, objective=Sparsity(0.9, refresh=1), step=Adam(), stop=StopWhen(6), keep=3),
        rng=1,
    )
    zeros = flat(sparse.module()) == 0
    assert int(zeros.sum()) > 150
    assert (flat(path.join(sparse).module())[zeros] == 0).all()
    assert both.cut(4, 6).stop is third.stop


def test_a_path_that_goes_on_in_a_paused_one_is_cut(path, inputs):
    rest = traverse(path.module(), Problem(inputs, stop=StopWhen(6), keep=3), rng=1, until=3)
    both = path.join(rest)
    assert rest.stop is Stop.PAUSED
    assert both.stop is Stop.CUT
    with pytest.raises(ConfigError, match=r"^path: 'cut' .*paused"):
        resume(both, Problem(inputs, stop=StopWhen(6)))
