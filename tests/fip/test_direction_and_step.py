"""Directions descend; steps move as far as they say."""

from __future__ import annotations

import math

import pytest
import torch

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import (
    Adam,
    Backtrack,
    Damage,
    DampedNatural,
    Direction,
    Euclidean,
    Fixed,
    FunctionalBudget,
    Network,
    NullSpace,
    Optimizer,
    PenalizedGradient,
    Sparsity,
    Spectrum,
    Stay,
    Step,
    ToWeights,
    UnitLength,
    Walk,
)
from devnet.fip._natural import conjugate_gradient
from devnet.fip._reference import Reference


@pytest.fixture
def walk(mlp, inputs) -> Walk:
    """Return a walk that starts from a damaged network, so that there is something to regain."""
    network = Network(mlp.double())
    key = as_key(5)
    reference = Reference.of(network, inputs.double(), key)
    start = network.weights.clone()
    objective = Damage.units(mlp, 0.5, rng=0)
    walk = Walk(network, start, reference, Euclidean(), objective, key, steps=50)
    objective.begin(walk)
    return walk


def everything(walk: Walk) -> float:
    return walk.distance(walk.reference.inputs, walk.reference.outputs)


class DirectionContract:
    direction: Direction

    def test_a_short_step_along_it_lowers_the_distance(self, walk):
        before = everything(walk)
        v = self.direction.propose(walk)
        assert v.shape == walk.weights.shape
        walk.weights.add_(v, alpha=1e-4)
        walk.objective.constrain(walk)
        assert everything(walk) < before

    def test_where_nothing_is_lost_it_stands_still(self, walk):
        walk.weights.copy_(walk.start)
        walk.mask = None
        assert self.direction.propose(walk).abs().max() < 1e-10
        self.direction.accepted(walk, 1.0)

    def test_it_is_a_function_of_the_walk_alone(self, walk):
        first = self.direction.propose(walk).clone()
        walk.memory.clear()
        walk.scratch.clear()
        assert torch.equal(self.direction.propose(walk), first)


class TestPenalizedGradient(DirectionContract):
    direction = PenalizedGradient(batch=64)

    def test_all_examples_in_one_batch_give_the_gradient_of_the_distance(self, walk):
        v = PenalizedGradient(batch=1000).propose(walk)
        local = walk.metric.at(walk.network, walk.reference.inputs)
        torch.testing.assert_close(v, -local.gradient(walk.reference.outputs))

    def test_the_penalty_adds_the_gradient_of_the_objective(self, walk):
        walk.objective = Sparsity(0.5)
        plain = PenalizedGradient(batch=1000).propose(walk).clone()
        walk.scratch.clear()
        pulled = PenalizedGradient(batch=1000, penalty=0.3).propose(walk)
        torch.testing.assert_close(pulled - plain, -0.3 * walk.objective.value_and_grad(walk)[1])


class TestDampedNatural(DirectionContract):
    direction = DampedNatural(examples=128, iterations=10)

    def test_cut_weights_are_left_alone(self, walk):
        v = self.direction.propose(walk)
        assert (v[~walk.mask] == 0).all()
        assert (v[walk.mask] != 0).any()

    def test_it_solves_the_damped_system(self, walk):
        direction = DampedNatural(examples=1000, iterations=400, damping=0.1)
        v = direction.propose(walk)
        local = walk.metric.at(walk.network, walk.reference.inputs)
        free = walk.mask.double()
        left = free * local.mv(v) + walk.memory["natural"]["mu"] * v
        right = -free * local.gradient(walk.reference.outputs)
        torch.testing.assert_close(left, right, rtol=0, atol=1e-3 * float(right.norm()))

    def test_with_an_objective_it_solves_for_the_sum_of_both_gradients(self, walk, draws):
        walk.weights.add_(0.1 * draws("off", len(walk.weights), dtype=torch.float64))
        walk.objective = Sparsity(0.5)
        direction = DampedNatural(examples=1000, iterations=600, damping=0.1, penalty=0.7)
        v = direction.propose(walk)
        local = walk.metric.at(walk.network, walk.reference.inputs)
        g = torch.stack([local.mv(e) for e in torch.eye(len(v), dtype=torch.float64)])
        free = walk.mask.double()
        system = free[:, None] * g * free + walk.memory["natural"]["mu"] * torch.eye(len(v))
        slope = local.gradient(walk.reference.outputs) + 0.7 * walk.objective.value_and_grad(walk)[1]
        expected = torch.linalg.solve(system, -free * slope)
        torch.testing.assert_close(v, expected, rtol=0, atol=1e-3 * float(expected.norm()))
        plain = DampedNatural(examples=1000, iterations=600, damping=0.1, penalty=0.0).propose(walk)
        assert float((plain - v).norm()) > 0.1 * float(v.norm()), "the control solves another system"

    def test_damping_falls_after_a_full_step_and_grows_otherwise(self, walk):
        self.direction.propose(walk)
        mu = walk.memory["natural"]["mu"]
        for size, factor in ((1.0, 1 / 3), (0.5, 0.5), (0.0, 2.0)):
            self.direction.accepted(walk, size)
            assert walk.memory["natural"]["mu"] == pytest.approx(mu * factor)


class TestNullSpace(DirectionContract):
    direction = NullSpace(count=5, examples=20)

    def test_a_step_within_the_null_space_moves_no_output(self, walk, mlp, draws):
        walk.objective = ToWeights(Damage.noise(mlp, 0.5, rng=9).apply(mlp))
        walk.mask = None
        walk.objective.begin(walk)
        v = NullSpace(count=500, damping=0.0, examples=10, pull=0.0).propose(walk)
        inputs, _ = walk.reference.draw("null space", 0, 10)
        local = walk.metric.at(walk.network, inputs)
        slope = walk.objective.value_and_grad(walk)[1]
        assert local.quadratic(v) < 1e-12 * local.quadratic(slope)
        assert float(v @ slope) < -0.1 * float(slope @ slope)

    def test_damping_leaves_a_share_of_each_eigenvector(self, walk, mlp):
        walk.objective = ToWeights(Damage.noise(mlp, 0.5, rng=9).apply(mlp))
        walk.objective.begin(walk)
        v = NullSpace(count=3, damping=0.5, examples=10, pull=0.0, penalty=2.0).propose(walk)
        inputs, _ = walk.reference.draw("null space", 0, 10)
        found = Spectrum.exact(walk.metric.at(walk.network, inputs), 3)
        slope = walk.objective.value_and_grad(walk)[1]
        e = found.values[:3]
        left = 1.0 - e / (e + 0.5 * e[0])
        torch.testing.assert_close(found.vectors @ v, -2.0 * left * (found.vectors @ slope))

    def test_the_spectrum_is_renewed_only_now_and_then(self, walk):
        direction = NullSpace(count=2, examples=5, refresh=3)
        held = []
        for walk.step in range(7):
            direction.propose(walk)
            held.append(id(walk.memory["null space"]))
        assert len({*held[:3]}) == len({*held[3:6]}) == 1
        assert walk.memory["null space"]["vectors"].shape == (2, len(walk.weights))


def test_conjugate_gradient_stops_at_directions_of_no_curvature():
    b = torch.tensor([1.0, 2.0])
    assert torch.equal(conjugate_gradient(torch.zeros_like, b, 5), torch.zeros(2))
    torch.testing.assert_close(conjugate_gradient(lambda v: 2 * v, b, 5), b / 2)


class StepContract:
    step: Step

    def test_it_moves_in_place_and_says_how_far(self, walk):
        home, place = walk.weights.clone(), walk.weights.data_ptr()
        direction = DampedNatural().propose(walk)
        size = self.step.take(walk, direction.clone())
        assert size > 0
        assert walk.weights.data_ptr() == place
        assert (walk.weights - home) @ direction > 0

    def test_a_zero_direction_moves_nothing(self, walk):
        home = walk.weights.clone()
        self.step.take(walk, torch.zeros_like(home))
        assert torch.equal(walk.weights, home)


class TestFixed(StepContract):
    step = Fixed(0.5)


class TestUnitLength(StepContract):
    step = UnitLength(0.01)

    def test_its_length_is_exact(self, walk, draws):
        home = walk.weights.clone()
        self.step.take(walk, 37.0 * draws("d", len(home), dtype=torch.float64))
        assert float((walk.weights - home).norm()) == pytest.approx(0.01, rel=1e-12)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_zero_direction_moves_nothing_in_half_precision_either(mlp, inputs, kind):
    network = Network(mlp.to(kind))
    key = as_key(0)
    walk = Walk(
        network,
        network.weights.clone(),
        Reference.of(network, inputs.to(kind), key),
        Euclidean(),
        Stay(),
        key,
        5,
    )
    UnitLength(0.01).take(walk, torch.zeros_like(walk.weights))
    assert torch.equal(walk.weights, walk.start)


class TestAdam(StepContract):
    step = Adam(1e-2)

    def test_it_equals_the_optimizer_of_torch(self, walk, draws):
        walk.objective = Stay()
        twin = torch.nn.Parameter(walk.weights.clone())
        theirs = torch.optim.Adam([twin], lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, walk.steps)
        for walk.step in range(20):
            d = draws(f"d{walk.step}", len(twin), dtype=torch.float64)
            twin.grad = -d
            theirs.step()
            schedule.step()
            self.step.take(walk, d.clone())
        torch.testing.assert_close(walk.weights, twin.detach(), rtol=1e-10, atol=1e-12)


class TestOptimizer(StepContract):
    step = Optimizer(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))

    def test_it_equals_adam_with_the_same_schedule(self, walk, draws):
        walk.objective = Stay()
        theirs = Optimizer(
            lambda p: torch.optim.Adam(p, lr=1e-2), schedule=lambda t: 0.5 * (1 + math.cos(math.pi * t))
        )
        home = walk.weights.clone()
        ends = []
        for step in (Adam(1e-2), theirs):
            walk.weights.copy_(home)
            for walk.step in range(10):
                step.take(walk, draws(f"d{walk.step}", len(home), dtype=torch.float64))
            ends.append(walk.weights.clone())
        torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-12)

    def test_it_goes_on_from_a_remembered_state(self, walk, draws):
        home = walk.weights.clone()
        d = draws("d", len(home), dtype=torch.float64)
        self.step.remember(walk)
        self.step.take(walk, d.clone())
        self.step.remember(walk)
        middle = walk.weights.clone()
        self.step.take(walk, d.clone())
        end = walk.weights.clone()
        walk.scratch.clear()
        walk.weights.copy_(middle)
        self.step.take(walk, d.clone())
        assert torch.equal(walk.weights, end)

    def test_what_is_no_plain_optimizer_is_refused(self, walk):
        for factory in (list, torch.optim.LBFGS):
            with pytest.raises(ConfigError, match=r"^step\.factory: "):
                Optimizer(factory).take(walk, torch.zeros_like(walk.weights))


class TestFunctionalBudget(StepContract):
    step = FunctionalBudget(0.05)

    def test_the_outputs_move_as_far_as_they_may_and_no_farther(self, walk):
        before = walk.network.outputs(walk.reference.inputs)
        direction = 100.0 * DampedNatural(examples=1000).propose(walk)
        size = FunctionalBudget(0.01, examples=1000).take(walk, direction)
        moved = walk.distance(walk.reference.inputs, before)
        assert 0 < size < 1
        assert 0.0005 < moved <= 0.01
        assert walk.memory["budget"]["size"] == 2 * size

    def test_a_step_that_never_fits_is_given_up(self, walk, draws):
        home = walk.weights.clone()
        direction = 1e6 * draws("d", len(home), dtype=torch.float64)
        assert FunctionalBudget(1e-9, tries=3).take(walk, direction) == 0.0
        assert torch.equal(walk.weights, home)


class TestBacktrack(StepContract):
    step = Backtrack()

    def test_it_shortens_a_step_that_is_too_long(self, walk):
        natural = DampedNatural(examples=1000, iterations=50).propose(walk)
        before = everything(walk)
        size = Backtrack((64.0, 32.0, 1.0, 0.5)).take(walk, natural)
        assert size in (1.0, 0.5)
        assert everything(walk) < before

    def test_it_stays_where_no_step_helps(self, walk):
        home = walk.weights.clone()
        away = -DampedNatural(examples=1000).propose(walk)
        assert Backtrack().take(walk, away) == 0.0
        assert torch.equal(walk.weights, home)


def test_backtracking_weighs_the_objective_as_the_direction_does(walk, mlp):
    walk.objective = ToWeights(Damage.noise(mlp, 0.5, rng=9).apply(mlp))
    walk.objective.begin(walk)
    walk.mask = None
    walk.weights.copy_(walk.start)
    towards = 0.5 * (walk.scratch["goal"] - walk.weights)
    assert Backtrack().take(walk, towards.clone()) == 0.0, "the outputs only get worse"
    walk.penalty = 1e3
    assert Backtrack().take(walk, towards.clone()) == 1.0


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("direction.penalty", lambda: DampedNatural(penalty=-1.0)),
        ("direction.batch", lambda: PenalizedGradient(batch=0)),
        ("direction.penalty", lambda: PenalizedGradient(penalty=math.nan)),
        ("direction.examples", lambda: DampedNatural(examples=0)),
        ("direction.iterations", lambda: DampedNatural(iterations=True)),
        ("direction.damping", lambda: DampedNatural(damping=0.0)),
        ("step.size", lambda: Fixed(math.inf)),
        ("step.length", lambda: UnitLength(-1.0)),
        ("step.rate", lambda: Adam(rate=0.0)),
        ("step.beta2", lambda: Adam(beta2=1.0)),
        ("step.sizes", lambda: Backtrack(())),
        ("step.sizes", lambda: Backtrack((1.0, 0.0))),
        ("step.examples", lambda: Backtrack(examples=0)),
        ("step.factory", lambda: Optimizer("adam")),
        ("step.schedule", lambda: Optimizer(list, schedule=0.5)),
        ("step.delta", lambda: FunctionalBudget(0.0)),
        ("step.tries", lambda: FunctionalBudget(1.0, tries=0)),
        ("direction.count", lambda: NullSpace(count=0)),
        ("direction.damping", lambda: NullSpace(damping=-1.0)),
        ("direction.penalty", lambda: NullSpace(penalty=0.0)),
    ],
)
def test_bad_values_are_refused(field, make):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        make()
