"""The verb: what it promises about the module, the randomness, the stop and bad input."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from devnet._core import progress
from devnet._core.errors import ConfigError, HealthError
from devnet.fip import (
    Backtrack,
    Damage,
    DampedNatural,
    Euclidean,
    Fisher,
    Fixed,
    NullSpace,
    PenalizedGradient,
    Problem,
    Sparsity,
    Stay,
    Stop,
    StopWhen,
    UserObjective,
    traverse,
)


def sparse(inputs, **more) -> Problem:
    return Problem(inputs, objective=Sparsity(0.7, refresh=4), stop=StopWhen(steps=15), keep=4, **more)


def test_the_module_and_the_generator_of_torch_are_untouched(mlp, inputs):
    before = copy.deepcopy(mlp.state_dict())
    state = torch.get_rng_state()
    path = traverse(mlp, sparse(inputs), rng=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[n], p) for n, p in mlp.state_dict().items())
    assert mlp.training
    assert all(p.requires_grad and p.grad is None for p in mlp.parameters())
    assert path.module().training


def test_one_key_gives_one_path_bit_for_bit(mlp, inputs):
    one, same, other = (traverse(mlp, sparse(inputs), rng=s) for s in (1, np.random.SeedSequence(1), 2))
    assert one.key == same.key
    assert one.deltas.tobytes() == same.deltas.tobytes()
    assert one.distance.tobytes() == same.distance.tobytes()
    assert one.deltas.tobytes() != other.deltas.tobytes()


def test_the_measured_networks_are_those_that_are_loaded(mlp, inputs):
    path = traverse(mlp, sparse(inputs, probe=10_000, metric=Euclidean()), rng=1)
    z0 = mlp(inputs).detach()
    for i in range(len(path)):
        z = path.module(i)(inputs).detach()
        assert float(Euclidean().divergence(z, z0).mean()) == pytest.approx(
            path.distance[i], rel=1e-5, abs=1e-12
        )
    assert path.distance[0] == 0.0
    assert list(path.steps) == [0, 5, 10, 15]


def test_buffers_batch_norm_and_frozen_parameters_do_not_move(draws):
    module = nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 8), nn.Linear(8, 4)
    )
    module[1].running_mean.copy_(draws("mean", 16))
    module[4].requires_grad_(False)
    path = traverse(module, sparse(draws("x", 64, 8)), rng=1)
    loaded = path.module().state_dict()
    for name, value in module.state_dict().items():
        moved = not torch.equal(value, loaded[name])
        assert moved == (name in {"0.weight", "0.bias", "1.weight", "1.bias", "5.weight", "5.bias"}), name


def test_the_user_chooses_what_moves(mlp, inputs):
    path = traverse(
        mlp, Problem(inputs, objective=Sparsity(0.5), parameters=["2.weight"], stop=StopWhen(4)), rng=0
    )
    loaded = path.module()
    assert path.layout.names == ("2.weight",)
    assert torch.equal(loaded[0].weight, mlp[0].weight)
    assert int((loaded[2].weight == 0).sum()) == 40


def test_a_convolution_and_a_transformer_pass_through_the_same_call(draws):
    convolution = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    transformer = nn.Sequential(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(40, 3)
    )
    for module, x in ((convolution, draws("x", 32, 1, 8, 8)), (transformer, draws("x", 32, 5, 8))):
        assert traverse(module, sparse(x), rng=0).sparsity[-1] == pytest.approx(0.7, abs=0.01)
        problem = Problem(
            x,
            objective=Damage.weights(module, 0.2, rng=0),
            metric=Euclidean(),
            direction=DampedNatural(iterations=4),
            step=Backtrack(),
            stop=StopWhen(steps=3),
        )
        path = traverse(module, problem, rng=0)
        assert path.distance[-1] < path.distance[0]


class Masked(nn.Module):
    """A transformer that passes padding over."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder, self.out = nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, x, pad):
        return self.out(self.encoder(x, src_key_padding_mask=pad))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_attention_with_a_mask_computes_alike_with_and_without_a_gradient(draws):
    module, x = Masked(), draws("x", 16, 5, 8)
    pad = torch.arange(5) > 1 + torch.arange(16)[:, None] % 4
    still = Problem({"x": x, "pad": pad}, step=Fixed(0.1), stop=StopWhen(5))
    path = traverse(module, still, rng=0)
    assert path.distance[-1] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(path.weight_distance[-1], 0.0, atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()


class Spoiling(nn.Module):
    """Works in place on what it is given."""

    def forward(self, x):
        return x.add_(1.0)


@pytest.mark.parametrize("direction", [PenalizedGradient(), DampedNatural()])
def test_a_module_that_works_in_place_leaves_the_inputs_alone(mlp, inputs, direction):
    module, before = nn.Sequential(Spoiling(), *mlp), inputs.clone()
    problem = Problem(inputs, Damage.noise(module, 0.1, rng=0), direction=direction, stop=StopWhen(3))
    path = traverse(module, problem, rng=0, labelled=(inputs, [0] * len(inputs)))
    assert torch.equal(inputs, before)
    copied = traverse(nn.Sequential(Plus(), *mlp), problem, rng=0)
    np.testing.assert_array_equal(path.deltas, copied.deltas)


class Plus(nn.Module):
    def forward(self, x):
        return x + 1.0


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_distances_are_fine_and_never_negative(mlp, inputs, kind):
    problem = Problem(inputs, Damage.noise(mlp, 1e-3, rng=0), step=Fixed(1e-9), stop=StopWhen(4), keep=5)
    path = traverse(mlp.to(kind), problem, rng=0)
    assert (path.distance >= 0).all()
    if kind == torch.float32:
        assert 0 < path.distance[0] < 1e-6
        one, two = (m.double()(inputs.double()).detach() for m in (path.module(0), mlp))
        assert path.distance[0] == pytest.approx(float(Fisher().divergence(one, two).mean()), rel=1e-2)


@pytest.mark.parametrize("direction", [DampedNatural(iterations=4), NullSpace(count=3, examples=10)])
def test_bfloat16_lets_curvature_be_known(mlp, draws, direction):
    cnn = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))
    for module, x in ((mlp, draws("x", 40, 8)), (cnn, draws("x", 40, 1, 6, 6))):
        goal = Damage.noise(module, 0.3, rng=0)
        problem = Problem(
            x, goal, direction=direction, step=Backtrack(), stop=StopWhen(3), precision=torch.bfloat16
        )
        path = traverse(module, problem, rng=0)
        assert path.distance[-1] < path.distance[0]
        still = Problem(x, direction=direction, step=Fixed(1.0), stop=StopWhen(1), precision=torch.bfloat16)
        assert traverse(module, still, rng=0).weight_distance[-1] == 0.0


def test_double_precision_is_kept(mlp, inputs):
    path = traverse(mlp.double(), sparse(inputs), rng=0)
    assert path.deltas.dtype == np.float64
    assert path.module()[0].weight.dtype == torch.float64


def test_half_precision_ends_with_exact_zeros(mlp, inputs):
    path = traverse(mlp.bfloat16(), sparse(inputs), rng=0)
    assert path.deltas.dtype == np.float32
    assert path.sparsity[-1] >= 0.69


def test_integer_inputs_stay_integers():
    module = nn.Sequential(nn.Embedding(12, 6), nn.Flatten(), nn.Linear(24, 3))
    tokens = torch.arange(160).reshape(40, 4) % 12
    assert traverse(module, sparse(tokens), rng=0).sparsity[-1] == pytest.approx(0.7, abs=0.01)


class TestStops:
    def test_steps(self, mlp, inputs):
        path = traverse(mlp, sparse(inputs), rng=0)
        assert path.stop is Stop.STEPS

    def test_reached(self, mlp, inputs):
        problem = Problem(
            inputs,
            objective=Damage.weights(mlp, 0.1, rng=0),
            direction=DampedNatural(),
            metric=Euclidean(),
            step=Backtrack(),
            stop=StopWhen(steps=60, distance_below=0.15),
            keep=61,
        )
        path = traverse(mlp, problem, rng=0)
        assert path.stop is Stop.REACHED
        assert path.distance[-1] <= 0.15 < path.distance[-2]

    def test_limit(self, mlp, inputs):
        problem = Problem(
            inputs, objective=Sparsity(0.95), stop=StopWhen(steps=40, distance_above=0.01), keep=41
        )
        path = traverse(mlp, problem, rng=0)
        assert path.stop is Stop.LIMIT
        assert len(path) < 41

    def test_stalled(self, mlp, inputs):
        problem = Problem(
            inputs, direction=DampedNatural(), step=Backtrack(), stop=StopWhen(steps=40, stalled=2)
        )
        path = traverse(mlp, problem, rng=0)
        assert path.stop is Stop.STALLED
        assert path.steps[-1] == 2

    def test_damping_that_begins_too_low_is_given_time(self, mlp, inputs):
        def small(module):
            return 0.1 * sum(p.square().sum() for p in module.parameters())

        problem = Problem(
            inputs,
            UserObjective(small),
            direction=DampedNatural(),
            step=Backtrack(),
            stop=StopWhen(steps=20),
        )
        path = traverse(mlp, problem, rng=0)
        assert path.stop is Stop.STEPS
        assert path.objective[-1] < 0.9 * path.objective[0]

    def test_each_has_a_sentence(self):
        assert all(stop.help.endswith(".") for stop in Stop)

    @pytest.mark.parametrize(
        ("field", "bad"),
        [
            ("steps", 0),
            ("steps", 2.5),
            ("stalled", 0),
            ("distance_above", -1.0),
            ("distance_below", math.nan),
        ],
    )
    def test_bad_values_are_refused(self, field, bad):
        with pytest.raises(ConfigError, match=rf"^stop\.{field}: "):
            StopWhen(**{field: bad})


def test_progress_is_reported_step_by_step(mlp, inputs):
    class Listener:
        def __init__(self):
            self.seen = []

        def open(self, label, total):
            self.seen.append((label, total))
            return self

        def __enter__(self):
            return lambda n=1, note="": self.seen.append(note or n)

        def __exit__(self, *error):
            self.seen.append("closed")

    listener = Listener()
    with progress.listening(listener):
        traverse(mlp, sparse(inputs), rng=0)
    assert listener.seen[0] == ("traverse", 15)
    assert listener.seen[-1] == "closed"
    assert [n for n in listener.seen if isinstance(n, int)] == [1] * 15


def test_a_walk_that_leaves_the_finite_numbers_is_an_error_that_says_where(mlp, inputs):
    problem = Problem(
        inputs, objective=Sparsity(0.9), metric=Euclidean(), step=Fixed(1e6), stop=StopWhen(steps=30)
    )
    with pytest.raises(
        HealthError, match=r"^step \d+: the functional distance is (nan|inf); take smaller steps"
    ):
        traverse(mlp, problem, rng=0)


def test_a_start_that_is_not_finite_is_told_as_such(mlp, inputs):
    damage = Damage({}, {"0.weight": np.full((16, 8), 3e38, np.float32)})
    with pytest.raises(HealthError, match=r"^step 0: .*where the objective lets the path start"):
        traverse(mlp, Problem(inputs, damage), rng=0)


def test_a_module_that_cannot_be_copied_or_has_no_shapes_is_refused(mlp, inputs):
    prune.random_unstructured(mlp[0], "weight", 0.5)
    mlp(inputs)
    for ask in (
        lambda: traverse(mlp, Problem(inputs)),
        lambda: Damage.noise(mlp, 0.1).apply(mlp),
    ):
        with pytest.raises(ConfigError, match=r"^module: .*prune\.remove"):
            ask()
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(ConfigError, match=r"^module: '0\.weight without a shape'.*called once"):
        traverse(lazy, Problem(inputs))


@pytest.mark.parametrize("module", [nn.Linear(4, 3), nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten())])
def test_pictures_of_bytes_are_told_what_to_do(module):
    pictures = (
        torch.zeros(9, 4, dtype=torch.uint8)
        if len([*module.children()]) == 0
        else torch.zeros(9, 1, 4).byte()
    )
    words = "inputs are uint8, the module's weights float32: convert, for example x / 255"
    with pytest.raises(ConfigError, match=rf"^inputs: .*{words}"):
        traverse(module, Problem(pictures))


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.rand(())


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Broken(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 0.0


class Flat(nn.Linear):
    def forward(self, x):
        return super().forward(x).sum(1)


MIXED = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2).double())


@pytest.mark.parametrize(
    ("field", "module", "change"),
    [
        ("module", "a text", {}),
        ("module", Noisy(8, 3), {}),
        ("module", Pair(8, 3), {}),
        ("module", Broken(8, 3), {}),
        ("module", Flat(8, 3), {}),
        ("parameters", nn.Flatten(), {}),
        ("parameters", MIXED, {}),
        ("parameters", None, {"parameters": ["nine"]}),
        ("parameters", None, {"parameters": []}),
        ("parameters", None, {"parameters": "0.weight"}),
        ("counted", None, {"counted": ["nine"]}),
        ("inputs", None, {"inputs": torch.zeros(10, 3)}),
        ("inputs", None, {"inputs": torch.zeros(0, 8)}),
        ("inputs", None, {"inputs": [[0.0] * 8]}),
        ("inputs", None, {"inputs": np.full((4, 8), np.nan)}),
        ("inputs", None, {"inputs": np.array([None, 2])}),
        ("inputs", None, {"inputs": np.array(["a", "b"])}),
        ("rng", None, {"rng": "seed"}),
        ("objective", None, {"objective": "sparse"}),
        ("metric", None, {"metric": Stay()}),
        ("direction", None, {"direction": PenalizedGradient}),
        ("keep", None, {"keep": 1}),
        ("probe", None, {"probe": 0}),
    ],
)
def test_bad_input_is_one_clear_line_that_names_the_field(mlp, inputs, field, module, change):
    change = {"inputs": inputs, "stop": StopWhen(steps=2), **change}
    rng = change.pop("rng", 0)
    with pytest.raises(ConfigError, match=rf"^{field}: .* is not allowed; give ") as caught:
        traverse(mlp if module is None else module, Problem(**change), rng=rng)
    assert "\n" not in str(caught.value)


def test_a_problem_of_another_kind_is_refused(mlp):
    with pytest.raises(ConfigError, match=r"^problem: "):
        traverse(mlp, {"inputs": 3})


def test_numpy_inputs_need_not_be_writable(mlp, inputs):
    array = inputs.numpy().copy()
    array.flags.writeable = False
    one = traverse(mlp, sparse(array), rng=0)
    assert one.deltas.tobytes() == traverse(mlp, sparse(inputs), rng=0).deltas.tobytes()


@pytest.mark.gpu
def test_a_gpu_walks_to_the_same_plane(mlp, inputs):
    path = traverse(mlp.cuda(), sparse(inputs.cuda()), rng=0)
    again = traverse(mlp.cuda(), sparse(inputs.cuda()), rng=0)
    assert path.sparsity[-1] == pytest.approx(0.7, abs=0.01)
    assert path.deltas.tobytes() == again.deltas.tobytes()
    assert path.module()[0].weight.is_cuda
