"""The windows of timing rules: drawn curves are the closed forms, and only what depends on the weight has three."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from devnet import viz
from devnet._core.errors import ConfigError
from devnet.spec import HebbianWTASpec, PairSTDPSpec, TripletSTDPSpec


def test_the_window_is_the_closed_form() -> None:
    left, right = viz.window(PairSTDPSpec()).axes
    (before, after) = [line.get_xydata() for line in left.lines if len(line.get_xdata()) > 2]
    assert before[:, 1] == pytest.approx(-0.005 * np.exp(before[:, 0] / 33.7))
    assert after[:, 1] == pytest.approx(0.01 * np.exp(-after[:, 0] / 16.8))
    assert (before[-1, 0], after[0, 0]) == (-1, 0)
    rates = right.lines[0].get_xdata()
    assert (rates[0], rates[-1]) == (5, 50)


def test_rules_whose_steps_depend_on_the_weight_are_drawn_at_three() -> None:
    soft = viz.window(PairSTDPSpec(bounds="soft")).axes[0]
    assert [text.get_text() for text in soft.get_legend().get_texts()] == [
        "w = 0.2 w_max", "w = 0.5 w_max", "w = 0.8 w_max",
    ]  # fmt: skip
    assert viz.window(PairSTDPSpec()).axes[0].get_legend() is None


def test_triplets_turn_depression_into_potentiation_at_high_rates() -> None:
    right = viz.window(TripletSTDPSpec()).axes[1]
    late = right.lines[1].get_ydata()  # the unit before the cell
    assert late[0] < 0 < late[-1]
    pairs = viz.window(PairSTDPSpec(a_plus=0.005)).axes[1].lines[1].get_ydata()
    assert (pairs < 0).all()


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="rule"):
        viz.window(HebbianWTASpec())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="apart"):
        viz.window(PairSTDPSpec(), apart=20)
    with pytest.raises(ConfigError, match="axes"):
        viz.window(PairSTDPSpec(), axes=Figure().subplots())
