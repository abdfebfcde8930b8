"""Members of a path differ, together they are better, and attacks and calibration are what their equations say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from devnet._core.errors import ConfigError
from devnet.tasks import accuracy, baselines, train_classifier
from devnet.tasks.ensemble import calibration_error, diversify, mean_probabilities, perturbed
from devnet.tasks.models import build


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return torch.from_numpy(bunch.data / 16.0).float(), torch.from_numpy(bunch.target)


@pytest.fixture(scope="module")
def dense(digits) -> nn.Module:
    torch.set_num_threads(1)
    start = build("mlp:64-30-10", (8, 8), 10, rng=0)
    return train_classifier(start, digits[0][:900], digits[1][:900], steps=300, rate=1e-2, rng=0)


def test_a_path_collects_networks_that_differ_and_withstand_more(dense, digits):
    x, y = digits
    members = diversify(dense, x[:900], y[:900], count=3, steps=100, radius=0.1, bounds=(0, 1), rng=0)
    again = diversify(dense, x[:900], y[:900], count=3, steps=100, radius=0.1, bounds=(0, 1), rng=0)
    assert all(torch.equal(a[1].weight, b[1].weight) for a, b in zip(members, again, strict=True))
    assert len({float(m[1].weight.detach().sum()) for m in (dense, *members)}) == 4
    together = mean_probabilities(members, x[900:])
    torch.testing.assert_close(together.sum(1), torch.ones(len(together)))
    assert float((together.argmax(1) == y[900:]).float().mean()) > accuracy(dense, x[900:], y[900:]) - 0.01
    attack = perturbed(dense, x[900:], y[900:], 0.1, bounds=(0, 1))
    snapshots = diversify(dense, x[:900], y[:900], count=3, steps=100, share=0.0, rng=0)
    ours, theirs = (
        float((mean_probabilities(m, attack).argmax(1) == y[900:]).float().mean())
        for m in (members, snapshots)
    )
    assert ours > theirs + 0.05


def test_an_attack_stays_in_its_box_and_more_steps_hurt_more(dense, digits):
    x, y = digits[0][:300], digits[1][:300]
    one = perturbed(dense, x, y, 0.1)
    many = perturbed([dense, dense], x, y, 0.1, steps=10, bounds=(0.0, 1.0))
    torch.testing.assert_close((one - x).abs().max(), torch.tensor(0.1))
    assert float((many - x).abs().max()) <= 0.1 + 1e-6
    assert 0.0 <= float(many.min()) <= float(many.max()) <= 1.0
    assert accuracy(dense, many, y) <= accuracy(dense, x, y) - 0.2


def test_calibration_error_is_the_mean_gap_of_confidence_and_accuracy():
    sure = torch.tensor([[0.9, 0.1]] * 10)
    assert calibration_error(sure, [0] * 9 + [1]) == pytest.approx(0.0, abs=1e-6)
    assert calibration_error(sure, [0] * 10) == pytest.approx(0.1, abs=1e-6)
    both = torch.tensor([[0.95, 0.05], [0.55, 0.45]])
    assert calibration_error(both, [0, 1]) == pytest.approx((0.05 + 0.55) / 2, abs=1e-6)


def test_low_rank_tuning_moves_every_matrix_by_its_rank_and_nothing_else(dense, digits):
    x, y = digits
    shifted = (y + 1) % 10
    tuned = baselines.low_rank_tuning(
        dense, x[:900], shifted[:900], rank=3, training=baselines.Training(300, rate=1e-2), rng=0
    )
    for name, before in dense.named_parameters():
        change = (dict(tuned.named_parameters())[name] - before).detach()
        if before.ndim < 2:
            assert not change.any()
        else:
            assert int(torch.linalg.matrix_rank(change.double(), rtol=1e-5)) == 3
    assert accuracy(tuned, x[900:], shifted[900:]) > 0.6


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("count", lambda m, x, y: diversify(m, x, y, count=0)),
        ("share", lambda m, x, y: diversify(m, x, y, share=1.5)),
        ("inputs", lambda m, x, y: diversify(m, x.long(), y)),
        ("members", lambda m, x, y: mean_probabilities([], x)),
        ("labels", lambda m, x, y: calibration_error(torch.full((len(x), 10), 0.1), y[:-1])),
        ("labels", lambda m, x, y: calibration_error(torch.full((len(x), 5), 0.2), y)),
        ("probabilities", lambda m, x, y: calibration_error(torch.full((len(x), 10), torch.nan), y)),
        ("probabilities", lambda m, x, y: calibration_error(m(x), y)),
        ("probabilities", lambda m, x, y: calibration_error(torch.ones(len(x)), y)),
        ("rank", lambda m, x, y: baselines.low_rank_tuning(m, x, y, rank=0)),
    ],
)
def test_bad_input_names_the_field(dense, digits, field, call):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        call(dense, *digits)
