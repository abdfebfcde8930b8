"""Files of version 0.1, kept for the future: every later devnet reads them, and finds in them what was written.

`python tests/io/test_golden.py` writes the files of this version anew; only a new version of the format does that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from devnet import io
from devnet._core.random import Key
from devnet.io import Checkpoints, RunFolder, artefacts, read_tensors, verify
from devnet.sheet import Recording, Sheet, Wiring
from devnet.spec import load_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "0.1"
NOUNS = {"sheet": Sheet, "recording": Recording, "wiring": Wiring}


def written(folder: Path) -> None:
    """Write one file of each kind from plain numbers that no random generator has to make again."""
    model = load_model("raghavan2019_grown_pooling/small")
    n = 6
    sheet = Sheet(
        model=model,
        key=Key(7),
        positions=np.arange(2.0 * n).reshape(n, 2) / 8,
        parent=np.arange(-1, n - 1),
        born=np.arange(n),
        unit_parent=np.array([1, 4]),
        emitted=np.array([2, 5]),
        unit_height=np.array([0.8, 0.8]),
        sweeps=9,
    )
    common = {"sheet": sheet, "dynamics": model.dynamics["rate_map"], "key": Key(2**64 - 1)}
    common |= {"backend": "numba", "field": "exact: float64 matrix, by changes"}
    recording = Recording(**common, steps=5, time=np.array([0, 3, 3]), cell=np.array([5, 0, 1]))
    weights = np.arange(2.0 * n).reshape(n, 2)
    wiring = Wiring(
        **common,
        learning=model.learning["rate_map"],
        activity="waves",
        steps=1024,
        weights=weights,
        initial_weights=weights[::-1].copy(),
        thresholds=np.array([-1.0, 2.0]),
        wins=np.array([3, 4]),
        late_wins=np.array([1, 0]),
        snapshot_steps=np.array([1024]),
        snapshots=weights[None].astype(np.float32),
    )
    io.make_folder(folder)
    for noun in (sheet, recording, wiring):
        io.save(noun, folder / f"{type(noun).__name__.lower()}.safetensors")
    place = Checkpoints(folder / "checkpoint", every=0)
    place.load({"verb": "organize", "key": "7"})
    for step in (1024, 2048):
        place.save({"cells": weights[:2] + step}, {"step": step}, {"time": np.arange(3) + step})
    with RunFolder.open(folder / "run", model, {"key": "7"}, notes={"seed": 0}) as run:
        with run.stage("grow") as stage:
            stage.numbers = {"cells": [n]}
            io.save(sheet, stage.file("sheet-0.safetensors"))
        run.write_manifest(["grow"])


@pytest.mark.parametrize("name", NOUNS)
def test_nouns_of_this_version_are_read(name):
    noun = io.load(GOLDEN / f"{name}.safetensors")
    assert isinstance(noun, NOUNS[name])
    sheet = noun if name == "sheet" else noun.sheet
    assert sheet.positions.tolist() == (np.arange(12.0).reshape(6, 2) / 8).tolist()
    assert sheet.parent.tolist() == [-1, 0, 1, 2, 3, 4]
    assert sheet.model.name == "raghavan2019_grown_pooling/small"
    if name == "recording":
        assert (noun.time.tolist(), noun.cell.tolist(), noun.steps) == ([0, 3, 3], [5, 0, 1], 5)
    if name == "wiring":
        assert noun.weights.tolist() == np.arange(12.0).reshape(6, 2).tolist()
        assert noun.key.value == 2**64 - 1


def test_a_checkpoint_of_this_version_is_gone_on_with():
    saved = Checkpoints(GOLDEN / "checkpoint").load({"verb": "organize", "key": "7"})
    assert saved is not None
    assert saved.numbers == {"step": 2048}
    assert [part["time"].tolist() for part in saved.segments] == [[1024, 1025, 1026], [2048, 2049, 2050]]
    older = read_tensors(GOLDEN / "checkpoint" / "000001.safetensors", "checkpoint")
    assert older[1]["numbers"] == {"step": 1024}


def test_a_run_of_this_version_is_checked():
    assert verify(GOLDEN / "run") == 5
    assert set(artefacts(GOLDEN / "run")) == {
        "config.toml",
        "run.json",
        "grow/sheet-0.safetensors",
        "grow/stage.json",
    }


def test_golden_files_are_small():
    sizes = {path: path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()}
    assert len(sizes) > 8
    assert max(sizes.values()) < 100_000


if __name__ == "__main__":
    written(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
