"""Windows of the spike-timing rules against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from devnet.dynamics.plasticity import Learner, stdp
from devnet.spec import PairSTDPSpec, TripletSTDPSpec

PAIR = PairSTDPSpec(norm="none", w_max=10.0)
TRIPLET = TripletSTDPSpec(norm="none", w_max=10.0)


def change(spec: PairSTDPSpec | TripletSTDPSpec, cell: list[int], unit: list[int], w: float = 5.0) -> float:
    """Change of one weight after spikes of its cell and its unit at the given steps."""
    learner = Learner.of(np.full((1, 1), w), np.zeros(1))
    first = min(cell + unit)
    none, one = np.array([], dtype=int), np.array([0])
    for step in range(first, max(cell + unit) + 1):
        stdp.apply(spec, learner, one if step in cell else none, one if step in unit else none)
    return float(learner.weights[0, 0]) - w


@pytest.mark.parametrize("dt", [*range(-80, 81, 8)])
def test_window_of_a_lone_pair(dt: int) -> None:
    expected = 0.01 * np.exp(-dt / 16.8) if dt >= 0 else -0.005 * np.exp(dt / 33.7)
    assert change(PAIR, [0], [dt]) == pytest.approx(expected, rel=1e-12)


def test_all_pairs_add_up() -> None:
    cell, unit = [0, 13, 20], [5, 22, 40]
    expected = sum(
        0.01 * np.exp(-(u - c) / 16.8) if u >= c else -0.005 * np.exp((u - c) / 33.7)
        for c in cell
        for u in unit
    )
    assert change(PAIR, cell, unit) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(5, 10), (20, 3), (40, 40)])
def test_triplets(a: int, b: int) -> None:
    s = TRIPLET
    # unit, cell, unit: the second spike of the unit meets both traces
    pair_down = -np.exp(-a / s.tau_minus) * s.a2_minus
    up = np.exp(-b / s.tau_plus) * (s.a2_plus + s.a3_plus * np.exp(-(a + b) / s.tau_y))
    assert change(s, [a], [0, a + b]) == pytest.approx(pair_down + up, rel=1e-12)
    # cell, unit, cell: the second spike of the cell does
    pair_up = np.exp(-a / s.tau_plus) * s.a2_plus
    down = -np.exp(-b / s.tau_minus) * (s.a2_minus + s.a3_minus * np.exp(-(a + b) / s.tau_x))
    assert change(s, [0, a + b], [a]) == pytest.approx(pair_up + down, rel=1e-12)


def test_soft_bounds_scale_with_the_room_left() -> None:
    soft = PAIR.replace(bounds="soft")
    assert change(soft, [0], [8], w=7.0) == pytest.approx(0.01 * np.exp(-8 / 16.8) * 3)
    assert change(soft, [8], [0], w=7.0) == pytest.approx(-0.005 * np.exp(-8 / 33.7) * 7)


def test_mixed_bounds_add_upwards_and_scale_downwards() -> None:
    mixed = PAIR.replace(bounds="mixed")
    assert change(mixed, [0], [8], w=7.0) == pytest.approx(0.01 * np.exp(-8 / 16.8))
    assert change(mixed, [8], [0], w=7.0) == pytest.approx(-0.005 * np.exp(-8 / 33.7) * 7)


def test_only_nearest_spikes_pair() -> None:
    cell, unit = [0, 13, 20], [5, 22, 40]
    # Upwards each spike of the unit with the cell's last one before, downwards each of the cell with the unit's.
    up = sum(np.exp(-dt / 16.8) for dt in (5 - 0, 22 - 20, 40 - 20))
    down = sum(np.exp(-dt / 33.7) for dt in (13 - 5, 20 - 5))
    expected = 0.01 * up - 0.005 * down
    assert change(PAIR.replace(pairing="nearest"), cell, unit) == pytest.approx(expected, rel=1e-12)
    assert change(PAIR, cell, unit) != pytest.approx(expected, rel=1e-3)


def test_hard_bounds_clip() -> None:
    assert change(PAIR.replace(a_plus=4.0), [0], [0], w=9.0) == 1.0
    assert change(PAIR.replace(a_minus=4.0), [1], [0], w=1.0) == -1.0


def test_a_winner_above_threshold_fires_and_keeps_its_norm() -> None:
    rule = PairSTDPSpec(weight=1.0, c_sd=0.0, a_plus=0.1)
    learner = Learner.of(np.array([[1.5, 0.5], [1.0, 1.0], [0.5, 1.5]]), np.array([1.0, 1.0]))
    stdp.learn(rule, learner, np.array([0, 1]), 0)
    raised = np.array([1.6, 1.1, 0.5])
    assert learner.weights[:, 0] == pytest.approx(raised * 3 / raised.sum())
    assert learner.wins.tolist() == [1, 0]
    learner.thresholds[:] = 9.0
    stdp.learn(rule, learner, np.array([0, 1]), 1)
    assert learner.wins.tolist() == [1, 0]  # the best unit stayed below its threshold
