from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.measure import weighted_rms_radius
from devnet.organization import organize, replay
from devnet.sheet import Sheet
from devnet.waves import shifted_trains, shuffled_frames, simulate


def test_a_replay_of_a_sheets_own_waves_wires_as_they_do(sheet: Sheet) -> None:
    learning = sheet.model.learning["rate_map"]
    recording = simulate(sheet, learning.dynamics, steps=3000, rng=5)
    a, b = (
        replay(recording, learning, units=10, rng=5),
        organize(sheet, learning, units=10, steps=3000, rng=5),
    )
    assert np.array_equal(a.wins, b.wins)
    assert np.array_equal(a.late_wins, b.late_wins)
    assert np.abs(a.weights - b.weights).max() < 1e-10
    assert a.activity == "replay"
    with pytest.raises(ConfigError, match=r"^units: "):
        replay(recording, learning, units=0)


def test_surrogates_keep_rates_and_lose_what_they_say(sheet: Sheet) -> None:
    recording = simulate(sheet, "rate_map", steps=8000, rng=6)
    frames, trains = shuffled_frames(recording, rng=1), shifted_trains(recording, rng=1)
    for other in (frames, trains):
        assert np.array_equal(np.bincount(other.cell), np.bincount(recording.cell))
    assert np.array_equal(
        np.sort(frames.active), np.sort(recording.active)
    )  # the same patterns in another order
    assert not np.array_equal(frames.active, recording.active)
    assert trains.active.std() < 0.5 * recording.active.std()  # no step has a wave any more
    spread = {}
    open_gate = sheet.model.learning["rate_map"]
    open_gate = open_gate.replace(rule=open_gate.rule.replace(max_spread=0.0, min_active=5))
    for name, surrogate in (("frames", frames), ("trains", trains)):
        wired = replay(surrogate, open_gate, units=10, rng=2)
        assert wired.wins.sum() > 500
        spread[name] = np.median(weighted_rms_radius(wired.weights, sheet.positions)) / sheet.rms_radius
    assert spread["frames"] < 0.6  # this rule looks at one step at a time: order is nothing to it
    assert spread["trains"] > 0.9
