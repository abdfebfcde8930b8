"""The jobs keep what they promise, beside baselines that see the labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from devnet._core.errors import ConfigError, HealthError
from devnet._core.random import Key
from devnet.data import load_images
from devnet.fip import Stop
from devnet.tasks import Damage, accuracy, baselines, recover, sparsify, train_classifier
from devnet.tasks.baselines import Training


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return half of the 8x8 digits to learn from and half to ask about."""
    bunch = load_digits()
    order = Key(0).stream("split").permutation(0, len(bunch.target))
    x = torch.from_numpy(bunch.data[order] / 16.0).float() - 0.3
    y = torch.from_numpy(bunch.target[order])
    return x[:900], y[:900], x[900:], y[900:]


def untrained() -> nn.Sequential:
    module = nn.Sequential(nn.Linear(64, 60), nn.ReLU(), nn.Linear(60, 10))
    for name, parameter in module.named_parameters():
        draws = Key(1).stream(name).normal(0, parameter.numel())
        parameter.data = torch.from_numpy(draws).reshape(parameter.shape) / parameter.shape[-1] ** 0.5
    return module


@pytest.fixture(scope="module")
def dense(digits) -> nn.Module:
    torch.set_num_threads(1)
    return train_classifier(untrained(), *digits[:2], steps=800, rate=1e-2, rng=0)


def zeros(module: nn.Module) -> float:
    weights = torch.cat([p.detach().flatten() for p in module.parameters() if p.ndim >= 2])
    return float((weights == 0).float().mean())


def test_training_learns_and_repeats_itself(dense, digits):
    start = untrained()
    assert accuracy(start, *digits[2:]) < 0.3
    assert accuracy(dense, *digits[2:]) > 0.95
    one, two = (train_classifier(start, *digits[:2], steps=20, rng=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), untrained().parameters(), strict=True))


def test_batch_norm_keeps_its_statistics_or_learns_those_of_the_batches(digits):
    torch.manual_seed(0)
    start = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 20), torch.nn.BatchNorm1d(20), torch.nn.ReLU()
    )
    start.append(torch.nn.Linear(20, 10))
    x, y, x_test, y_test = digits
    frozen = train_classifier(start, x, y, steps=200, rate=1e-2, rng=0)
    assert torch.equal(frozen[2].running_mean, start[2].running_mean)
    fresh = train_classifier(start, x, y, steps=200, rate=1e-2, statistics="batch", rng=0)
    assert start[2].num_batches_tracked == 0
    assert fresh[2].num_batches_tracked == 200
    assert fresh.training
    with torch.no_grad():
        seen = fresh[1](fresh[0](x))
    assert (fresh[2].running_mean - seen.mean(0)).abs().max() < 0.3 * seen.std()
    assert accuracy(fresh, x_test, y_test) > 0.9


def test_sparsify_without_labels_keeps_up_with_pruning_that_sees_them(dense, digits):
    x, y, x_test, y_test = digits
    path = sparsify(dense, x, sparsity=0.95, steps=600, rng=0)
    ours = path.module()
    gradual = baselines.gradual_magnitude_pruning(
        dense, x, y, sparsity=0.95, training=Training(600, rate=6e-3), rng=0
    )
    at_once = baselines.magnitude_pruning(
        dense, x, y, sparsity=0.95, training=Training(600, rate=6e-3), rng=0
    )
    assert path.stop is Stop.STEPS
    assert zeros(ours) == zeros(gradual) == zeros(at_once) == pytest.approx(0.95, abs=2e-4)
    best = max(accuracy(gradual, x_test, y_test), accuracy(at_once, x_test, y_test))
    assert accuracy(ours, x_test, y_test) > best - 0.01
    assert accuracy(ours, x_test, y_test) > 0.88


def test_surgery_in_blocks_costs_less_than_cutting_alone_and_solves_the_quadratic_model(dense, digits):
    x, y, x_test, y_test = digits
    at_once = {"sparsity": 0.8, "training": None, "examples": 400, "rng": 0}
    scores = [
        accuracy(baselines.obs_pruning(dense, x, y, block=block, **at_once), x_test, y_test)
        for block in (1, 60)
    ]
    assert scores[1] > scores[0] + 0.03
    tuned = baselines.obs_pruning(dense, x, y, sparsity=0.95, training=Training(300, rate=6e-3), rng=0)
    assert zeros(tuned) == pytest.approx(0.95, abs=2e-4)
    assert accuracy(tuned, x_test, y_test) > 0.75


def test_gradual_pruning_may_ask_the_fisher_metric(dense, digits):
    x, y, x_test, y_test = digits
    sparse = baselines.gradual_fisher_pruning(
        dense, x, y, sparsity=0.95, training=Training(400, rate=6e-3), rng=0
    )
    assert zeros(sparse) == pytest.approx(0.95, abs=2e-4)
    assert accuracy(sparse, x_test, y_test) > 0.88


def test_recovery_without_labels_regains_the_dense_network(dense, digits):
    x, y, x_test, y_test = digits
    damage = Damage.units(dense, 0.5, rng=1)
    lost = accuracy(dense, x_test, y_test) - accuracy(damage.apply(dense), x_test, y_test)
    path = recover(dense, x, damage=damage, rng=0)
    recovered = path.module()
    tuned = baselines.fine_tuning(dense, x, y, damage=damage, training=Training(600, rate=3e-3), rng=0)
    assert lost > 0.05
    assert path.distance[-1] < 0.1 * path.distance[0]
    assert accuracy(recovered, x_test, y_test) > accuracy(tuned, x_test, y_test) - 0.01
    assert accuracy(recovered, x_test, y_test) > accuracy(dense, x_test, y_test) - 0.015
    for module in (recovered, tuned):
        for name, parameter in module.named_parameters():
            if name in damage.intact:
                assert (parameter.detach()[~torch.from_numpy(damage.intact[name].copy())] == 0).all()


def test_a_grown_pooling_layer_in_front_stays_as_it_is(digits):
    class Pooling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer(
                "pools", torch.from_numpy(Key(5).stream("pools").uniform(0, 64 * 16)).float()
            )

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.pools.view(64, 16)

    module = nn.Sequential(Pooling(), nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 10))
    path = sparsify(module, digits[0], sparsity=0.8, steps=30, rng=0)
    assert path.layout.names == ("1.weight", "1.bias", "3.weight", "3.bias")
    assert torch.equal(path.module()[0].pools, module[0].pools)


def test_accuracy_leaves_the_mode_alone(dense, digits):
    dense.train()
    accuracy(dense, *digits[2:])
    assert dense.training
    dense.eval()
    assert accuracy(dense, digits[2].numpy(), digits[3].numpy()) > 0.95
    assert not dense.training
    dense.train()
    part = next(dense.children())
    part.eval()  # one that its owner has frozen
    accuracy(dense, *digits[2:])
    assert dense.training
    assert not part.training
    dense.eval()


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("sparsity", lambda m, x, y: sparsify(m, x, sparsity=1.0)),
        ("sparsity", lambda m, x, y: baselines.magnitude_pruning(m, x, y, sparsity=-0.1)),
        ("sparsity", lambda m, x, y: baselines.gradual_magnitude_pruning(m, x, y, sparsity=1.5)),
        ("sparsity", lambda m, x, y: baselines.obs_pruning(m, x, y, sparsity=1.5)),
        ("damping", lambda m, x, y: baselines.obs_pruning(m, x, y, sparsity=0.5, damping=0.0)),
        ("floor", lambda m, x, y: baselines.gradual_fisher_pruning(m, x, y, sparsity=0.5, floor=-1.0)),
        ("stop.steps", lambda m, x, y: sparsify(m, x, sparsity=0.5, steps=0)),
        ("direction.batch", lambda m, x, y: sparsify(m, x, sparsity=0.5, batch=0)),
        ("steps", lambda m, x, y: train_classifier(m, x, y, steps=0)),
        ("batch", lambda m, x, y: train_classifier(m, x, y, batch=2.0)),
        ("rate", lambda m, x, y: train_classifier(m, x, y, rate=-1.0)),
        ("statistics", lambda m, x, y: train_classifier(m, x, y, statistics="fresh")),
        ("labels", lambda m, x, y: train_classifier(m, x, y[:-1])),
        ("labels", lambda m, x, y: train_classifier(m, x, y + 5)),
        (
            "approach",
            lambda m, x, y: baselines.gradual_magnitude_pruning(m, x, y, sparsity=0.5, approach=3.0),
        ),
        ("refresh", lambda m, x, y: baselines.gradual_magnitude_pruning(m, x, y, sparsity=0.5, refresh=0)),
        ("labels", lambda m, x, y: accuracy(m, x, y.double())),
        ("labels", lambda m, x, y: accuracy(m, x, -1 - y)),
        ("inputs", lambda m, x, y: accuracy(m, x * np.nan, y)),
        ("objective", lambda m, x, y: recover(m, x, damage="half")),
    ],
)
def test_bad_input_is_one_clear_line_that_names_the_field(dense, digits, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: ") as caught:
        call(dense, *digits[:2])
    assert "\n" not in str(caught.value)


def test_training_that_diverges_says_so(digits):
    with pytest.raises(HealthError, match="lower rate"):
        train_classifier(untrained(), *digits[:2], steps=20, rate=1e38)


@pytest.mark.data
@pytest.mark.slow
def test_lenet_on_mnist_reaches_the_published_range_without_labels(data_dir):
    images = load_images("mnist")
    x, x_test = ((a.reshape(len(a), -1) - 0.13) / 0.31 for a in (images.x_train, images.x_test))
    y, y_test = images.y_train, images.y_test
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in layers[::2]:
            layer.reset_parameters()
    dense = train_classifier(nn.Sequential(*layers), x, y, steps=1400, rng=0)
    whole = accuracy(dense, x_test, y_test)
    assert whole > 0.975
    ours = sparsify(dense, x, sparsity=0.98, steps=1000, rng=0).module()
    assert zeros(ours) == pytest.approx(0.98, abs=1e-4)
    assert accuracy(ours, x_test, y_test) > whole - 0.012
    damage = Damage.units(dense, 0.5, rng=0)
    assert accuracy(damage.apply(dense), x_test, y_test) < 0.92
    recovered = recover(dense, x[:1000], damage=damage, rounds=10, rng=0).module()
    assert accuracy(recovered, x_test, y_test) > whole - 0.012


def test_accuracy_is_asked_of_classifiers_and_classes_they_have():
    tokens = torch.nn.Unflatten(1, (4, 2))
    with pytest.raises(ConfigError, match=r"^module: .*outputs \[N, C\]"):
        accuracy(tokens, torch.zeros(4, 8), [0, 0, 0, 0])
    with pytest.raises(ConfigError, match=r"^labels: 2 "):
        accuracy(torch.nn.Identity(), torch.zeros(4, 2), [0, 0, 0, 2])
    with pytest.raises(ConfigError, match=r"^module: "):
        train_classifier(torch.nn.Sequential(torch.nn.Linear(8, 8), tokens), torch.zeros(4, 8), [0, 0, 0, 0])
