"""Networks that do not fit one process: weights cut among several, on gloo and CPUs."""

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from devnet.io import digest, read_tensors

pytest.importorskip("torch")

import torch

from devnet import fip
from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip._layout import Layout
from devnet.fip._saliency import threshold
from devnet.io.weights import write_weights
from devnet.study.factories import network_of
from devnet.study.workers import one_thread

WALK = Path(__file__).with_name("sharded_walk.py")
MLP = "mlp:64-30-10"
PATHS = {"sparsify", "by length", "few", "picture"}


def files(folder):
    return {path.name: digest(path) for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def alone(environment, monkeypatch):
    """Join the only process of a team whose weights are cut."""
    for name, value in environment(0, 1, 0).items():
        monkeypatch.setenv(name, value)
    with fip.torchrun(sharded=True) as mates:
        yield mates


@pytest.mark.slow
def test_any_number_of_processes_walks_the_same_paths_as_one_and_as_uncut_ones(
    team, environment, monkeypatch, tmp_path
):
    found = {}
    for size, how in ((1, "cut"), (2, "cut"), (1, "whole")):
        place = tmp_path / f"{size} {how}"
        place.mkdir()
        if size == 1:  # here
            with monkeypatch.context() as patch, one_thread():
                for name, value in environment(0, 1, 0).items():
                    patch.setenv(name, value)
                runpy.run_path(str(WALK))["main"](str(place), how)
        else:
            codes, errors = team(size, WALK, place, how)
            assert codes == [0] * size, errors
        found[size, how] = files(place)
    assert found[1, "cut"].keys() == PATHS
    assert found[2, "cut"] == found[1, "cut"]
    for name in PATHS:
        cut, told = read_tensors(tmp_path / "2 cut" / name, "path")
        whole, same = read_tensors(tmp_path / "1 whole" / name, "path")
        assert told == same
        assert np.abs(whole["deltas"][-1]).max() > 1e-3
        for array in whole:
            # Lengths and objectives are sums over all weights, which are added in another order.
            np.testing.assert_allclose(cut[array], whole[array], rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a program's own memory")
def test_memory_of_weights_and_moments_halves_with_two_processes(team, monkeypatch, tmp_path):
    # What is freed leaves the resident set at once: otherwise how much malloc keeps depends on who waits for whom.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(1024**2))
    grown = {}
    for size in (1, 2):
        place = tmp_path / str(size)
        place.mkdir()
        codes, errors = team(size, WALK, place, "cut", "large")
        assert codes == [0] * size, errors
        grown[size] = [int(file.read_text()) for file in place.iterdir()]
    vectors = 5 * 4 * 12 * 1024**2  # weights, start, gradient and two moments
    assert len(grown[2]) == 2
    assert grown[1][0] > vectors
    assert max(grown[2]) < 0.55 * grown[1][0]


@pytest.mark.slow
def test_dead_between_two_parts_it_goes_on_from_the_newest_whole_state_in_any_number(team, tmp_path):
    whole = tmp_path / "whole"
    assert team(1, WALK, whole, "cut", "kept", 0)[0] == [0]
    dead = tmp_path / "dead"
    # Of step 0 a part and columns of the way-points, then a part a step: the fifth is that of step 3.
    codes, _ = team(2, WALK, dead, "cut", "kept", 5)
    assert codes[1] == -9
    assert codes[0] != 0
    assert len(list((dead / "kept").glob("shard-000000003-*"))) == 1
    newest = max((dead / "kept").glob("0*.safetensors"))
    assert read_tensors(newest, "checkpoint")[1]["numbers"]["step"] == 2
    for size in (1, 2):
        place = shutil.copytree(dead, tmp_path / str(size))
        if size == 2:  # and a part of that state is damaged: from the one before it
            part = next((place / "kept").glob("shard-000000002-0-*"))
            part.write_bytes(part.read_bytes()[:-1] + b"?")
        codes, errors = team(size, WALK, place, "cut", "kept", 0)
        assert codes == [0] * size, errors
        assert digest(place / "path") == digest(whole / "path")
        assert {file.name.split("-")[1] for file in (place / "kept").glob("shard-*")} <= {
            "000000005",
            "000000006",
            "000000007",
        }


@pytest.mark.slow
def test_the_command_cuts_the_weights(team, tmp_path):
    module = network_of(MLP, (8, 8), 10, rng=0)
    write_weights(tmp_path / "weights", {n: t.numpy() for n, t in module.state_dict().items()})
    words = ["-m", "devnet.cli", "fip", "sparsify", tmp_path / "weights", "--factory", MLP, "--steps", "5"]
    codes, errors = team(2, *words, "--sparsity", "0.5", "--out", tmp_path / "path", "--shard")
    assert codes == [0, 0], errors
    assert read_tensors(tmp_path / "path", "path")[0]["sparsity"][-1] == pytest.approx(0.5, abs=1e-3)


def test_a_part_that_is_missing_or_another_one_is_refused(alone, tmp_path):
    from devnet.io import Checkpoints

    place = Checkpoints(tmp_path)
    sha = place.put("shard-1-0-4", {"x": np.arange(4.0)})
    assert place.get("shard-1-0-4", sha)["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(CorruptFileError, match="not the shard that was listed"):
        place.get("shard-1-0-4", "0" * 64)
    place.keep(set())
    with pytest.raises(CorruptFileError, match=r"shard-1-0-4\.safetensors: missing"):
        place.get("shard-1-0-4", sha)


def small():
    return torch.nn.Sequential(torch.nn.Linear(20, 60), torch.nn.Linear(60, 5))


@pytest.mark.parametrize(
    ("given", "more", "told"),
    [
        ({"objective": fip.Sum(fip.Stay())}, {}, "objective: 'Sum'.*Stay, NewTask, or Sparsity"),
        (
            {"objective": fip.Sparsity(0.5, pattern=fip.Units())},
            {},
            "objective: 'Sparsity'.*of the pattern Global",
        ),
        ({"direction": fip.DampedNatural()}, {}, "direction: 'DampedNatural'.*PenalizedGradient"),
        ({"step": fip.Optimizer(torch.optim.SGD)}, {}, "step: 'Optimizer'.*Adam, Fixed"),
        ({"precision": torch.bfloat16}, {}, "precision: .*None where"),
        ({}, {"until": 3}, "until: 3.*checkpoint="),
        ({}, {"checkpoint": object()}, r"checkpoint: 'object'.*devnet\.io\.Checkpoints"),
    ],
)
def test_what_needs_the_whole_vector_is_refused(alone, given, more, told):
    with pytest.raises(ConfigError, match=told):
        fip.traverse(small(), fip.Problem(torch.ones(9, 20), **given), **more)


def test_layers_that_keep_their_parameters_for_themselves_are_refused(alone):
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.GRU(20, 20, batch_first=True)

        def forward(self, x):
            return self.inner(x[:, None])[0][:, 0]

    with pytest.raises(ConfigError, match="module: 'GRU'"):
        fip.traverse(Recurrent(), fip.Problem(torch.ones(9, 20)))


def test_parameters_that_do_not_move_and_the_module_itself_stay_as_they_are(alone):
    module = small().double()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    problem = fip.Problem(
        torch.eye(20, dtype=torch.float64),
        fip.Sparsity(0.5),
        step=fip.UnitLength(0.1),
        parameters=["0.weight", "1.bias"],
        stop=fip.StopWhen(steps=5),
    )
    path = fip.traverse(module, problem, rng=1)
    assert type(module[0]) is torch.nn.Linear
    moved = path.module().state_dict()
    for name, value in before.items():
        assert torch.equal(module.state_dict()[name], value)
        assert torch.equal(moved[name], value) == (name not in problem.parameters)
    assert path.sparsity[-1] == pytest.approx(0.5, abs=1e-3)


def test_processes_that_cannot_share_weights_are_refused(environment, monkeypatch):
    with pytest.raises(ConfigError, match="processes that torchrun started"), fip.torchrun(sharded=True):
        pass
    for name, value in environment(0, 3, 0).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="1, 2, 4 or 8 processes"), fip.torchrun(sharded=True):
        pass


def test_parts_begin_at_blocks_and_sums_and_thresholds_are_those_of_the_vector(alone):
    from devnet.fip._shard import BLOCK, Shard

    total = 5 * BLOCK + 77
    shard = Shard(total, alone)
    assert shard.bounds == (0, total)
    v = torch.sin(torch.arange(total, dtype=torch.float32))
    torch.testing.assert_close(shard.norm(v), v.double().norm().float())
    torch.testing.assert_close(shard.dot(v, v + 1), v.double().dot(v.double() + 1).float())
    for score in (v.square(), v.abs().double(), v.abs().half(), (v > 0).float()):
        for cut in (1, 2, total // 3, total):
            assert shard.threshold(score, cut).item() == threshold(score, cut).item()
    layout = Layout(("a", "b"), ((total - 5,), (5,)), (True, False))
    cut = Layout(("a", "b"), ((total - 5,), (5,)), (True, False), shard)
    assert cut == layout
    assert torch.equal(cut.counted_mask(), layout.counted_mask())

    class Nine:
        rank, size = 8, 9

    with pytest.raises(ConfigError, match=re.escape(f"at most 6 processes for {total} weights")):
        Shard(total, Nine())
