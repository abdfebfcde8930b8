"""Every objective keeps the same promises: value, gradient, proximal map, exact end."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import (
    Damage,
    Diversity,
    Fisher,
    Fixed,
    Global,
    Layout,
    Magnitude,
    MetricSaliency,
    Network,
    NewTask,
    NofM,
    Objective,
    PenalizedGradient,
    PerLayer,
    Problem,
    Replay,
    Sparsity,
    Stay,
    StopWhen,
    Sum,
    ToWeights,
    Units,
    UserObjective,
    Walk,
    traverse,
)
from devnet.fip._layout import layout_of
from devnet.fip._reference import Reference
from devnet.fip._shard import Shard


@pytest.fixture
def walk(mlp, inputs) -> Walk:
    network = Network(mlp.double())
    key = as_key(5)
    reference = Reference.of(network, inputs.double(), key)
    return Walk(network, network.weights.clone(), reference, Fisher(), Stay(), key, steps=50)


class ObjectiveContract:
    """Inherit, give ``make``."""

    def make(self, module) -> Objective:
        raise NotImplementedError

    def test_gradient_equals_the_change_of_the_value(self, walk, mlp, draws):
        objective = self.make(mlp)
        objective.begin(walk)
        objective.update(walk)
        walk.weights.add_(draws("off", walk.weights.numel(), dtype=torch.float64), alpha=0.01)
        value, gradient = objective.value_and_grad(walk)
        assert value >= 0
        v = 1e-6 * draws("v", walk.weights.numel(), dtype=torch.float64)
        walk.weights.add_(v)
        ahead = objective.value_and_grad(walk)[0]
        walk.weights.sub_(2 * v)
        behind = objective.value_and_grad(walk)[0]
        assert float(ahead - behind) == pytest.approx(2 * float(gradient @ v), rel=1e-5, abs=1e-15)

    def test_the_proximal_map_never_raises_the_value(self, walk, mlp):
        objective = self.make(mlp)
        objective.begin(walk)
        for walk.step in range(50):
            objective.update(walk)
            before = objective.value_and_grad(walk)[0]
            objective.constrain(walk)
            assert objective.value_and_grad(walk)[0] <= before

    ends_at_zero = True

    def test_a_path_ends_where_the_value_is_zero_or_below_its_start(self, mlp, inputs):
        problem = Problem(
            inputs,
            objective=self.make(mlp),
            direction=PenalizedGradient(penalty=0.2),
            stop=StopWhen(steps=12),
        )
        path = traverse(mlp, problem, rng=1)
        assert (path.objective >= 0).all()
        if self.ends_at_zero:
            assert path.objective[-1] == 0.0
        else:
            assert path.objective[-1] < path.objective[0]


class TestStay(ObjectiveContract):
    def make(self, module):
        return Stay()


class TestSparsity(ObjectiveContract):
    def make(self, module):
        return Sparsity(0.8, refresh=5)

    @pytest.mark.parametrize("target", [0.0, 0.3, 0.5, 0.9, 0.97])
    @pytest.mark.parametrize("saliency", [Magnitude(), MetricSaliency(every=2)])
    def test_zeros_are_exact_and_as_many_as_asked_for(self, mlp, inputs, target, saliency):
        goal = Sparsity(target, saliency=saliency, refresh=3)
        path = traverse(mlp, Problem(inputs, objective=goal, stop=StopWhen(steps=11)), rng=2)
        weights = torch.cat([p.detach().flatten() for p in path.module().parameters() if p.ndim == 2])
        zeros = weights[weights == 0]
        assert len(zeros) == round(target * len(weights))
        assert path.sparsity[-1] == pytest.approx(len(zeros) / len(weights))
        assert not torch.signbit(zeros).any(), "a cut weight must be +0.0, bit for bit"
        assert all((p != 0).all() for p in path.module().parameters() if p.ndim == 1)

    def test_a_plane_that_the_path_does_not_reach_is_entered_at_its_end(self, mlp, inputs):
        goal = Sparsity(0.5, approach=1.0)
        path = traverse(mlp, Problem(inputs, objective=goal, stop=StopWhen(steps=4)), rng=2)
        assert path.sparsity[-1] == 0.5

    def test_only_counted_parameters_are_cut(self, mlp, inputs):
        problem = Problem(inputs, objective=Sparsity(0.9), counted=("0.weight",), stop=StopWhen(steps=6))
        loaded = dict(traverse(mlp, problem, rng=0).module().named_parameters())
        assert float((loaded["0.weight"] == 0).float().mean()) == pytest.approx(0.9, abs=0.01)
        assert (loaded["2.weight"] != 0).all()

    def test_a_network_sparser_than_asked_for_stays_as_sparse(self, mlp, inputs):
        sparse = Damage.weights(mlp, 0.9, rng=0).apply(mlp)
        path = traverse(
            sparse, Problem(inputs, objective=Sparsity(0.5, approach=0.1), stop=StopWhen(steps=3)), rng=0
        )
        assert path.sparsity[-1] >= 0.5

    @pytest.mark.parametrize(
        ("field", "make"),
        [
            ("sparsity", lambda: Sparsity(1.0)),
            ("sparsity", lambda: Sparsity(math.nan)),
            ("sparsity", lambda: Sparsity(-0.1)),
            ("objective.approach", lambda: Sparsity(0.5, approach=0.0)),
            ("objective.refresh", lambda: Sparsity(0.5, refresh=0)),
            ("saliency.floor", lambda: MetricSaliency(floor=-1.0)),
            ("saliency.decay", lambda: MetricSaliency(decay=1.0)),
            ("saliency.probes", lambda: MetricSaliency(probes=0)),
        ],
    )
    def test_bad_values_are_refused(self, field, make):
        with pytest.raises(ConfigError, match=f"^{field}: "):
            make()


def test_of_equal_weights_no_more_leave_than_asked_for(mlp, inputs):
    with torch.no_grad():
        for layer in (mlp[0], mlp[2]):
            layer.weight.copy_(0.3 * layer.weight.sign())
    goal = Sparsity(0.5, saliency=Magnitude())
    path = traverse(mlp, Problem(inputs, goal, step=Fixed(1e-9), stop=StopWhen(3)), rng=0)
    assert path.sparsity[-1] == 0.5
    kept = Global().plane(layout_of(mlp), torch.ones(16 * 8 + 16 + 16 * 5 + 5), 0.5)
    assert not kept[:104].any()
    assert kept[104:].all()


class _Half:
    """One of two threads that stand in for processes."""

    def __init__(self, rank, boxes, barrier):
        self.rank, self.size, self.boxes, self.barrier = rank, 2, boxes, barrier

    def gathered(self, value):
        self.boxes[self.rank] = value
        self.barrier.wait(10)
        both = [*self.boxes]
        self.barrier.wait(10)
        return both


def test_equal_weights_leave_in_the_same_order_where_they_are_cut_among_processes():
    score = (torch.arange(5000) % 3).float()
    whole = Layout(("a", "b"), ((4990,), (10,)), (True, False))
    boxes, barrier = [None, None], threading.Barrier(2)

    def part(rank):
        shard = Shard(5000, _Half(rank, boxes, barrier))
        return Global().plane(replace(whole, shard=shard), score[shard.first : shard.last], 0.5)

    with ThreadPoolExecutor(2) as pool:
        parts = [*pool.map(part, range(2))]
    assert torch.equal(torch.cat(parts), Global().plane(whole, score, 0.5))
    assert int((~torch.cat(parts)).sum()) == 2495


@pytest.mark.parametrize("pattern", [Units(["0"]), PerLayer()])
def test_of_every_layer_something_is_left(make_mlp, inputs, pattern):
    module = make_mlp(8, 2, 5)
    goal = Sparsity(0.99, pattern=pattern, saliency=Magnitude())
    loaded = traverse(module, Problem(inputs, goal, stop=StopWhen(3)), rng=0).module()
    assert int((loaded[0].weight != 0).any(1).sum()) == 1
    assert (loaded(inputs) != loaded(inputs)[0]).any()


class TestPerLayer(ObjectiveContract):
    def make(self, module):
        return Sparsity(0.75, pattern=PerLayer(), refresh=5)

    def test_every_layer_gets_the_same_share(self, mlp, inputs):
        problem = Problem(inputs, objective=self.make(mlp), stop=StopWhen(steps=9))
        loaded = traverse(mlp, problem, rng=0).module()
        assert int((loaded[0].weight == 0).sum()) == 96
        assert int((loaded[2].weight == 0).sum()) == 60
        assert (loaded[0].bias != 0).all()


class TestUnits(ObjectiveContract):
    def make(self, module):
        return Sparsity(0.5, pattern=Units(), refresh=5)

    def test_whole_units_leave_with_their_bias(self, mlp, inputs):
        problem = Problem(inputs, objective=self.make(mlp), stop=StopWhen(steps=9))
        loaded = traverse(mlp, problem, rng=0).module()
        dead = (loaded[0].weight == 0).all(1)
        assert int(dead.sum()) == 8
        assert (loaded[0].bias[dead] == 0).all()
        assert (loaded[0].weight[~dead] != 0).all()
        assert (loaded[2].weight != 0).all()

    def test_channels_of_a_convolution_and_named_layers(self, draws):
        module = torch.nn.Sequential(
            torch.nn.Conv2d(1, 6, 3, bias=False), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(24, 4)
        )
        goal = Sparsity(0.5, pattern=Units(["0"]), saliency=Magnitude())
        path = traverse(
            module, Problem(draws("x", 9, 1, 4, 4), objective=goal, stop=StopWhen(steps=4)), rng=0
        )
        assert int((path.module()[0].weight == 0).all((1, 2, 3)).sum()) == 3

    def test_a_layer_itself_can_be_the_module(self, draws):
        goal = Sparsity(0.5, pattern=Units([""]), saliency=Magnitude())
        problem = Problem(draws("x", 9, 4), objective=goal, stop=StopWhen(steps=4))
        loaded = traverse(torch.nn.Linear(4, 6), problem, rng=0).module()
        assert int((loaded.weight == 0).all(1).sum()) == 3
        assert ((loaded.bias == 0) == (loaded.weight == 0).all(1)).all()


class _Mixture(torch.nn.Module):
    """Parts with and without units."""

    def __init__(self):
        super().__init__()
        self.places = torch.nn.Parameter(torch.ones(1, 5, 8))
        self.words = torch.nn.Embedding(6, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.up = torch.nn.ConvTranspose1d(5, 5, 3)
        self.hidden = torch.nn.Linear(50, 10)
        self.out = torch.nn.Linear(10, 3)

    def forward(self, tokens):
        x = self.words(tokens) + self.places
        x = self.attention(x, x, x, need_weights=False)[0]
        return self.out(torch.relu(self.hidden(self.up(x).flatten(1))))


def test_only_linear_layers_and_convolutions_have_units():
    module, tokens = _Mixture(), torch.arange(160).reshape(32, 5) % 6
    goal = Sparsity(0.6, pattern=Units(), saliency=Magnitude())
    loaded = traverse(module, Problem(tokens, goal, stop=StopWhen(4)), rng=0).module()
    assert {n for n, p in loaded.named_parameters() if p.ndim > 1 and (p == 0).any()} == {
        "attention.out_proj.weight",
        "hidden.weight",
    }
    assert int((loaded.hidden.weight == 0).all(1).sum()) == 6
    for name in ("words", "attention", "up"):
        goal = Sparsity(0.6, pattern=Units([name]))
        with pytest.raises(ConfigError, match=rf"^pattern\.layers: \['{name}'\]"):
            traverse(module, Problem(tokens, goal), rng=0)


def test_the_value_of_units_is_the_distance_to_the_nearest_network(draws):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).double()
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[4.0, 0, 0], [2, 2, 2], [1, 1, 1], [5, 5, 5]]))
        module[0].bias.copy_(torch.tensor([0.0, 0, 5, 0]))
    network = Network(module)
    reference = Reference.of(network, draws("x", 9, 3, dtype=torch.float64), as_key(0))
    goal = Sparsity(0.5, pattern=Units())
    walk = Walk(network, network.weights.clone(), reference, Fisher(), goal, as_key(0), steps=5)
    sizes = (module[0].weight.square().sum(1) + module[0].bias.square()).detach()
    nearest = min(0.5 * float(sizes[[i, j]].sum()) for i in range(4) for j in range(i))
    assert float(goal.value_and_grad(walk)[0]) == pytest.approx(nearest)


class TestNofM(ObjectiveContract):
    def make(self, module):
        return Sparsity(0.5, pattern=NofM(4), refresh=5)

    def test_two_of_every_four_stay(self, mlp, inputs):
        problem = Problem(inputs, objective=self.make(mlp), stop=StopWhen(steps=9))
        loaded = traverse(mlp, problem, rng=0).module()
        for layer in (loaded[0], loaded[2]):
            assert ((layer.weight.reshape(-1, 4) == 0).sum(1) == 2).all()

    def test_groups_of_a_convolution_run_along_its_input_channels(self, draws):
        module = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 2), torch.nn.Flatten()
        )
        goal = Sparsity(0.75, pattern=NofM(4))
        path = traverse(
            module, Problem(draws("x", 9, 1, 4, 4), objective=goal, stop=StopWhen(steps=4)), rng=0
        )
        assert ((path.module()[2].weight == 0).sum(1) == 3).all()
        assert (path.module()[0].weight != 0).all()


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("objective.pattern", lambda: Sparsity(0.5, pattern="units")),
        ("pattern.m", lambda: Sparsity(0.5, pattern=NofM(1))),
        ("pattern.m", lambda: Sparsity(2 / 3, pattern=NofM(3))),
        ("sparsity", lambda: Sparsity(0.6, pattern=NofM(4))),
        ("pattern.layers", lambda: Sparsity(0.5, pattern=Units(["nine"]))),
        ("pattern.layers", lambda: Sparsity(0.5, pattern=Units([]))),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(mlp, inputs, field, make):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        traverse(mlp, Problem(inputs, objective=make()), rng=0)


class TestDamage(ObjectiveContract):
    def make(self, module):
        return Damage.units(module, 0.5, rng=3)

    def test_cut_units_lose_incoming_weights_bias_and_outgoing_weights(self, mlp, inputs):
        damage = Damage.units(mlp, 0.25, rng=1)
        damaged = damage.apply(mlp)
        dead = (damaged[0].weight == 0).all(1)
        assert int(dead.sum()) == 4
        assert (damaged[0].bias[dead] == 0).all()
        assert (damaged[2].weight[:, dead] == 0).all()
        assert (damaged[2].weight[:, ~dead] == mlp[2].weight[:, ~dead]).all()
        assert (mlp[0].weight != 0).all(), "the module that was handed in is untouched"
        assert (damaged[:2](inputs)[:, dead] == 0).all()

    def test_cut_weights_stay_at_zero_all_along_the_path(self, mlp, inputs):
        damage = Damage.weights(mlp, 0.4, rng=1)
        path = traverse(mlp, Problem(inputs, objective=damage, stop=StopWhen(steps=10), keep=4), rng=1)
        for i in range(len(path)):
            for name, parameter in path.module(i).named_parameters():
                if name in damage.intact:
                    cut = parameter.detach()[~torch.from_numpy(damage.intact[name].copy())]
                    assert (cut == 0).all()
                    assert not torch.signbit(cut).any()
        assert path.distance[-1] < path.distance[0]

    def test_the_same_seed_cuts_the_same(self, mlp):
        one, same, other = (Damage.units(mlp, 0.5, rng=s).intact["0.weight"] for s in (1, 1, 2))
        assert (one == same).all()
        assert (one != other).any()

    def test_convolutions_lose_channels(self):
        module = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(), torch.nn.Conv2d(6, 2, 3))
        damage = Damage.units(module, 0.5, rng=0)
        assert damage.intact["0.weight"].any((1, 2, 3)).sum() == 3
        assert damage.intact["2.weight"].any((0, 2, 3)).sum() == 3

    def test_cut_channels_are_silent_behind_batch_normalization(self, draws):
        module = torch.nn.Sequential(
            torch.nn.Conv2d(2, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.Conv2d(6, 4, 1), torch.nn.Flatten()
        )
        module[1].bias.data.fill_(1.0)
        damage = Damage.channels(module, 0.5, rng=0, layers=["0"])
        assert set(damage.intact) == {"0.weight", "0.bias", "1.weight", "1.bias"}
        behind = damage.apply(module).eval()[:2](draws("x", 5, 2, 4, 4))
        assert int((behind == 0).all(0).all(1).all(1).sum()) == 3
        assert set(Damage.channels(module, 0.5).intact) == {*damage.intact, "2.weight", "2.bias"}

    def test_cut_units_are_silent_behind_batch_normalization(self, draws):
        module = torch.nn.Sequential(
            torch.nn.Linear(8, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 4)
        )
        module[1].bias.data.fill_(1.0)
        damage = Damage.units(module, 0.5, rng=0)
        assert set(damage.intact) == {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight"}
        behind = damage.apply(module).eval()[:2](draws("x", 5, 8))
        assert int((behind == 0).all(0).sum()) == 3

    def test_of_every_layer_something_is_left(self, make_mlp):
        module = make_mlp(8, 10, 5)
        assert Damage.units(module, 0.95).intact["0.weight"].any(1).sum() == 1
        kernel = torch.nn.Conv1d(1, 10, 3)
        assert Damage.channels(kernel, 0.99).intact["weight"].any((1, 2)).sum() == 1
        assert Damage.weights(torch.nn.Linear(1, 1), 0.9).intact["weight"].all()

    def test_a_weight_that_is_computed_is_passed_over(self, make_mlp):
        module = make_mlp(8, 6, 6, 5)
        torch.nn.utils.parametrizations.weight_norm(module[0])
        assert set(Damage.units(module, 0.5).intact) == {"2.weight", "2.bias", "4.weight"}

    def test_noise_hits_once_and_the_path_leads_back(self, mlp, inputs):
        damage = Damage.noise(mlp, 0.5, rng=3)
        hit = damage.apply(mlp)
        change = (hit[0].weight - mlp[0].weight).detach()
        share = float(change.square().mean().sqrt() / mlp[0].weight.detach().square().mean().sqrt())
        assert share == pytest.approx(0.5, rel=0.15)
        assert torch.equal(hit[0].bias, mlp[0].bias)
        path = traverse(mlp, Problem(inputs, objective=damage, stop=StopWhen(steps=30)), rng=0)
        torch.testing.assert_close(path.module(0)[0].weight, hit[0].weight)
        assert path.distance[-1] < 0.5 * path.distance[0]

    def test_named_layers_only_and_frozen_layers_never(self, make_mlp):
        module = make_mlp(8, 12, 10, 5)
        assert set(Damage.units(module, 0.5, layers=["2"]).intact) == {"2.weight", "2.bias", "4.weight"}
        module[0].requires_grad_(False)
        assert "0.weight" not in Damage.units(module, 0.5).intact

    @pytest.mark.parametrize(
        ("field", "make"),
        [
            ("fraction", lambda m: Damage.units(m, 1.0)),
            ("fraction", lambda m: Damage.weights(m, -0.5)),
            ("layers", lambda m: Damage.units(m, 0.5, layers=["nine"])),
            ("layers", lambda m: Damage.units(m[:1], 0.5)),
            ("damage", lambda m: Damage({})),
            ("scale", lambda m: Damage.noise(m, 0.0)),
            ("damage", lambda m: Damage.noise(torch.nn.BatchNorm1d(3), 0.5)),
            ("damage.0.weight", lambda m: Damage({}, {"0.weight": np.ones((16, 8))})),
            ("damage.0.weight", lambda m: Damage({}, {"0.weight": np.full((16, 8), np.nan, np.float32)})),
            ("fraction", lambda m: Damage.channels(m, -1.0)),
            ("layers", lambda m: Damage.channels(m, 0.5)),
            ("layers", lambda m: Damage.channels(torch.nn.Conv1d(1, 2, 3), 0.5, layers=["nine"])),
            ("damage.0.weight", lambda m: Damage({"0.weight": np.ones((16, 8))})),
            ("damage", lambda m: Damage({"0.weight": np.ones((3, 8), dtype=bool)}).apply(m)),
            ("damage", lambda m: Damage.weights(torch.nn.BatchNorm1d(3), 0.5)),
        ],
    )
    def test_bad_values_are_refused(self, mlp, field, make):
        with pytest.raises(ConfigError, match=f"^{field}: "):
            make(mlp)

    def test_damage_to_parameters_that_do_not_move_is_refused(self, mlp, inputs):
        damage = Damage.units(mlp, 0.5)
        with pytest.raises(ConfigError, match=r"^damage: '0\.weight"):
            traverse(mlp, Problem(inputs, objective=damage, parameters=["2.weight", "2.bias"]))


class TestSum(ObjectiveContract):
    def make(self, module):
        return Sum(
            Damage.weights(module, 0.2, rng=1),
            Sparsity(0.6, refresh=5),
            Sparsity(0.5, pattern=NofM(4), saliency=Magnitude()),
            factors=(1.0, 0.5, 2.0),
        )

    def test_all_constraints_hold_at_once(self, mlp, inputs):
        goal = self.make(mlp)
        loaded = traverse(mlp, Problem(inputs, objective=goal, stop=StopWhen(steps=12)), rng=0).module()
        weights = torch.cat([loaded[0].weight.flatten(), loaded[2].weight.flatten()])
        cut = ~torch.from_numpy(goal.parts[0].intact["0.weight"].copy())
        assert (loaded[0].weight[cut] == 0).all()
        assert int((weights == 0).sum()) >= round(0.6 * len(weights))
        assert ((loaded[0].weight.reshape(-1, 4) == 0).sum(1) >= 2).all()

    def test_what_a_part_has_cut_no_other_part_brings_back(self, mlp, inputs):
        other = Damage.noise(mlp, 1.0, rng=5).apply(mlp)
        cut = Damage.weights(mlp, 0.5, rng=0)
        for first in (cut, Sparsity(0.5, approach=0.3, refresh=1)):
            for parts in (
                (first, ToWeights(other, pull=0.1)),
                (Sum(first, Damage.noise(mlp, 0.1, rng=1)), ToWeights(other, pull=0.1)),
            ):
                path = traverse(mlp, Problem(inputs, Sum(*parts), stop=StopWhen(10), keep=11), rng=0)
                assert (path.sparsity[4:] == 0.5).all()
                assert (path.sparsity[0] == 0.5) == (first is cut)

    def test_the_free_weights_are_those_that_all_masks_leave(self, walk, mlp):
        one, two = (Damage.weights(mlp, 0.3, rng=seed) for seed in (1, 2))
        both = Sum(one, two, Stay())
        both.begin(walk)
        layout = walk.network.layout
        assert torch.equal(walk.mask, one.mask(layout) & two.mask(layout))
        Sum(Stay()).begin(walk)


class TestNewTask(ObjectiveContract):
    ends_at_zero = False

    def make(self, module):
        stream = as_key(3).stream("new")
        x = torch.from_numpy(stream.normal(0, 120 * 8)).view(120, 8)
        y = x[:, 0].gt(0).long() + 2 * x[:, 1].gt(0).long()
        return NewTask(x[:100], y[:100], batch=100, replay=Replay(x[100:], y[100:], batch=20))

    def test_labels_of_the_past_are_used_only_where_they_are_given(self, walk, mlp):
        both = self.make(mlp)
        alone = NewTask(both.inputs, both.labels, batch=100)
        alone.begin(walk)
        live = walk.network.outputs(walk.scratch["task"][0][0])
        value, _ = alone.value_and_grad(walk)
        torch.testing.assert_close(value, torch.nn.functional.cross_entropy(live, both.labels))
        both.begin(walk)
        assert both.value_and_grad(walk)[0] > value


class TestToWeights(ObjectiveContract):
    ends_at_zero = False

    def make(self, module):
        return ToWeights(Damage.noise(module, 1.0, rng=5).apply(module), pull=0.1)

    def test_the_pull_alone_closes_in_on_the_other_network(self, walk, mlp):
        goal = self.make(mlp)
        goal.begin(walk)
        before = goal.value_and_grad(walk)[0]
        goal.constrain(walk)
        assert float(goal.value_and_grad(walk)[0]) == pytest.approx(0.81 * float(before))


class TestDiversity(ObjectiveContract):
    ends_at_zero = False

    def make(self, module):
        return Diversity(0.5, others=[Damage.noise(module, 0.02, rng=5).apply(module)])

    def test_from_the_start_itself_a_way_leads_out(self, walk, mlp):
        goal = Diversity(0.5)
        goal.begin(walk)
        value, gradient = goal.value_and_grad(walk)
        assert float(value) == pytest.approx(0.125)
        assert float(gradient.norm()) == pytest.approx(0.5)
        walk.weights.sub_(gradient, alpha=1.01)
        value, gradient = goal.value_and_grad(walk)
        assert float(value) == 0.0
        assert (gradient == 0).all()


def _spread(module):
    return (module[0].weight.square().sum() - 1.0).square()


class TestUserObjective(ObjectiveContract):
    ends_at_zero = False

    def make(self, module):
        return UserObjective(_spread)


FEW = torch.zeros(4, 8)


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("objective.parts", lambda m: Sum(3)),
        ("objective.factors", lambda m: Sum()),
        ("objective.factors", lambda m: Sum(Stay(), factors=(1.0, 2.0))),
        ("objective.factors", lambda m: Sum(Stay(), factors=(-1.0,))),
        ("objective.function", lambda m: UserObjective(3)),
        ("objective.function", lambda m: UserObjective(lambda _: 3.0)),
        ("objective.function", lambda m: UserObjective(lambda n: n[0].weight)),
        ("objective.function", lambda m: UserObjective(lambda n: n[0].weight.sum() / 0)),
        ("objective.batch", lambda m: NewTask(FEW, [0] * 4, batch=0)),
        ("objective.replay", lambda m: NewTask(FEW, [0] * 4, replay=3)),
        ("replay.batch", lambda m: Replay(FEW, [0] * 4, batch=0)),
        ("objective.inputs", lambda m: NewTask(FEW[:, 1:], [0] * 4)),
        ("objective.labels", lambda m: NewTask(FEW, [5] * 4)),
        ("objective.labels", lambda m: NewTask(FEW, ["cat"] * 4)),
        ("objective.labels", lambda m: NewTask(FEW, np.array(["cat"] * 4))),
        ("replay.labels", lambda m: NewTask(FEW, [0] * 4, replay=Replay(FEW, [0]))),
        ("objective.module", lambda m: ToWeights(torch.nn.Linear(8, 5))),
        ("objective.module", lambda m: ToWeights("other")),
        ("objective.pull", lambda m: ToWeights(m, pull=1.0)),
        ("objective.radius", lambda m: Diversity(0.0)),
        ("objective.others", lambda m: Diversity(1.0, others=[m, torch.nn.Linear(8, 5)])),
    ],
)
def test_an_objective_that_does_not_fit_is_refused(mlp, inputs, field, make):
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        traverse(mlp, Problem(inputs, objective=make(mlp)), rng=0)
