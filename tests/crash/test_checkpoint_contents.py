"""Checkpoints with right digests that no computation of ours wrote: passed over, whatever they hold.

A digest tells damage, not who wrote. Compiled code follows indices without looking, so each of these states once ended
in a crash, a loop without end, a traceback or a wrong result.
"""

import shutil
from typing import Any

import numpy as np
import pytest

from devnet._core.errors import InterruptedRunError
from devnet.growth import grow
from devnet.io import Checkpoints, read_tensors, write_tensors
from devnet.organization import organize, organize_stack
from devnet.spec import LayerSpec, StackSpec, load_model
from devnet.waves import simulate
from tests.crash.mortal import Mortal

SMALL = "raghavan2019_grown_pooling/small"
STEPS = 3072


def growing(sheet, place):
    return grow(load_model(SMALL), rng=0, checkpoint=place)


def waves(sheet, place):
    return simulate(sheet, "rate_map", steps=STEPS, rng=1, checkpoint=place)


def learning(sheet, place):
    return organize(sheet, "rate_map", units=9, steps=STEPS, rng=2, snapshots=3, checkpoint=place)


def stacking(sheet, place):
    spec = StackSpec(layers={"upper": LayerSpec(units=16, psp=4), "top": LayerSpec(units=9)})
    return organize_stack(sheet, spec, steps=STEPS, rng=3, checkpoint=place).layers[1]


VERBS = {"grow": growing, "simulate": waves, "organize": learning, "stack": stacking}
RESULTS = {
    "grow": ("positions", "parent", "born", "unit_parent", "emitted"),
    "simulate": ("time", "cell", "steps"),
    "organize": ("weights", "thresholds", "wins", "late_wins", "snapshots", "snapshot_steps"),
    "stack": ("positions", "weights", "c", "maturity", "late_wins"),
}


def put(name, value, at: Any = slice(None)):
    """Return a change of one array."""

    def change(arrays, numbers):
        arrays[name] = arrays[name].copy()
        arrays[name][at] = value

    return change


def instead(name, make):
    """Return a change that puts another array in place of one, or none."""

    def change(arrays, numbers):
        made = make(arrays[name])
        arrays.pop(name) if made is None else arrays.update({name: np.ascontiguousarray(made)})

    return change


def told(name, value):
    """Return a change of the plain data."""

    def change(arrays, numbers):
        numbers.pop(name) if value is None else numbers.update({name: value})

    return change


def heard(first, cells):
    """Return a change of what the layer heard last."""

    def change(arrays, numbers):
        arrays.update({"upper.before.first": first, "upper.before.cells": cells})

    return change


HOSTILE = {
    "grow": {
        "a cell less": instead("x", lambda x: x[:-1]),
        "nothing": instead("timer", lambda x: None),
        "another type": instead("timer", lambda x: x.astype(np.int32)),
        "far away": put("x", 1e12),
        "no number": put("y", np.nan, 3),
        "mothers of the future": put("parent", 2**30, 1),
        "a timer below 0": put("timer", -1, 0),
        "a timer that never ends": put("timer", 2**62),
        "more divisions": put("hayflick", 2**40),
        "emitted tomorrow": put("emitted", 2**30),
        "fewer cells": told("n", -5),
        "more cells": told("n", 10**9),
        "text": told("running", "x"),
        "true": told("running", True),
        "nothing runs": told("running", 0),
        "no sweep": told("sweep", None),
        "a sweep long ago": told("sweep", -(10**6)),
    },
    "simulate": {
        "no one fired": instead("fired", lambda x: None),
        "three cells": instead("cells", lambda x: x[:, :3]),
        "another type": instead("fired", lambda x: x.astype(np.float64)),
        "no number": put("cells", np.inf, (0, 3)),
        "text": told("step", "x"),
        "no step": told("step", None),
        "a step before the first": told("step", -5000),
        "a step that is no cut": told("step", 2000),
        "the end": told("step", STEPS),
        "not the step of its spikes": told("step", 1024),
    },
    "organize": {
        "no number at all": told("step", None),
        "no early wins": instead("early_wins", lambda x: None),
        "three units": instead("early_wins", lambda x: x[:3]),
        "lost wins": put("early_wins", 10**6),
        "won before they began": put("learner.wins", -1),
        "balanced tomorrow": put("learner.counted", 10**6),
        "another sheet": put("learner.places", 0.0),
        "no weight": put("learner.weights", np.nan, (0, 0)),
        "one row": instead("learner.pre", lambda x: x[:1]),
        "a snapshot too many": told("step", 1024),
    },
    "stack": {
        "no one fired": instead("fired", lambda x: None),
        "no wins": instead("top.wins", lambda x: None),
        "three units": instead("upper.c", lambda x: x[:3]),
        "no weight": put("top.weights", np.nan, (0, 0)),
        "cells that are none": heard(np.array([0, 1]), np.array([10**9])),
        "cells of another step": heard(np.array([0, 2]), np.array([3])),
        "too many steps": heard(np.zeros(9, np.int64), np.empty(0, np.int64)),
        "steps without an end": instead("upper.before.first", lambda x: x[:0]),
        "half a cell": instead("upper.before.cells", lambda x: x.astype(np.float64)),
        "more wins than steps": put("upper.wins", 10**6),
        "another time": put("top.steps", 5, ()),
        "more than mature": put("top.maturity", 2.0, ()),
    },
}


@pytest.fixture(scope="module")
def stopped(sheet, tmp_path_factory):
    """Return a folder with the states of verbs that died, and what the verbs give undisturbed."""
    folder = tmp_path_factory.mktemp("stopped")
    for name, verb in VERBS.items():
        with pytest.raises(InterruptedRunError):
            verb(sheet, Mortal(folder / name))
    return folder, {name: verb(sheet, None) for name, verb in VERBS.items()}


def rewritten(stopped, name, folder, pattern, change):
    """Copy a state, change its newest file of a kind, and sign it anew; the generation before is left out."""
    place = shutil.copytree(stopped / name, folder / name)
    first, newest = sorted(place.glob("0*.safetensors"))
    first.unlink()
    file = max(place.glob(pattern))
    arrays, head = read_tensors(file)
    change(arrays, head.get("numbers"))
    sha = write_tensors(file, arrays, "checkpoint" if file == newest else "segment", head)
    if file != newest:
        arrays, head = read_tensors(newest)
        head["segments"][-1] = sha
        write_tensors(newest, arrays, "checkpoint", head)
    return Checkpoints(place)


def same(a, b, names):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.mark.parametrize(("verb", "attack"), [(verb, attack) for verb in HOSTILE for attack in HOSTILE[verb]])
def test_a_state_that_is_none_is_passed_over(sheet, stopped, tmp_path, verb, attack):
    folder, results = stopped
    place = rewritten(folder, verb, tmp_path, "0*.safetensors", HOSTILE[verb][attack])
    assert same(VERBS[verb](sheet, place), results[verb], RESULTS[verb])
    assert place._generation < 2, "it did not begin anew"


@pytest.mark.parametrize(
    "change",
    [
        put("cell", 10**6, -1),
        put("cell", -1, 0),
        put("time", 10**6, -1),
        put("time", 0, -1),
        instead("time", lambda x: x[:-1]),
        instead("cell", lambda x: None),
        instead("last", lambda x: np.array(2000)),
        instead("last", lambda x: np.array([2048, 2048])),
        instead("last", lambda x: np.array(np.nan)),
    ],
)
def test_spikes_that_are_none_are_passed_over(sheet, stopped, tmp_path, change):
    folder, results = stopped
    place = rewritten(folder, "simulate", tmp_path, "segment-*", change)
    assert same(waves(sheet, place), results["simulate"], RESULTS["simulate"])


@pytest.mark.parametrize(
    "make",
    [lambda x: None, lambda x: x[:3], lambda x: x.astype(np.float64), lambda x: x * np.float32(np.nan)],
)
def test_kept_weights_that_are_none_are_passed_over(sheet, stopped, tmp_path, make):
    folder, results = stopped
    file = max((folder / "organize").glob("segment-*"))
    name = next(iter(read_tensors(file)[0]))
    place = rewritten(folder, "organize", tmp_path, "segment-*", instead(name, make))
    assert same(learning(sheet, place), results["organize"], RESULTS["organize"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_state_of_our_own_is_gone_on_with(sheet, stopped, tmp_path, verb):
    folder, results = stopped
    place = rewritten(folder, verb, tmp_path, "0*.safetensors", lambda arrays, numbers: None)
    assert same(VERBS[verb](sheet, place), results[verb], RESULTS[verb])
    assert place._generation == 2


@pytest.mark.parametrize(
    ("middle", "scaffold"),
    [(15, {"holes": (((3, 3), (8, 4), (6, 9)),)}), (0, {"holes": (), "sphere_radius": 15.0})],
)
def test_a_growth_around_a_hole_or_on_a_sphere_is_gone_on_with(tmp_path, middle, scaffold):
    outline = tuple((x + middle, y + middle) for x, y in ((-15, -15), (15, -15), (15, 15), (-15, 15)))
    model = load_model(SMALL)
    model = model.replace(
        scaffold=model.scaffold.replace(outline=outline, seed_cell=(middle, middle), **scaffold)
    )
    with pytest.raises(InterruptedRunError):
        grow(model, rng=0, checkpoint=Mortal(tmp_path))
    place = Checkpoints(tmp_path)
    assert same(grow(model, rng=0, checkpoint=place), grow(model, rng=0), RESULTS["grow"])
    assert place._generation == 2


def test_chains_of_a_growth_from_a_file_are_not_followed(sheet, stopped, tmp_path):
    """Files of earlier versions hold them; they follow from the places of the cells."""
    folder, results = stopped

    def change(arrays, numbers):
        arrays["following"] = np.full(len(arrays["x"]), 2**30, np.int32)
        arrays["head"] = np.full(3, 10**9, np.int32)

    place = rewritten(folder, "grow", tmp_path, "0*.safetensors", change)
    assert same(growing(sheet, place), results["grow"], RESULTS["grow"])
    assert place._generation == 2, "it went on"


def test_a_time_that_is_no_number_is_passed_over(tmp_path):
    place = Checkpoints(tmp_path, every=0)
    place.save({"x": np.arange(3)}, {"step": 1})
    arrays, head = read_tensors(tmp_path / "000001.safetensors")
    write_tensors(tmp_path / "000001.safetensors", arrays, "checkpoint", head | {"cpu_seconds": "nan"})
    assert Checkpoints(tmp_path).load({}) is None
