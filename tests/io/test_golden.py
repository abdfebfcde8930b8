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
from devnet.sheet import Layer, Recording, Sheet, Stack, Wiring
from devnet.spec import StackSpec, build, load_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "0.1"
NOUNS = {"sheet": Sheet, "recording": Recording, "wiring": Wiring, "stack": Stack}
CUT = {"verb": "traverse", "key": "7"}


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
    declared = {"dynamics": "rate_map", "steps": 1024, "layers": {"two": {"units": 5}, "three": {"units": 4}}}
    spec = build(StackSpec, declared)
    layers = tuple(
        Layer(
            spec=part,
            positions=np.arange(2.0 * m).reshape(m, 2),
            weights=np.arange(float(below * m)).reshape(below, m),
            c=np.arange(m) / 4,
            maturity=m / 8,
            late_wins=np.arange(m),
        )
        for part, below, m in zip(spec.layers.values(), (n, 5), (5, 4), strict=True)
    )
    stack = Stack(**common, spec=spec, activity="waves", steps=1024, layers=layers)
    io.make_folder(folder)
    for noun in (sheet, recording, wiring, stack):
        io.save(noun, folder / f"{type(noun).__name__.lower()}.safetensors")
    place = Checkpoints(folder / "checkpoint", every=0)
    place.load({"verb": "organize", "key": "7"})
    for step in (1024, 2048):
        place.save({"cells": weights[:2] + step}, {"step": step}, {"time": np.arange(3) + step})
    place = Checkpoints(folder / "shards", every=0)
    place.load(CUT)
    sha = place.put("shard-000002-0-4", {"weights": np.arange(4.0)})
    place.save({"step": np.array(2)}, {"shards": {"shard-000002-0-4": sha}})
    networks(folder, wiring)
    with RunFolder.open(folder / "run", model, {"key": "7"}, notes={"seed": 0}) as run:
        with run.stage("grow") as stage:
            stage.numbers = {"cells": [n]}
            io.save(sheet, stage.file("sheet-0.safetensors"))
        run.write_manifest(["grow"])


def perceptron(last: float = 1.0):
    """Return a network of plain numbers."""
    import torch
    from torch import nn

    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((torch.arange(parameter.numel()) % 5 - last).reshape(parameter.shape) / 8)
    return module.eval()


def problem():
    """Return the problem of the paths."""
    import torch

    from devnet.fip import Problem, Sparsity, StopWhen

    return Problem(torch.linspace(-1, 1, 40).view(10, 4), Sparsity(0.5), stop=StopWhen(4), keep=3)


def networks(folder: Path, wiring: Wiring) -> None:
    """Write what holds networks of PyTorch."""
    from devnet.export import save_network, to_torch
    from devnet.fip import traverse
    from devnet.tasks.connection import straight
    from devnet.tasks.files import save_curve, save_ensemble, save_path

    save_network(
        to_torch(wiring, image_shape=(4, 4), hidden=(3,), classes=2, rng=3), folder / "network.safetensors"
    )
    for name, until in (("path", None), ("paused", 2)):
        path = traverse(perceptron(), problem(), rng=0, until=until)
        save_path(path, folder / f"{name}.safetensors", accuracy=np.arange(float(len(path.steps))))
    save_curve(straight(perceptron(), perceptron(2)), folder / "curve.safetensors", error=[0.5, 0.25])
    save_ensemble([perceptron(), perceptron(2)], folder / "ensemble.safetensors", accuracy=[[50.0], [75.0]])


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
    if name == "stack":
        assert [layer.units for layer in noun.layers] == [5, 4]
        assert list(noun.spec.layers) == ["two", "three"]
        assert noun.layers[1].weights.tolist() == np.arange(20.0).reshape(5, 4).tolist()
        assert [layer.maturity for layer in noun.layers] == [0.625, 0.5]


def test_networks_of_this_version_are_read():
    torch = pytest.importorskip("torch")
    from devnet.export import load_network
    from devnet.tasks.files import load_curve, load_ensemble

    network = load_network(GOLDEN / "network.safetensors")
    assert (network.image_shape, network.hidden, network.classes) == ((4, 4), (3,), 2)
    assert torch.isfinite(network(torch.ones(1, 4, 4))).all()
    ends = [perceptron(last).state_dict() for last in (1, 2)]
    curve = load_curve(GOLDEN / "curve.safetensors", perceptron(3))
    members = load_ensemble(GOLDEN / "ensemble.safetensors", perceptron(3))
    for found in ((curve.module(0), curve.module(1)), members):
        for module, wanted in zip(found, ends, strict=True):
            assert all(torch.equal(value, wanted[name]) for name, value in module.state_dict().items())


def test_paths_of_this_version_are_read_and_paused_ones_go_on():
    pytest.importorskip("torch")
    from devnet.fip import resume
    from devnet.tasks import load_path

    whole, half = (load_path(GOLDEN / f"{name}.safetensors", perceptron(3)) for name in ("path", "paused"))
    assert whole.steps.tolist()[0] == 0
    assert whole.steps.tolist()[-1] == 4
    assert whole.sparsity[-1] == pytest.approx(0.5, abs=0.1)
    again = resume(half, problem())
    assert again.steps.tolist() == whole.steps.tolist()
    assert np.allclose(again.deltas, whole.deltas, atol=1e-5)


def test_parts_of_this_version_are_read():
    place = Checkpoints(GOLDEN / "shards")
    saved = place.load(CUT)
    assert saved is not None
    ((name, sha),) = saved.numbers["shards"].items()
    assert place.get(name, sha)["weights"].tolist() == [0, 1, 2, 3]


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
    assert len(sizes) > 18
    assert sum(sizes.values()) < 100_000


if __name__ == "__main__":
    written(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
