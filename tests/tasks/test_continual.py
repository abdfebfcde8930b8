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
from devnet.tasks._examples import spread
from devnet.tasks.continual import (
    AGEM,
    EWC,
    GPM,
    Affine,
    InvariantReplay,
    LwF,
    Method,
    MetricAnchor,
    Naive,
    ProjectedReplay,
    Replay,
    der,
    der_plus_plus,
    er,
    forgetting,
    learn_tasks,
    permute_inputs,
    split_classes,
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


METHODS = [
    Naive(),
    EWC(strength=30.0),
    LwF(strength=0.2),
    AGEM(),
    GPM(energy=(0.5, 0.5)),
    er(),
    der(),
    der_plus_plus(),
    InvariantReplay(),
    InvariantReplay(labels=0.0, answers=1.0),
    ProjectedReplay(count=10),
    MetricAnchor(strength=0.1),
]


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


@pytest.mark.parametrize(
    "method",
    [
        er(),
        der(),
        der_plus_plus(),
        InvariantReplay(),
        InvariantReplay(labels=0.0, answers=1.0),
        ProjectedReplay(count=10),
        MetricAnchor(strength=0.1),
    ],
)
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
    (x, y), (old, labels), _ = tasks
    place = Network(network().double())
    kept = old[:10].double()
    return Learner(place, Key(0), 16, x.double(), y, kept, labels[:10], place.outputs(kept) + 1.0, rate=0.1)


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


def test_right_after_storing_the_distance_is_zero_and_classes_are_read_out_evenly(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    learner.outputs = learner.network.outputs(learner.stored)
    method = InvariantReplay(outputs=3.0)
    method.start(learner, x)
    shares = learner.memory["even"].exp()
    told = learner.memory["answers"]
    assert set(told.tolist()) <= set(learner.labels.tolist()), "the network names classes it knows"
    new, old = (torch.bincount(v, minlength=6) / len(v) for v in (learner.answers, told))
    torch.testing.assert_close(shares, (0.5 * new + 0.5 * old).double().clamp_min(1e-6))

    def even(inputs, labels):
        balanced = learner.network(inputs) + shares.log()
        return learner.network.gradient(cross_entropy(balanced, labels))

    expected = even(x, y) + even(learner.stored, learner.labels)
    torch.testing.assert_close(method.gradient(learner, torch.arange(20), x, y), expected)
    learner.network.weights.mul_(1.1)
    away = expected - method.gradient(learner, torch.arange(20), x, y)
    assert float(away.norm()) > 0


def test_a_basis_holds_the_inputs_of_the_past_and_gradients_leave_their_answers_alone(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    old = learner.stored
    method = GPM(energy=(1 - 1e-9, 1 - 1e-9))
    method.finish(learner, old)
    before = learner.network.outputs(old)
    g = method.gradient(learner, torch.arange(20), x, y)
    learner.network.weights.sub_(g)
    torch.testing.assert_close(learner.network.outputs(old), before, rtol=0, atol=1e-3)
    torch.testing.assert_close(
        learner.memory["bases"]["0"].T @ learner.memory["bases"]["0"], torch.eye(10).double()
    )
    learner.network.weights.add_(g).sub_(plain(learner, x, y))
    assert float((learner.network.outputs(old) - before).abs().max()) > 0.01


def test_the_kronecker_form_is_the_metric_where_the_network_is_one_layer_and_the_metric_euclidean(tasks):
    x = tasks[0][0][:40].double()
    module = nn.Sequential(nn.Linear(64, 6)).double()
    place = Network(module)
    state = Learner(place, Key(0), 8, x, tasks[0][1][:40], x, tasks[0][1][:40], place.outputs(x), rate=0.2)
    method = MetricAnchor(der(), strength=0.7, metric=Euclidean(), every=1, examples=40)
    method.finish(state, x)
    method.start(state, x)
    anchor = place.weights.clone()
    moved = torch.from_numpy(Key(3).stream("moved").normal(0, len(anchor))).double()
    place.weights.add_(moved)
    method.settle(state)
    # The proximal point solves (1 + rate * strength * g) d = moved, in PyTorch's order of weights, then biases.
    left = place.weights - anchor
    there = left + 0.2 * 0.7 * Euclidean().at(place, x).mv(left)
    torch.testing.assert_close(there, moved)


@pytest.mark.parametrize("method", [GPM(), MetricAnchor()])
def test_a_layer_that_is_frozen_stays_as_it_is(tasks, method):
    module = network()
    first = next(module.children())
    assert isinstance(first, nn.Linear)
    first.requires_grad_(False)
    after = learn_tasks(module, tasks, method, steps=12, batch=10, stored=5)[-1]
    moved = [not torch.equal(a, b) for a, b in zip(module.parameters(), after.parameters(), strict=True)]
    assert moved == [False, False, *[True] * (len(moved) - 2)]


def test_images_that_are_not_square_are_turned_without_a_stretch():
    image = torch.zeros(1, 16, 64)
    image[0, 6:10, 24:40] = 1.0
    quarter = Affine((16, 64), turn=179.9, shift=0.0, scale=0.0, shear=0.0)
    stream = Key(0).stream("turn")
    step = next(s for s in range(2000) if abs(abs(stream.uniform(s, 5)[0] - 0.5) - 0.25) < 2e-3)
    turned = quarter(image, stream, step)[0] > 0.5
    assert (int(turned.any(1).sum()), int(turned.any(0).sum())) == (16, 4)


def test_recalled_images_are_changed_but_what_is_stored_is_not(tasks):
    image = torch.zeros(3, 8, 8)
    image[:, 3:5, 3:5] = 1.0
    stream = Key(0).stream("augment")
    still = Affine((8, 8), turn=0.0, shift=0.0, scale=0.0, shear=0.0)
    torch.testing.assert_close(still(image, stream, 0), image)
    moving = Affine((8, 8))
    seen = moving(image, stream, 0)
    assert seen.shape == image.shape
    assert float((seen - image).abs().max()) > 0.1
    assert torch.equal(moving(image.flatten(1), stream, 0).view(3, 8, 8), seen)
    assert not torch.equal(moving(image, stream, 1), seen)
    shifted = Affine((8, 8), turn=0.0, shift=2.0, scale=0.0, shear=0.0)(image, stream, 0)
    torch.testing.assert_close(shifted.sum((1, 2)), image.sum((1, 2)), rtol=1e-3, atol=1e-3)
    plain_run, changed = (
        learn_tasks(network(), tasks[:2], er(), steps=10, augment=a, rng=0)[-1] for a in (None, moving)
    )
    assert not torch.equal(plain_run[0].weight, changed[0].weight)


def test_tasks_are_classes_in_turn_or_the_same_pixels_in_other_orders():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 2, 3, 0, 3])
    one, two = split_classes(x, y)
    assert one[1].tolist() == [0, 1, 0]
    assert two[0].tolist() == x[[2, 3, 5]].tolist()
    wide = np.arange(20.0).reshape(2, 2, 5)
    tasks = permute_inputs(wide, [0, 1], count=3, rng=0)
    again = permute_inputs(wide[:1], [0], count=3, rng=0)
    assert np.array_equal(tasks[0][0], wide.reshape(2, 10))
    for (seen, labels), (first, _) in zip(tasks, again, strict=True):
        assert sorted(seen[0]) == list(range(10))
        assert labels.tolist() == [0, 1]
        assert np.array_equal(seen[:1], first)
    assert not np.array_equal(tasks[1][0], tasks[2][0])


def test_springs_pull_towards_the_weights_of_the_past(learner, tasks):
    x, y = tasks[0][0][:20].double(), tasks[0][1][:20]
    method = EWC(strength=3.0)
    method.finish(learner, x)
    home = learner.network.weights.clone()
    torch.testing.assert_close(method.gradient(learner, torch.arange(20), x, y), plain(learner, x, y))
    learner.network.weights.add_(0.1)
    pulled = method.gradient(learner, torch.arange(20), x, y) - plain(learner, x, y)
    torch.testing.assert_close(pulled, 3.0 * learner.memory["stiffness"] * (learner.network.weights - home))


@pytest.mark.parametrize(("final", "expected"), [(0.0, (1.0, 0.75, 0.25)), (1.0, (1.0, 1.0, 1.0))])
def test_the_rate_falls_along_half_a_cosine_in_every_task(tasks, final, expected):
    rates = []

    class Watched(Method):
        def gradient(self, learner, index, x, y):
            rates.append(learner.rate)
            return torch.zeros_like(learner.network.weights)

    learn_tasks(network(), tasks[:2], Watched(), steps=3, rate=0.5, final=final)
    assert rates == pytest.approx(2 * [0.5 * share for share in expected])


def test_forgetting_is_the_mean_loss_from_the_best():
    assert forgetting([[0.9, 0.1, 0.0], [0.5, 0.8, 0.0], [0.6, 0.2, 0.7]]) == pytest.approx(0.45)
    assert forgetting([[1.0]]) == 0.0


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("steps", lambda t: learn_tasks(network(), t, Naive(), steps=0)),
        ("rate", lambda t: learn_tasks(network(), t, Naive(), rate=0.0)),
        ("final", lambda t: learn_tasks(network(), t, Naive(), final=1.5)),
        ("method", lambda t: learn_tasks(network(), t, "naive")),
        ("tasks", lambda t: learn_tasks(network(), [], Naive())),
        (r"tasks\[0\]\.labels", lambda t: learn_tasks(network(), [(t[0][0], [1, 2])], Naive())),
        (r"tasks\[0\]\.inputs", lambda t: learn_tasks(network(), [((t[0][0],), t[0][1])], Naive())),
        (r"tasks\[1\]\.labels", lambda t: learn_tasks(network(), [t[0], (t[1][0], t[1][1] + 8)], Naive())),
        (
            r"tasks\[1\]\.inputs",
            lambda t: learn_tasks(network(), [t[0], (t[1][0][:, None], t[1][1])], Naive()),
        ),
        ("method.strength", lambda t: EWC(0.0)),
        ("method.temperature", lambda t: LwF(temperature=-1.0)),
        ("method.outputs", lambda t: Replay(-1.0)),
        ("method.count", lambda t: ProjectedReplay(count=0)),
        ("method.damping", lambda t: ProjectedReplay(damping=-1.0)),
        ("method.replay", lambda t: ProjectedReplay(Naive())),
        ("method.replay", lambda t: MetricAnchor(Naive())),
        ("method.strength", lambda t: MetricAnchor(strength=0.0)),
        ("method.energy", lambda t: GPM(energy=(0.9, 1.0))),
        ("method.outputs", lambda t: InvariantReplay(-1.0)),
        ("module", lambda t: learn_tasks(nn.Sequential(network(), nn.LayerNorm(6)), t, GPM(), steps=1)),
        ("labels", lambda t: split_classes(np.zeros((3, 2)), [0, 1])),
        ("count", lambda t: permute_inputs(np.zeros((2, 2)), [0, 1], count=0)),
        ("augment.shift", lambda t: Affine((8, 8), shift=9.0)),
        (r"tasks\[0\]\.inputs", lambda t: learn_tasks(network(), t, er(), augment=Affine((5, 5)))),
    ],
)
def test_bad_input_names_the_field(tasks, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        call(tasks)


def test_learning_that_diverges_says_so(tasks):
    with pytest.raises(HealthError, match="lower rate"):
        learn_tasks(network(), tasks[:1], Naive(), steps=20, rate=1e38, clip=1e38)


def test_a_task_sorted_by_class_is_looked_at_evenly(learner, tasks):
    """What a method remembers of a task is of all its classes, in whatever order they come."""
    assert spread(torch.arange(10), 4).tolist() == [0, 2, 5, 7]
    assert spread(torch.arange(3), 4).tolist() == [0, 1, 2]
    x, y = tasks[0][0].double(), tasks[0][1]
    rows = x[y.argsort(stable=True)]
    seen = []
    learner.network.module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for method in (EWC(examples=20), GPM(examples=20), MetricAnchor(examples=20)):
        method.finish(learner, rows)
        assert seen
        assert all(torch.equal(one, spread(rows, 20)) for one in seen)
        seen.clear()
