from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.measure import (
    linear_readout,
    paired_difference,
    published_readout,
    softmax_readout,
    z_scored,
)


def clouds(
    seed: int, n: int, width: int = 12, spread: float = 1.0, classes: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Return points around class centers that all seeds share."""
    key = Key(seed)
    labels = (key.stream("labels").words(0, n) % classes).astype(int)
    centers = Key(99).stream("centers").normal(0, classes * width).reshape(classes, width)
    return centers[labels] + spread * key.stream("points").normal(0, n * width).reshape(n, width), labels


def three(**options: Any) -> list[np.ndarray]:
    return [array for seed, n in ((0, 300), (1, 100), (2, 200)) for array in clouds(seed, n, **options)]


def test_it_equals_standardized_ridge_fitted_on_both_splits() -> None:
    x, y, xv, yv, xt, yt = three(spread=2.0)
    got = linear_readout(x, y, xv, yv, xt, yt, penalties=[0.03])
    scaler = StandardScaler().fit(x)
    reference = RidgeClassifier(alpha=0.03 * len(x)).fit(scaler.transform(x), y)
    assert got.validation == pytest.approx(reference.score(scaler.transform(xv), yv))
    both, labels = np.concatenate([x, xv]), np.concatenate([y, yv])
    scaler = StandardScaler().fit(both)
    reference = RidgeClassifier(alpha=0.03 * len(both)).fit(scaler.transform(both), labels)
    assert got.accuracy == pytest.approx(reference.score(scaler.transform(xt), yt))
    assert got.penalty == 0.03
    assert 0.5 < got.accuracy < 1


def test_clear_clouds_are_told_apart_and_shuffled_labels_are_not() -> None:
    x, y, xv, yv, xt, yt = three(spread=0.2)
    assert linear_readout(x, y, xv, yv, xt, yt).accuracy == 1
    shuffled = y[Key(5).stream("shuffle").permutation(0, len(y))]
    assert linear_readout(x, shuffled, xv, yv, xt, yt).validation < 0.6


def test_validation_chooses_the_penalty_and_ties_go_to_the_largest() -> None:
    x, y, xv, yv, xt, yt = three(spread=3.0)
    tried = {p: linear_readout(x, y, xv, yv, xt, yt, penalties=[p]) for p in (1e-6, 0.1, 3.0, 100.0)}
    chosen = linear_readout(x, y, xv, yv, xt, yt, penalties=list(tried))
    best = max(result.validation for result in tried.values())
    assert chosen.validation == best
    assert chosen.penalty == max(p for p, result in tried.items() if result.validation == best)
    assert chosen == tried[chosen.penalty]
    clear = three(spread=0.1)
    assert linear_readout(*clear, penalties=[1e-3, 1e-2]).penalty == 1e-2  # pyright: ignore[reportCallIssue]


def test_scale_offset_constants_and_labels_do_not_matter() -> None:
    x, y, xv, yv, xt, yt = three(spread=2.0)

    def bend(values: np.ndarray) -> np.ndarray:
        scaled = values * np.geomspace(1e-3, 1e3, values.shape[1]) + 1e4
        return np.concatenate([scaled, np.full((len(values), 2), (0.1, 0.0))], axis=1)

    plain = linear_readout(x, y, xv, yv, xt, yt)
    bent = linear_readout(bend(x), 7 * y - 3, bend(xv), 7 * yv - 3, bend(xt), 7 * yt - 3)
    assert bent.accuracy == pytest.approx(plain.accuracy, abs=0.011)
    assert bent.validation == pytest.approx(plain.validation, abs=0.011)


def test_more_features_than_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devnet.measure.readout.CHUNK", 7)
    data = [
        array for seed, n in ((0, 30), (1, 10), (2, 20)) for array in clouds(seed, n, width=80, spread=0.3)
    ]
    assert linear_readout(*data).accuracy == 1  # pyright: ignore[reportCallIssue]
    unseen = data[5].copy()
    unseen[:5] = 9  # a class that never was trained is never guessed
    assert linear_readout(*data[:5], unseen).accuracy == 0.75  # pyright: ignore[reportCallIssue]


def test_bad_splits_name_the_field() -> None:
    x, y, xv, yv, xt, yt = three()
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("x_validation", (x, y, xv[:, 1:], yv, xt, yt), {}),
        ("x_test", (x, y, xv, yv, xt[:0], yt[:0]), {}),
        ("x_train", (x * np.nan, y, xv, yv, xt, yt), {}),
        ("x_train", (x.astype(str), y, xv, yv, xt, yt), {}),
        ("y_train", (x, y[1:], xv, yv, xt, yt), {}),
        ("y_test", (x, y, xv, yv, xt, yt + 0.5), {}),
        ("penalties", (x, y, xv, yv, xt, yt), {"penalties": [0.0]}),
        ("penalties", (x, y, xv, yv, xt, yt), {"penalties": []}),
    ]
    for field, arguments, options in cases:
        with pytest.raises(ConfigError, match=f"^{field}: "):
            linear_readout(*arguments, **options)


def test_the_paired_interval_is_students() -> None:
    result = paired_difference([3.0, 5.0, 4.0, 6.0], [1.0, 2.0, 3.0, 4.0])
    assert result.mean == 2.0
    assert result.values == (2.0, 3.0, 1.0, 2.0)
    half = 3.182446305284263 * np.sqrt(2 / 3) / 2  # t(0.975, 3), from tables
    assert (result.low, result.high) == pytest.approx((2 - half, 2 + half))
    assert paired_difference(np.ones(3), np.zeros(3)).low == 1.0
    for a, b in (([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])):
        with pytest.raises(ConfigError, match=r"^a, b: "):
            paired_difference(a, b)


def test_the_interval_covers_the_truth_in_95_of_100_repeats() -> None:
    draws = Key(3).stream("pairs").normal(0, 2000 * 6).reshape(2000, 6).astype(float)
    intervals = [paired_difference(row + 1.5, np.zeros(6)) for row in draws]
    hits = np.mean([r.low <= 1.5 <= r.high for r in intervals])
    assert 0.935 < hits < 0.965


def test_softmax_tells_what_the_best_possible_classifier_tells() -> None:
    x, y, _, _, xt, yt = three(spread=1.5)
    found = softmax_readout(x, y, xt, yt, epochs=60, rng=0)
    model = LogisticRegression(C=1.0, max_iter=2000).fit(StandardScaler().fit_transform(x), y)
    assert found == pytest.approx(model.score(StandardScaler().fit(x).transform(xt), yt), abs=0.03)
    assert found == softmax_readout(x, y, xt, yt, epochs=60, rng=0)
    assert softmax_readout(x, Key(5).stream("y").permutation(0, 300) % 4, xt, yt, rng=0) < 0.45  # no signal
    constant = (
        np.concatenate([x, np.full((300, 1), 0.1)], axis=1),
        np.concatenate([xt, np.ones((200, 1))], axis=1),
    )
    assert softmax_readout(constant[0], y, constant[1], yt, epochs=60, rng=0) == found


def test_softmax_takes_a_constant_of_many_images_for_one() -> None:
    """Summed down 60 000 rows in single precision, its mean would be off, and it would count as a signal."""
    rows = 60_000
    y = np.arange(rows) % 2
    signal = np.where(y, 1.0, -1.0)[:, None] + Key(4).stream("x").normal(0, rows).reshape(rows, 1)
    both = np.concatenate([signal, np.full((rows, 1), 0.1)], axis=1)
    alone, beside = (softmax_readout(x, y, x[:5000], y[:5000], epochs=1, rng=0) for x in (signal, both))
    assert beside == alone


def test_the_published_readout_is_least_squares_on_squashed_features() -> None:
    x, y, _, _, xt, yt = three(spread=2.0)
    low, span = x.min(axis=0), np.ptp(x, axis=0)
    h, asked = np.tanh((x - low) / span), np.tanh((xt - low) / span)
    b = np.linalg.lstsq(h, np.eye(4)[y], rcond=None)[0]
    assert published_readout(x, y, xt, yt) == ((asked @ b).argmax(axis=1) == yt).mean()
    twice = published_readout(5 * x + 3, y, 5 * xt + 3, yt)
    assert twice == pytest.approx(
        published_readout(x, y, xt, yt), abs=0.011
    )  # scale and shift of a unit are nothing


def test_z_scores_are_taken_over_each_image() -> None:
    images = np.array([[1.0, 3.0], [5.0, 5.0]])
    assert z_scored(images).tolist() == [[-1, 1], [0, 0]]


@pytest.mark.parametrize("readout", [softmax_readout, published_readout])
def test_both_refuse_what_does_not_fit(readout: Any) -> None:
    x, y, _, _, xt, yt = three()
    for wrong in ((x[:, :3], y, xt, yt), (x, y[:5], xt, yt), (x * np.nan, y, xt, yt), (x[:0], y[:0], xt, yt)):
        with pytest.raises(ConfigError):
            readout(*wrong)
