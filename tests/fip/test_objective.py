"""Every objective keeps the same promises: value, gradient, proximal map, exact end."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import (
    Damage,
    Fisher,
    Magnitude,
    MetricSaliency,
    Network,
    Objective,
    Problem,
    Sparsity,
    Stay,
    StopWhen,
    Walk,
    traverse,
)
from devnet.fip._reference import Reference


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

    def test_a_path_ends_where_the_value_is_zero(self, mlp, inputs):
        path = traverse(mlp, Problem(inputs, objective=self.make(mlp), stop=StopWhen(steps=12)), rng=1)
        assert path.objective[-1] == 0.0
        assert (path.objective >= 0).all()


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
