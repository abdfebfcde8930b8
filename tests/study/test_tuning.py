"""Tuning: equally many candidates, other images than those of the test, and what was chosen is what is used."""

from __future__ import annotations

import json

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.data import load_images
from devnet.study.tuning import held_out, tune, tuned

METHODS = {"ours": {"low": 1.0, "high": 2.0}, "theirs": {"a": 2.0, "b": 2.0}}


def test_held_out_images_are_training_images_that_are_not_trained_on():
    images = load_images("digits")
    held = held_out(images, 100)
    np.testing.assert_array_equal(np.concatenate([held.x_train, held.x_test]), images.x_train)
    np.testing.assert_array_equal(held.y_test, images.y_train[-100:])
    for count in (0, len(images.x_train)):
        with pytest.raises(ConfigError, match=r"^count: "):
            held_out(images, count)


def test_the_best_mean_over_seeds_is_kept_with_its_scores_and_used(tmp_path):
    script = str(tmp_path / "script.py")
    with pytest.raises(ConfigError, match=r"tuned.json, digits: .*_tuning.py"):
        tuned(script, "digits", METHODS)
    tune(script, "digits", METHODS, lambda method, value, seed: value + seed, seeds=(0, 1))
    assert tuned(script, "digits", METHODS) == {"ours": 2.0, "theirs": 2.0}
    held = json.loads((tmp_path / "tuned.json").read_text("utf-8"))["digits"]
    assert held["ours"] == {"chosen": "high", "scores": {"low": [1.0, 2.0], "high": [2.0, 3.0]}}
    assert held["theirs"]["chosen"] == "a", "the first of equals"
    with pytest.raises(ConfigError, match="theirs"):
        tuned(script, "digits", METHODS | {"theirs": {"b": 2.0, "c": 1.0}})


def test_a_tuning_that_was_stopped_goes_on(tmp_path):
    script, asked = str(tmp_path / "script.py"), []

    def score(method, value, seed):
        asked.append(method)
        if method == "theirs" and len(asked) == 3:
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        tune(script, "digits", METHODS, score, seeds=(0,))
    tune(script, "digits", METHODS, score, seeds=(0,))
    assert asked == ["ours", "ours", "theirs", "theirs", "theirs"]


def test_a_method_with_more_candidates_than_another_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="equally many"):
        tune(str(tmp_path / "script.py"), "digits", METHODS | {"a": {"one": 1.0}}, lambda *_: 0.0)
