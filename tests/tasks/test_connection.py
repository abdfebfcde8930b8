"""Units are brought back into a known order; a label-free curve lowers the barrier between two networks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from devnet._core.errors import ConfigError, HealthError
from devnet._core.random import Key
from devnet.fip import Problem, StopWhen, ToWeights, traverse
from devnet.tasks import accuracy, train_classifier
from devnet.tasks.connection import (
    barrier,
    connect,
    match_activations,
    match_weights,
    straight,
)
from devnet.tasks.connection._curve import great_circle


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return torch.from_numpy(bunch.data / 16.0).float() - 0.3, torch.from_numpy(bunch.target)


def untrained(seed: int, *, bias: bool = True) -> nn.Sequential:
    module = nn.Sequential(
        nn.Linear(64, 24, bias=bias), nn.ReLU(), nn.Linear(24, 20, bias=bias), nn.Tanh(), nn.Linear(20, 10)
    )
    for name, parameter in module.named_parameters():
        draws = Key(seed).stream(name).normal(0, parameter.numel())
        parameter.data = torch.from_numpy(draws).reshape(parameter.shape) / parameter.shape[-1] ** 0.5
    return module


@pytest.fixture(scope="module")
def pair(digits):
    torch.set_num_threads(1)
    return [train_classifier(untrained(seed), *digits, steps=250, rate=1e-2, rng=seed) for seed in (0, 1)]


def shuffled(module: nn.Sequential) -> nn.Sequential:
    """Return the same function with its hidden units in another order."""
    other = untrained(0, bias=module[0].bias is not None)
    other.load_state_dict(module.state_dict())
    for number, (one, two) in enumerate(((0, 2), (2, 4))):
        order = torch.from_numpy(Key(5).stream("order").permutation(number, other[one].out_features))
        other[one].weight.data = other[one].weight.data[order]
        if other[one].bias is not None:
            other[one].bias.data = other[one].bias.data[order]
        other[two].weight.data = other[two].weight.data[:, order]
    return other


@pytest.mark.parametrize("bias", [True, False])
def test_a_known_order_is_found_again(digits, bias):
    module = untrained(3, bias=bias)
    other = shuffled(module)
    assert not torch.equal(other[0].weight, module[0].weight)
    torch.testing.assert_close(other(digits[0]), module(digits[0]))
    for matched in (match_weights(module, other), match_activations(module, other, digits[0])):
        for mine, theirs in zip(matched.parameters(), module.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_matching_changes_no_output(pair, digits):
    for matched in (match_weights(*pair), match_activations(*pair, digits[0].numpy())):
        torch.testing.assert_close(matched(digits[0]), pair[1](digits[0]), rtol=1e-4, atol=1e-4)


def test_matching_and_bending_both_lower_the_barrier(pair, digits):
    x, y = digits

    def loss(module: nn.Module) -> float:
        with torch.no_grad():
            return float(cross_entropy(module(x), y))

    def wrong(module: nn.Module) -> float:
        return -accuracy(module, x, y)

    matched = match_activations(*pair, x)
    raw = barrier(straight(*pair).scan(loss, 9))
    aligned = barrier(straight(pair[0], matched).scan(loss, 9))
    curve = connect(pair[0], matched, x, steps=200, rate=1e-2, rng=0)
    bent = barrier(curve.scan(loss, 9))
    assert bent < 0.5 * aligned < 0.25 * raw
    assert barrier(curve.scan(wrong, 9)) < 0.02
    assert torch.equal(curve.module(0)[0].weight, pair[0][0].weight)
    assert torch.equal(curve.module(1)[4].weight, matched[4].weight)
    tuned = connect(pair[0], matched, x, labels=y, steps=200, rate=1e-2, rng=0)
    assert barrier(tuned.scan(loss, 9)) < 0.5 * aligned
    again = connect(pair[0], matched, x, steps=200, rate=1e-2, rng=0)
    assert torch.equal(again.control, curve.control)


def test_the_great_circle_leads_from_one_distribution_to_the_other_at_even_speed():
    p, q = (torch.tensor(v).log_softmax(-1) for v in ([2.0, 0.0, -1.0], [-1.0, 0.5, 1.0]))
    torch.testing.assert_close(great_circle(p, q, 0.0), p)
    torch.testing.assert_close(great_circle(p, q, 1.0), q)
    torch.testing.assert_close(great_circle(p, p, 0.3), p, rtol=1e-5, atol=1e-5)
    middle = great_circle(p, q, 0.5)
    assert float(middle.exp().sum()) == pytest.approx(1.0, rel=1e-6)
    angles = [float(((a + middle) / 2).exp().sum().acos()) for a in (p, q)]
    assert angles[0] == pytest.approx(angles[1], rel=1e-4)


def test_a_barrier_is_the_height_above_the_line_between_the_ends():
    assert barrier([1.0, 3.0, 2.0]) == pytest.approx(1.5)
    assert barrier([1.0, 0.5, 2.0]) == 0.0


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("reference", lambda m, x: match_weights(Odd(), m)),
        ("reference", lambda m, x: match_weights(nn.Linear(4, 4), m)),
        ("module", lambda m, x: match_weights(m, nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(4, 4)))),
        ("module", lambda m, x: match_weights(m, nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4)))),
        ("inputs", lambda m, x: match_activations(m, m, x[:1])),
        ("other", lambda m, x: connect(m, Odd(), x)),
        ("steps", lambda m, x: connect(m, m, x, steps=0)),
        ("labels", lambda m, x: connect(m, m, x, labels=[0.5])),
        ("other", lambda m, x: straight(m, Odd())),
        ("losses", lambda m, x: barrier([1.0])),
        ("losses", lambda m, x: barrier([0.1, float("nan"), 0.1])),
        ("t", lambda m, x: straight(m, m).module(1.5)),
        ("points", lambda m, x: straight(m, m).scan(len, 1)),
    ],
)
def test_bad_input_names_the_field(digits, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        call(untrained(0), digits[0])


def test_a_curve_that_diverges_says_so(pair, digits):
    with pytest.raises(HealthError, match="lower rate"):
        connect(*pair, digits[0], steps=20, rate=1e38, rng=0)


def normalized(seed: int) -> nn.Sequential:
    """Return a small convolutional network with batch-norm statistics and a frozen layer."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10), nn.Linear(10, 10)
    )
    torch.manual_seed(9)
    frozen = nn.Linear(10, 10)
    module[-1].load_state_dict(frozen.state_dict())
    module[-1].requires_grad_(False)
    torch.manual_seed(seed)
    module.train()(5.0 * torch.randn(50, 1, 8, 8) + seed)
    return module.eval()


def test_the_ends_of_a_curve_are_both_networks_buffers_included():
    one, two = normalized(1), normalized(2)
    x = torch.randn(20, 1, 8, 8)
    for curve in (straight(one, two), connect(one, two, x, steps=3, rng=0)):
        assert torch.equal(curve.module(0)(x), one(x))
        assert torch.equal(curve.module(1)(x), two(x))
        assert float(curve.module(0.5)[1].running_var.min()) > 0
        middle = 0.5 * (one[1].running_mean + two[1].running_mean)
        torch.testing.assert_close(curve.module(0.5)[1].running_mean, middle)


def test_a_curve_is_bent_where_its_networks_are():
    """The gradient at t is that of the network at t, statistics included: both ends answer as they do."""
    one, two = normalized(1), normalized(1)
    two[1].running_mean.add_(1.0)
    curve = connect(one, two, torch.randn(64, 1, 8, 8), steps=20, rate=1e-2, rng=0)
    assert not torch.equal(curve.control, straight(one, two).control)


def test_what_does_not_move_must_be_the_same():
    one, two = normalized(1), normalized(2)
    with torch.no_grad():
        two[-1].weight.add_(1.0)
    with pytest.raises(ConfigError, match=r"^other: 'another 5\.weight' .*does not move"):
        straight(one, two)
    masked = [normalized(1), normalized(1)]
    for number, module in enumerate(masked):
        module.register_buffer("mask", torch.tensor([number == 0]))
    with pytest.raises(ConfigError, match=r"^other: 'another mask'"):
        straight(*masked)
    with pytest.raises(ConfigError, match=r"^other: 'mask absent'"):
        straight(masked[0], normalized(1))


def test_a_path_goes_to_no_network_whose_statistics_are_others():
    one, two = normalized(1), normalized(2)
    x = torch.randn(20, 1, 8, 8)
    walk = Problem(x, ToWeights(two, pull=0.5), stop=StopWhen(2))
    with pytest.raises(
        ConfigError, match=r"^objective\.module: 'another 1\.running_mean' .*devnet\.tasks\.connection"
    ):
        traverse(one, walk, rng=0)
    two[1].load_state_dict(one[1].state_dict())
    two[1].num_batches_tracked.add_(5)
    assert len(traverse(one, walk, rng=0)) > 1


def test_matching_leaves_batch_norms_alone():
    """Chains with batch norm are refused: their statistics would have to be reordered with the channels."""
    chains = [nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 4)) for _ in range(2)]
    with pytest.raises(ConfigError, match=r"^reference: 'BatchNorm1d'"):
        match_weights(*chains)
