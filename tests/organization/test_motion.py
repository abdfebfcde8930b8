"""Units that learn motion, as a wiring: organized by waves, summed up, written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.io import load, save
from devnet.measure import wiring_statistics
from devnet.organization import grow_and_organize, organize
from devnet.sheet import Sheet, Wiring
from devnet.spec import LearningSpec, TemporalDifferenceSpec

LEARNING = LearningSpec(dynamics="rate_map", rule=TemporalDifferenceSpec(), steps=8192, units=8)


@pytest.fixture(scope="module")
def wiring(sheet: Sheet) -> Wiring:
    return organize(sheet, LEARNING, rng=3)


def test_waves_wire_units_with_two_lobes_that_sum_to_nothing(wiring: Wiring) -> None:
    assert wiring.wins.min() > 20
    assert np.linalg.norm(wiring.weights, axis=0) == pytest.approx(np.ones(8))
    assert np.abs(wiring.weights.sum(axis=0)).max() < 0.05 * np.abs(wiring.weights).sum(axis=0).min()
    before, after = (
        np.sort(w**2, axis=0)[-100:].sum(axis=0) for w in (wiring.initial_weights, wiring.weights)
    )
    assert np.median(after) > 1.4 * np.median(before)  # from all cells to a part of them


def test_it_goes_on_from_a_wiring_and_counts_its_pools_by_magnitude(sheet: Sheet, wiring: Wiring) -> None:
    more = organize(sheet, LEARNING.replace(steps=64), rng=3, start=wiring)
    assert np.abs(more.initial_weights - wiring.weights).max() < 1e-12
    assert 0 <= wiring_statistics(wiring).organized <= 1


def test_it_is_written_and_read_with_its_signs(wiring: Wiring, tmp_path: Path) -> None:
    save(wiring, tmp_path / "motion.dn")
    again = load(tmp_path / "motion.dn")
    assert isinstance(again, Wiring)
    assert np.array_equal(again.weights, wiring.weights)
    assert again.learning == wiring.learning


def test_noise_without_coupling_teaches_no_place(sheet: Sheet, wiring: Wiring) -> None:
    alone = organize(sheet, LEARNING, rng=3, activity="noise")
    strength = [np.median(np.sort(w.weights**2, axis=0)[-100:].sum(axis=0)) for w in (wiring, alone)]
    assert strength[1] < strength[0]


def test_signs_belong_to_rules_that_have_them(sheet: Sheet, wiring: Wiring) -> None:
    with pytest.raises(ConfigError, match=r"spec\.rule"):
        grow_and_organize(sheet, LEARNING)
