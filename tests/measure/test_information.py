"""What activity tells, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.measure import decoded, explained_share, mutual_information, redundancy

RNG = np.random.default_rng(0)
PLACE = RNG.random((4000, 2))


def test_a_place_is_decoded_from_bumps_and_not_from_noise() -> None:
    centers = np.stack(np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 6)), axis=-1).reshape(-1, 2)
    bumps = np.exp(-((PLACE[:, None] - centers) ** 2).sum(axis=2) / 0.08)
    restored, target = decoded(bumps, PLACE)
    assert restored.shape == target.shape == (2000, 2)
    assert explained_share(restored, target) > 0.99
    noise, target = decoded(RNG.normal(size=bumps.shape), PLACE)
    assert abs(explained_share(noise, target)) < 0.05


def test_what_is_linear_is_restored_exactly_on_rows_not_seen() -> None:
    restored, target = decoded(PLACE @ RNG.normal(size=(2, 5)) + 3.0, PLACE, penalty=1e-12)
    assert np.abs(restored - target).max() < 1e-8


def test_explained_share_of_the_mean_is_0() -> None:
    assert explained_share(np.full_like(PLACE, PLACE.mean(axis=0)), PLACE) == pytest.approx(0)
    assert explained_share(PLACE, PLACE) == 1
    assert explained_share(-PLACE, PLACE) < 0


def test_information_of_known_channels() -> None:
    x = RNG.random((20_000, 1))
    assert mutual_information(x, x**3, bins=8) == pytest.approx(3, abs=0.02)  # log2 of 8
    assert mutual_information(x, RNG.random((20_000, 1))) == pytest.approx(0, abs=0.005)
    sent = RNG.integers(0, 2, (20_000, 1)).astype(float)
    got = np.where(RNG.random((20_000, 1)) < 0.1, 1 - sent, sent)
    entropy = -0.1 * np.log2(0.1) - 0.9 * np.log2(0.9)
    assert mutual_information(sent, got, bins=2) == pytest.approx(
        1 - entropy, abs=0.02
    )  # binary symmetric channel


def test_the_bias_of_few_rows_is_taken_off() -> None:
    few = [mutual_information(RNG.random((400, 2)), RNG.random((400, 2)), bins=3) for _ in range(50)]
    assert np.mean(few) == pytest.approx(0, abs=0.02)
    # Uncorrected the mean would be about (9 - 1)(9 - 1) / (2 400 ln 2) = 0.115 bits.


def test_redundancy_of_alike_and_of_independent_units() -> None:
    one = RNG.normal(size=(20_000, 1))
    assert redundancy(np.repeat(one, 10, axis=1)) == pytest.approx(0.9)
    assert redundancy(RNG.normal(size=(20_000, 10))) == pytest.approx(0, abs=0.01)
    assert redundancy(one) == pytest.approx(0)


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="as many rows"):
        decoded(PLACE, PLACE[:10])
    with pytest.raises(ConfigError, match="penalty"):
        decoded(PLACE, PLACE, penalty=0)
    with pytest.raises(ConfigError, match="finite"):
        explained_share(np.full_like(PLACE, np.nan), PLACE)
    with pytest.raises(ConfigError, match="a target that changes"):
        explained_share(np.ones((5, 1)), np.ones((5, 1)))
    with pytest.raises(ConfigError, match="bins"):
        mutual_information(PLACE, PLACE, bins=1)
    with pytest.raises(ConfigError, match="as many rows"):
        mutual_information(PLACE, PLACE[:10])
    with pytest.raises(ConfigError, match="activity that changes"):
        redundancy(np.ones((5, 2)))
