"""Tuning: equally many candidates, other images than those of the test."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.data import load_images
from devnet.study.tuning import held_out, tune


def test_held_out_images_are_training_images_that_are_not_trained_on():
    images = load_images("digits")
    held = held_out(images, 100)
    np.testing.assert_array_equal(np.concatenate([held.x_train, held.x_test]), images.x_train)
    np.testing.assert_array_equal(held.y_test, images.y_train[-100:])
    for count in (0, len(images.x_train)):
        with pytest.raises(ConfigError, match=r"^count: "):
            held_out(images, count)


def test_the_best_mean_over_seeds_wins_and_the_first_of_equals(capsys):
    found = tune(
        {
            "ours": {"low": lambda seed: seed, "high": lambda seed: seed + 1},
            "theirs": {"a": lambda _: 2.0, "b": lambda seed: 2.0 + (seed - 0.5)},
        },
        seeds=(0, 1),
    )
    assert found == {"ours": "high", "theirs": "a"}
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_method_with_more_candidates_than_another_is_refused():
    with pytest.raises(ConfigError, match="equally many"):
        tune({"ours": {"a": float, "b": float}, "theirs": {"a": float}})
