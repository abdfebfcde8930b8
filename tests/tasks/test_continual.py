"""One loop for all methods: each does what its equation says, and replay forgets less than none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from devnet._core.errors import ConfigError, HealthError
from devnet._core.random import Key
from devnet.fip import Euclidean, Network
from devnet.tasks import accuracy
from devnet.tasks.continual import (
    AGEM,
    EWC,
    LwF,
    Naive,
    ProjectedReplay,
    Replay,
    der,
    der_plus_plus,
    er,
    forgetting,
    learn_tasks,
)
from devnet.tasks.continual._loop import Learner


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tasks():
    """Return the digits 0 to 5, two classes a task."""
    bunch = load_digits()
    x = torch.from_numpy(bunch.data / 16.0).float()
    y = torch.from_numpy(bunch.target)
    return [(x[y // 2 == k], y[y // 2 == k]) for k in range(3)]


def network(hidden: int = 30) -> nn.Sequential:
    module = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 6))
    for name, parameter in module.named_parameters():
        draws = Key(1).stream(name).normal(0, parameter.numel())
        parameter.data = torch.from_numpy(draws).reshape(parameter.shape) / parameter.shape[-1] ** 0.5
    return module


METHODS = [Naive(), EWC(), LwF(strength=0.2), AGEM(), er(), der(), der_plus_plus(), ProjectedReplay(count=10)]


@pytest.fixture(scope="module")
def learned(tasks):
    torch.set_num_threads(1)
    found = {}
    for method in METHODS:
        after = learn_tasks(network(), tasks, method, steps=60, batch=32, rng=0)
        found[repr(method)] = np.array([[accuracy(m, *task) for task in tasks] for m in after])
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_each_task_when_it_comes(learned, method):
    assert (learned[repr(method)].diagonal() > 0.85).all()


@pytest.mark.parametrize("method", [er(), der(), der_plus_plus(), ProjectedReplay(count=10)])
def test_replay_forgets_less_than_none(learned, method):
    naive, mine = learned[repr(Naive())], learned[repr(method)]
    assert forgetting(mine) < 0.5 * forgetting(naive)
    assert mine[-1].mean() > naive[-1].mean() + 0.2


def test_the_same_seed_learns_the_same_and_the_module_is_untouched(tasks):
    module = network()
    one, two, other = (
        learn_tasks(module, tasks[:2], der_plus_plus(), steps=10, rng=seed)[-1] for seed in (1, 1, 2)
    )
    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)
    assert torch.equal(module[0].weight, network()[0].weight)


@pytest.fixture
def learner(tasks) -> Learner:
    (x, _), (old, labels), _ = tasks
    place = Network(network().double())
    return Learner(
        place, Key(0), 16, x.double(), old[:10].double(), labels[:10], place.outputs(old[:10].double()) + 1.0
    )


def plain(learner, x, y):
    return learner.network.gradient(cross_entropy(learner.network(x), y))


def test_averaged_memory_never_raises_the_loss_of_the_past(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    g = AGEM().gradient(learner, torch.arange(20), x, y)
    old = plain(learner, learner.stored, learner.labels)
    fresh = plain(learner, x, y)
    assert float(g @ old) >= -1e-12
    expected = fresh if fresh @ old > 0 else fresh - (fresh @ old) / (old @ old) * old
    torch.testing.assert_close(g, expected)


def test_replay_is_the_sum_of_its_parts(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    fresh, old = plain(learner, x, y), plain(learner, learner.stored, learner.labels)
    torch.testing.assert_close(er().gradient(learner, torch.arange(20), x, y), fresh + old)
    recorded = learner.network.gradient((learner.network(learner.stored) - learner.outputs).square().mean())
    both = Replay(2.0, 0.5).gradient(learner, torch.arange(20), x, y)
    torch.testing.assert_close(both, fresh + 2.0 * recorded + 0.5 * old)


def test_the_projected_gradient_leaves_stored_outputs_where_they_are(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    method = ProjectedReplay(Replay(0.0, 0.0), count=60, damping=0.0)
    method.start(learner, x)
    torch.testing.assert_close(method.gradient(learner, torch.arange(20), x, y), plain(learner, x, y))
    method.start(learner, x)
    g = method.gradient(learner, torch.arange(20), x, y)
    local = Euclidean().at(learner.network, learner.stored)
    assert local.quadratic(g) < 1e-12 * local.quadratic(plain(learner, x, y))
    assert float(g.norm()) > 0


def test_springs_pull_towards_the_weights_of_the_past(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    method = EWC(strength=3.0)
    method.finish(learner, x)
    home = learner.network.weights.clone()
    torch.testing.assert_close(method.gradient(learner, torch.arange(20), x, y), plain(learner, x, y))
    learner.network.weights.add_(0.1)
    pulled = method.gradient(learner, torch.arange(20), x, y) - plain(learner, x, y)
    torch.testing.assert_close(pulled, 3.0 * learner.memory["stiffness"] * (learner.network.weights - home))


def test_forgetting_is_the_mean_loss_from_the_best():
    assert forgetting([[0.9, 0.1, 0.0], [0.5, 0.8, 0.0], [0.6, 0.2, 0.7]]) == pytest.approx(0.45)
    assert forgetting([[1.0]]) == 0.0


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("steps", lambda t: learn_tasks(network(), t, Naive(), steps=0)),
        ("rate", lambda t: learn_tasks(network(), t, Naive(), rate=0.0)),
        ("method", lambda t: learn_tasks(network(), t, "naive")),
        ("tasks", lambda t: learn_tasks(network(), [], Naive())),
        (r"tasks\[0\]\.labels", lambda t: learn_tasks(network(), [(t[0][0], [1, 2])], Naive())),
        (r"tasks\[0\]\.inputs", lambda t: learn_tasks(network(), [((t[0][0],), t[0][1])], Naive())),
        ("method.strength", lambda t: EWC(0.0)),
        ("method.temperature", lambda t: LwF(temperature=-1.0)),
        ("method.outputs", lambda t: Replay(-1.0)),
        ("method.count", lambda t: ProjectedReplay(count=0)),
        ("method.damping", lambda t: ProjectedReplay(damping=-1.0)),
    ],
)
def test_bad_input_names_the_field(tasks, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        call(tasks)


def test_learning_that_diverges_says_so(tasks):
    with pytest.raises(HealthError, match="lower rate"):
        learn_tasks(network(), tasks[:1], Naive(), steps=20, rate=1e38, clip=1e38)
