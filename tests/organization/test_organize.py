from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.organization import organize
from devnet.sheet import Sheet
from devnet.spec import TemporalDifferenceSpec


def radius(sheet: Sheet, weights: np.ndarray) -> np.ndarray:
    """Weighted rms radius of each unit over the sheet's."""
    mass = weights / weights.sum(axis=0)
    mean = mass.T @ sheet.positions
    second = mass.T @ (sheet.positions**2).sum(axis=1)
    return np.sqrt(second - (mean**2).sum(axis=1)) / sheet.rms_radius


def test_waves_make_pools_local_and_noise_does_not(sheet: Sheet) -> None:
    wired = organize(sheet, units=12, steps=8192, rng=0, snapshots=4)
    assert np.median(radius(sheet, wired.initial_weights)) > 0.95
    assert np.median(radius(sheet, wired.weights)) < 0.5
    assert wired.weights.sum(axis=0) == pytest.approx(np.ones(12))
    assert wired.wins.sum() >= wired.late_wins.sum() > 0
    assert list(wired.snapshot_steps) == sorted(wired.snapshot_steps)
    assert wired.snapshot_steps[-1] == 8192
    assert np.allclose(wired.snapshots[-1], wired.weights, rtol=1e-6)
    noise = organize(sheet, units=12, steps=8192, rng=0, activity="noise")
    assert noise.wins.sum() > 1000  # it did learn, from activity without waves
    assert np.median(radius(sheet, noise.weights)) > 0.95


def test_units_default_to_the_grown_layer(sheet: Sheet) -> None:
    wired = organize(sheet, steps=1024, rng=0)
    assert wired.units == sheet.m
    assert "rate_map" in repr(wired)
    assert wired.rule_name == "hebbian_wta"


def test_the_published_form_keeps_the_mean_weight(sheet: Sheet) -> None:
    wired = organize(sheet, "izhikevich", units=20, steps=2048, rng=0)
    assert wired.weights.mean(axis=0) == pytest.approx(np.full(20, 2.5))
    assert wired.wins.sum() > 500


def test_the_same_seed_gives_the_same_wiring_on_either_backend(sheet: Sheet) -> None:
    a = organize(sheet, units=8, steps=1500, rng=1)
    b = organize(sheet, units=8, steps=1500, rng=1, backend="reference")
    assert np.array_equal(a.wins, b.wins)
    assert np.abs(a.weights - b.weights).max() < 1e-10


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"units": 0}, "units"),
        ({"units": 10**6}, "units"),
        ({"steps": 0}, "steps"),
        ({"steps": 1500.5}, "steps"),
        ({"units": 36.0}, "units"),
        ({"threads": 0}, "threads"),
        ({"snapshots": -1}, "snapshots"),
        ({"activity": "music"}, "activity"),
        ({"spec": "sine"}, "learning"),
    ],
)
def test_bad_arguments_name_the_field(sheet: Sheet, arguments: dict, field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        organize(sheet, rng=0, **arguments)


def test_a_start_goes_on_from_its_weights_with_new_thresholds_and_counters(sheet: Sheet) -> None:
    first = organize(sheet, units=12, steps=4096, rng=0)
    after = organize(sheet, steps=2048, rng=1, start=first)
    assert after.units == 12
    assert after.initial_weights == pytest.approx(first.weights)
    assert after.wins.sum() <= 2048
    other = organize(sheet, "izhikevich", steps=1024, rng=1, start=first)
    assert other.initial_weights.mean(axis=0) == pytest.approx(np.full(12, 2.5))  # in the rule's own norm
    with pytest.raises(ConfigError, match=r"^start: "):
        organize(sheet, units=13, steps=1024, start=first)


def test_pools_leave_dead_cells(sheet: Sheet) -> None:
    first = organize(sheet, units=12, steps=8192, rng=0)
    hurt = sheet.damaged(np.array([[7.5, 7.5]]), 3.0)
    share = first.weights[hurt.dead].sum() / first.weights.sum()
    after = organize(hurt, steps=8192, rng=1, start=first)
    assert share > 0.05
    assert after.weights[hurt.dead].sum() / after.weights.sum() < 0.1 * share


def test_weights_are_kept_after_the_steps_that_are_named(sheet: Sheet) -> None:
    wired = organize(sheet, units=4, steps=4000, rng=0, snapshots=(1000, 2048, 4000))
    assert wired.snapshot_steps.tolist() == [1024, 2048, 4000]
    with pytest.raises(ConfigError, match=r"^snapshots: "):
        organize(sheet, units=4, steps=4000, rng=0, snapshots=(5000,))
    few = organize(sheet, units=4, steps=4000, rng=0, snapshots=5).snapshot_steps  # 1024 1439 2023 2845 4000
    assert few.tolist() == [1024, 2048, 3072, 4000]


def test_signed_weights_are_no_start_of_a_rule_without_sign(sheet: Sheet) -> None:
    wired = organize(sheet, units=4, steps=1, rng=0)
    signed = replace(
        wired, learning=wired.learning.replace(rule=TemporalDifferenceSpec()), weights=-wired.weights
    )
    with pytest.raises(ConfigError, match=r"^start: .*without negative weights"):
        organize(sheet, units=4, steps=1, start=signed)
