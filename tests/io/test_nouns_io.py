from dataclasses import fields, replace

import numpy as np
import pytest

from devnet import io
from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.random import Key
from devnet.io import nouns
from devnet.organization import organize_stack
from devnet.sheet import Recording, Wiring
from devnet.spec import LayerSpec, StackSpec, dump_model


@pytest.fixture(scope="module")
def recording(sheet):
    return Recording(
        sheet=sheet,
        dynamics=sheet.model.dynamics["izhikevich"],
        key=Key(3),
        backend="numba",
        field="exact",
        steps=10,
        time=np.array([0, 4, 4]),
        cell=np.array([7, 1, 9]),
    )


@pytest.fixture(scope="module")
def wiring(sheet):
    rng = np.arange(sheet.n * 4, dtype=float).reshape(sheet.n, 4)
    return Wiring(
        sheet=sheet,
        learning=sheet.model.learning["rate_map"].replace(units=4),
        dynamics=sheet.model.dynamics["rate_map"],
        key=Key(2**64 - 1),
        backend="numba",
        field="exact",
        activity="noise",
        steps=9,
        weights=rng,
        initial_weights=rng + 1,
        thresholds=np.array([-1.0, 2, 3, 4]),
        wins=np.array([1, 2, 3, 4]),
        late_wins=np.array([0, 1, 1, 0]),
        snapshot_steps=np.array([3, 9]),
        snapshots=np.stack([rng, rng]).astype(np.float32),
    )


@pytest.fixture(scope="module")
def stack(sheet):
    spec = StackSpec(layers={"two": LayerSpec(units=9), "three": LayerSpec(units=4, winners=(0.1, 0.2))})
    return organize_stack(sheet, spec, steps=3, rng=1, activity="shuffled")


def same(a, b):
    for field in fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right), field.name
        elif field.name == "sheet":
            same(left, right)
        elif field.name == "layers":
            for one, other in zip(left, right, strict=True):
                same(one, other)
        else:
            assert left == right, field.name


@pytest.mark.parametrize("name", ["sheet", "recording", "wiring", "stack"])
def test_a_noun_comes_back_as_it_was(tmp_path, request, name):
    noun = request.getfixturevalue(name)
    io.save(noun, tmp_path / "a")
    back = io.load(tmp_path / "a")
    assert type(back) is type(noun)
    same(noun, back)
    io.save(back, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sources_of_the_model_survive(tmp_path, sheet):
    io.save(sheet, tmp_path / "a")
    assert dump_model(nouns.load_sheet(tmp_path / "a").model) == dump_model(sheet.model)


def test_another_noun_is_named(tmp_path, sheet, recording):
    io.save(sheet, tmp_path / "a")
    io.save(recording, tmp_path / "r")
    with pytest.raises(CorruptFileError, match="holds a sheet, not a wiring"):
        nouns.load_wiring(tmp_path / "a")
    with pytest.raises(CorruptFileError, match="holds a sheet, not a recording"):
        nouns.load_recording(tmp_path / "a")
    with pytest.raises(CorruptFileError, match="holds a recording, not a sheet"):
        nouns.load_sheet(tmp_path / "r")
    io.write_tensors(tmp_path / "p", {}, "path", {})
    with pytest.raises(CorruptFileError, match="holds a path, not a sheet, recording, wiring or stack"):
        io.load(tmp_path / "p")


def test_only_nouns_are_saved(tmp_path):
    with pytest.raises(ConfigError, match="a Sheet, Recording, Wiring or Stack"):
        io.save("sheet", tmp_path / "a")
    assert not list(tmp_path.iterdir())


def rewritten(path, kind, change):
    """Write the file anew, digest and all, with something in it that no noun holds."""
    arrays, metadata = io.read_tensors(path)
    arrays = dict(arrays)
    change(arrays, metadata)
    io.write_tensors(path, arrays, kind, metadata)


def _set(name, value):
    def change(arrays, _):
        arrays[name] = value(arrays[name].copy())

    return change


def _put(array, place, value):
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("parent", lambda a: _put(a, 0, 10**6)), "Sheet.parent"),
        (_set("unit_parent", lambda a: _put(a, 0, -1)), "Sheet.unit_parent"),
        (_set("positions", lambda a: _put(a, (0, 0), np.nan)), "Sheet.positions"),
        (_set("positions", lambda _: np.array(1.0)), "field is missing or of a wrong type"),
        (_set("born", lambda a: a.astype(np.float64)), "Sheet.born"),
        (_set("unit_height", lambda a: a[:-1]), "Sheet.unit_height"),
        (lambda arrays, _: arrays.pop("born"), "'born'"),
        (lambda _, metadata: metadata.pop("model"), "'model'"),
        (lambda _, metadata: metadata.update(model="[scaffold"), "model"),
        (lambda _, metadata: metadata.update(model=7), "wrong type"),
        (lambda _, metadata: metadata.update(key="x"), "wrong type"),
        (lambda _, metadata: metadata.update(key=str(2**64)), "rng"),
        (lambda _, metadata: metadata.update(sweeps=-1), "wrong type"),
        (lambda _, metadata: metadata.update(sweeps=1.5), "wrong type"),
    ],
)
def test_values_that_no_sheet_has_are_refused_even_with_a_right_digest(tmp_path, sheet, change, words):
    path = tmp_path / "a"
    io.save(sheet, path)
    rewritten(path, "sheet", change)
    with pytest.raises(CorruptFileError, match=words) as caught:
        io.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("weights", lambda a: a[0]), "Wiring.weights"),
        (_set("weights", lambda a: -a), "Wiring.weights"),
        (_set("wins", lambda a: a[:-1]), "Wiring.wins"),
        (lambda _, metadata: metadata.update(dynamics={"form": "none"}), "wrong type"),
        (lambda _, metadata: metadata["learning"].update(steps=-1), "learning: steps|learning.steps"),
        (lambda _, metadata: metadata.update(sheet=None), "wrong type"),
        (lambda _, metadata: metadata.update(steps="many"), "wrong type"),
    ],
)
def test_values_that_no_wiring_has_are_refused(tmp_path, wiring, change, words):
    path = tmp_path / "a"
    io.save(wiring, path)
    rewritten(path, "wiring", change)
    with pytest.raises(CorruptFileError, match=words):
        io.load(path)


def test_spikes_out_of_range_are_refused(tmp_path, recording):
    path = tmp_path / "a"
    for name, value in (("time", 10), ("cell", 10**6), ("time", -1)):
        io.save(recording, path)
        rewritten(path, "recording", _set(name, lambda a, v=value: _put(a, 1, v)))
        with pytest.raises(CorruptFileError, match=f"Recording.{name}"):
            io.load(path)


def test_an_empty_recording_comes_back(tmp_path, recording):
    quiet = replace(recording, time=np.empty(0, np.int32), cell=np.empty(0, np.int32))
    io.save(quiet, tmp_path / "a")
    assert len(nouns.load_recording(tmp_path / "a").time) == 0


def test_dead_cells_are_kept_and_a_file_from_before_them_has_none(sheet, tmp_path, monkeypatch):
    hurt = sheet.damaged(np.array([[7.5, 7.5]]), 2.0)
    io.save(hurt, tmp_path / "hurt")
    assert np.array_equal(nouns.load_sheet(tmp_path / "hurt").dead, hurt.dead)
    monkeypatch.setattr(nouns, "_SHEET", tuple(name for name in nouns._SHEET if name != "dead"))
    io.save(hurt, tmp_path / "old")
    monkeypatch.undo()
    assert not nouns.load_sheet(tmp_path / "old").dead.any()
