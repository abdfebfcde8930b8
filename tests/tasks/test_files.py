"""Paths, curves and ensembles come back from their files; what does not fit the module says what and why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import devnet as dn
from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip import Damage, Problem, Sparsity, StopWhen, resume, traverse
from devnet.tasks import load_path, save_path
from devnet.tasks.connection import connect, straight
from devnet.tasks.files import load_curve, load_ensemble, save_curve, save_ensemble, with_state


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))
    module(torch.randn(40, 8) + seed)
    return module.eval()


X = torch.linspace(-1, 1, 80).view(10, 8)


def same(one: nn.Module, two: nn.Module) -> bool:
    theirs = two.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_a_path_comes_back_with_the_network_it_starts_from(tmp_path):
    path = traverse(network(1), Problem(X, Sparsity(0.5), stop=StopWhen(6), keep=3), rng=0)
    save_path(path, tmp_path / "p", accuracy=np.zeros(3))
    again = load_path(tmp_path / "p", network(2))
    assert all(same(path.module(i), again.module(i)) for i in range(3))
    assert (again.stop, again.key) == (path.stop, path.key)
    assert dn.tasks.load_path is load_path


def test_a_paused_path_goes_on_from_its_file(tmp_path):
    problem = Problem(X, Damage.weights(network(1), 0.3, rng=0), stop=StopWhen(6), keep=4)
    whole, half = (traverse(network(1), problem, rng=0, until=until) for until in (None, 2))
    save_path(half, tmp_path / "p")
    assert same(resume(load_path(tmp_path / "p", network(2)), problem).module(), whole.module())


def test_a_path_in_half_precision_comes_back_bit_for_bit(tmp_path):
    path = traverse(network(1).bfloat16(), Problem(X, Sparsity(0.5), stop=StopWhen(4), keep=2), rng=0)
    save_path(path, tmp_path / "p")
    assert same(load_path(tmp_path / "p", network(2).bfloat16()).module(), path.module())


def test_a_curve_comes_back_with_the_statistics_of_both_ends(tmp_path):
    curve = connect(network(1), network(2), X, steps=3, rng=0)
    save_curve(curve, tmp_path / "c", error=[0.0])
    again = load_curve(tmp_path / "c", network(3))
    assert all(same(curve.module(t), again.module(t)) for t in (0, 0.3, 1))
    frozen = network(3)
    frozen[0].requires_grad_(False)
    save_curve(straight(network(1), network(1)), tmp_path / "d")
    with pytest.raises(ConfigError, match=r"^module: .*require a gradient"):
        load_curve(tmp_path / "d", frozen)


def test_an_ensemble_comes_back_in_order(tmp_path):
    members = [network(seed) for seed in range(11)]
    save_ensemble(members, tmp_path / "e")
    again = load_ensemble(tmp_path / "e", network(20))
    assert len(again) == 11
    assert all(same(a, b) for a, b in zip(members, again, strict=True))


def test_another_kind_of_file_is_told(tmp_path):
    save_ensemble([network(0)], tmp_path / "e")
    with pytest.raises(CorruptFileError, match="holds a ensemble, not a path"):
        load_path(tmp_path / "e", network(0))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight


def test_a_tied_name_may_be_absent_but_not_differ():
    arrays = {n: t.numpy() for n, t in Tied().state_dict().items()}
    for absent in ("one.weight", "two.weight"):
        given = {n: a for n, a in arrays.items() if n != absent}
        found = with_state("network", Tied(), given)
        assert found.one.weight is found.two.weight
        assert np.array_equal(found.one.weight.detach().numpy(), arrays["one.weight"])
    with pytest.raises(ConfigError, match=r"two\.weight other than one\.weight"):
        with_state("network", Tied(), arrays | {"two.weight": arrays["one.weight"] + 1})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"0.bias": None}, r"'0\.bias missing' .*\(0\.bias of shape \(6,\)\)"),
        ({"9.bias": np.zeros(2, np.float32)}, r"'9\.bias extra' .*no such array"),
        ({"0.bias": np.zeros(2, np.float32)}, r"'0\.bias of shape \(2,\)' .*\(0\.bias of shape \(6,\)\)"),
        ({"0.bias": np.zeros(6, np.int32)}, r"'0\.bias of int32' .*float32"),
        ({"0.bias": np.zeros(6)}, r"\['float32', 'float64'\] .*one floating-point type"),
    ],
)
def test_an_array_that_does_not_fit_is_named(change, told):
    arrays = {n: t.numpy() for n, t in network(0).state_dict().items()} | change
    with pytest.raises(ConfigError, match=f"^network: {told}"):
        with_state("network", network(0), {n: a for n, a in arrays.items() if a is not None})


def test_a_file_of_float64_makes_a_network_of_float64():
    arrays = {n: t.numpy() for n, t in network(0).double().state_dict().items()}
    assert {p.dtype for p in with_state("network", network(1), arrays).parameters()} == {torch.float64}
