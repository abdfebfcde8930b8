"""The nouns: derived numbers of constructed sheets, frozen arrays, and what no noun may hold."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.sheet import Recording, Sheet, Wiring
from devnet.spec import LearningSpec, ModelSpec, RateMapSpec

MODEL = ModelSpec.model_validate(
    {
        "name": "test",
        "scaffold": {"outline": [(0, 0), (4, 0), (4, 4), (0, 4)], "seed_cell": (1, 1)},
        "dynamics": {"map": {"form": "rate_map"}},
    }
)


def make_sheet(**changes) -> Sheet:
    fields = {
        "model": MODEL,
        "key": Key(0),
        "positions": [[1, 1], [3, 1], [1, 3], [3, 3]],
        "parent": [-1, 0, 0, 1],
        "born": [0, 1, 2, 2],
        "unit_parent": [2, 0],
        "emitted": [3, 4],
        "unit_height": [0.8, 0.4],
        "sweeps": 5,
    }
    fields |= changes
    for name in ("positions", "parent", "born", "unit_parent", "emitted", "unit_height"):
        fields[name] = np.asarray(fields[name])
    return Sheet(**fields)


def make_recording(**changes) -> Recording:
    fields = {"time": np.array([0, 0, 2]), "cell": np.array([1, 3, 0]), "steps": 4} | changes
    return Recording(
        sheet=make_sheet(),
        dynamics=RateMapSpec(),
        key=Key(1),
        backend="reference",
        field="exact float64",
        **fields,
    )


def make_wiring(**changes) -> Wiring:
    fields = {
        "weights": np.full((4, 2), 0.25),
        "initial_weights": np.full((4, 2), 0.25),
        "thresholds": np.zeros(2),
        "wins": np.array([3, 4]),
        "late_wins": np.array([1, 0]),
    } | changes
    return Wiring(
        sheet=make_sheet(),
        learning=LearningSpec(dynamics="map"),
        dynamics=RateMapSpec(),
        key=Key(1),
        backend="reference",
        field="exact float64",
        activity="waves",
        steps=7,
        **fields,
    )


# ------------------------------------------------------------------------------------------------ Sheet


def test_numbers_of_a_square_of_cells():
    sheet = make_sheet()
    assert (sheet.n, sheet.m) == (4, 2)
    assert sheet.density == 0.25
    assert sheet.spacing == 2
    assert sheet.rms_radius == pytest.approx(math.sqrt(2))
    assert sheet.growth_curve.tolist() == [1, 2, 4, 4, 4, 4]
    assert sheet.unit_positions.tolist() == [[1, 3], [1, 1]]
    assert sheet.scaffold.area == 16
    assert sheet.scaffold is sheet.scaffold
    assert repr(sheet) == "Sheet(test: 4 cells, 2 units, density 0.25)"


def test_a_sheet_is_frozen():
    sheet = make_sheet()
    with pytest.raises(dataclasses.FrozenInstanceError):
        sheet.sweeps = 3
    for name in ("positions", "parent", "born", "unit_parent", "emitted", "unit_height"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(sheet, name)[0] = 0


def test_a_sheet_keeps_its_own_copy():
    mine = np.ones((4, 2))
    sheet = make_sheet(positions=mine)
    mine[:] = 9
    assert (sheet.positions == 1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": np.empty((0, 2)), "parent": [], "born": []}, r"Sheet\.positions: 'no cells'"),
        ({"positions": [[1, 1, 1]] * 4}, r"Sheet\.positions: .*shape \(4, 2\)"),
        ({"positions": [[1, np.nan]] * 4}, r"Sheet\.positions: .*finite"),
        ({"parent": [-1, 0, 0]}, r"Sheet\.parent: .*shape \(4\)"),
        ({"parent": [-1, 0, 0, 4]}, r"Sheet\.parent: 4 is not allowed; give entries of at most 3"),
        ({"parent": [-2, 0, 0, 1]}, r"Sheet\.parent: -2"),
        ({"parent": [-1, 2, 1, 0]}, r"Sheet\.parent: 'a cell born before its mother'"),
        ({"parent": [-1.0, 0, 0, 1]}, r"Sheet\.parent: .*int32"),
        ({"born": [0, 1, 2, -1]}, r"Sheet\.born: -1"),
        ({"born": [0, 1, 2, 6]}, r"Sheet\.born: 6 is not allowed; give entries of at most 5"),
        ({"unit_parent": [0, 4]}, r"Sheet\.unit_parent: 4"),
        ({"unit_parent": [0, -1]}, r"Sheet\.unit_parent: -1"),
        ({"emitted": [3, 9]}, r"Sheet\.emitted: 9"),
        ({"emitted": [3]}, r"Sheet\.emitted: .*shape \(2\)"),
        ({"unit_height": [0.1, -0.1]}, r"Sheet\.unit_height: -0\.1"),
    ],
)
def test_sheets_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_sheet(**changes)


# ------------------------------------------------------------------------------------------------ Recording


def test_who_fired_when():
    recording = make_recording()
    assert recording.active.tolist() == [2, 0, 1, 0]
    assert [recording.firing(step).tolist() for step in range(4)] == [[1, 3], [], [0], []]
    assert repr(recording) == "Recording(rate_map: 3 spikes of 4 cells, 4 steps)"


def test_silence():
    silent = make_recording(time=np.empty(0, int), cell=np.empty(0, int))
    assert silent.active.tolist() == [0, 0, 0, 0]
    assert silent.firing(2).size == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": np.array([2, 0, 0])}, r"Recording\.time: 'steps out of order'"),
        ({"time": np.array([0, 0, 4])}, r"Recording\.time: 4"),
        ({"cell": np.array([0, 0, 4])}, r"Recording\.cell: 4"),
        ({"cell": np.array([0, -1, 0])}, r"Recording\.cell: -1"),
        ({"cell": np.array([0, 1])}, r"Recording\.cell: .*shape \(3\)"),
    ],
)
def test_recordings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_recording(**changes)


# ------------------------------------------------------------------------------------------------ Wiring


def test_a_wiring_without_snapshots():
    wiring = make_wiring()
    assert wiring.units == 2
    assert wiring.rule_name == "hebbian_wta"
    assert wiring.snapshots is not None
    assert wiring.snapshots.shape == (0, 4, 2)
    assert repr(wiring) == "Wiring(map, 7 steps: 4 cells -> 2 units)"


def test_a_wiring_with_snapshots():
    wiring = make_wiring(snapshot_steps=np.array([0, 7]), snapshots=np.ones((2, 4, 2), np.float32))
    assert wiring.snapshots is not None
    assert wiring.snapshots.dtype == np.float32
    assert not wiring.weights.flags.writeable


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.full((3, 2), 0.1)}, r"Wiring\.weights: .*shape \(4, 2\)"),
        ({"weights": np.full((4, 2), -0.1)}, r"Wiring\.weights: -0\.1"),
        ({"initial_weights": np.full((4, 3), 0.1)}, r"Wiring\.initial_weights: .*shape \(4, 2\)"),
        ({"thresholds": np.array([0, np.inf])}, r"Wiring\.thresholds: .*finite"),
        ({"wins": np.array([-1, 0])}, r"Wiring\.wins: -1"),
        ({"late_wins": np.array([0.5, 0])}, r"Wiring\.late_wins: .*int64"),
        ({"snapshot_steps": np.array([1])}, r"Wiring\.snapshots: .*shape \(1, 4, 2\)"),
    ],
)
def test_wirings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_wiring(**changes)
