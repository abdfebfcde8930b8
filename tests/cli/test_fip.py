"""`devnet fip` on files of weights: exit codes, one line an error, and nothing run that a file holds."""

from __future__ import annotations

import os
import pickle  # noqa: TID251  (an attack)

import numpy as np
import pytest

pytest.importorskip("torch")

from devnet.cli import main
from devnet.data import load_images
from devnet.io import locked, read_json
from devnet.io.tensors import read_tensors
from devnet.io.weights import read_weights, write_weights
from devnet.study.factories import network_of

MLP = "mlp:64-12-10"


@pytest.fixture
def weights(tmp_path):
    module = network_of(MLP, (8, 8), 10, rng=0)
    write_weights(tmp_path / "w", {n: t.numpy() for n, t in module.state_dict().items()})
    return tmp_path / "w"


def test_weights_are_sparsified_and_written_for_the_same_factory(weights, tmp_path, capsys):
    words = ["fip", "sparsify", str(weights), "--factory", MLP, "-o", str(tmp_path / "p")]
    assert main([*words, "--steps", "5", "--sparsity", "0.5", "--network", str(tmp_path / "n")]) == 0
    assert "50 % sparse: test accuracy" in capsys.readouterr().out
    assert read_weights(tmp_path / "n").keys() == read_weights(weights).keys()


def test_networks_are_collected_along_a_path(weights, tmp_path, capsys):
    words = ["fip", "ensemble", str(weights), "--factory", MLP, "-o", str(tmp_path / "e")]
    assert main([*words, "--count", "3", "--steps", "20", "--network", str(tmp_path / "n")]) == 0
    assert "3 networks together: test accuracy" in capsys.readouterr().out
    arrays, about = read_tensors(tmp_path / "e", "ensemble")
    last = read_weights(tmp_path / "n")
    assert about["members"] == 3
    assert arrays.keys() == {f"{number}.{name}" for number in range(3) for name in last}
    assert all((arrays[f"2.{name}"] == value).all() for name, value in last.items())


def test_weights_are_cut_among_processes_of_torchrun_only(weights, tmp_path, capsys):
    words = [str(weights), "--factory", MLP, "-o", str(tmp_path / "p"), "--shard"]
    assert main(["fip", "sparsify", *words]) == 2
    assert "shard: 'a process alone' is not allowed; give processes that torchrun" in capsys.readouterr().err
    assert main(["fip", "recover", *words]) == 2
    assert "--shard" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


class Canary:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    ("factory", "code", "words"),
    [
        ("os:system", 2, "factory: 'os:system' is not allowed; give package.module:function of an installed"),
        ("../evil:net", 2, "factory: "),
        ("lenet", 2, "factory: 'lenet' is not allowed; give one of lenet-300-100"),
        ("mlp:64-13-10", 2, "network: "),
    ],
)
def test_a_wrong_factory_is_one_line_and_writes_nothing(weights, tmp_path, capsys, factory, code, words):
    assert main(["fip", "recover", str(weights), "--factory", factory, "-o", str(tmp_path / "p")]) == code
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("more", [["--factory", MLP], []])
def test_a_pickle_in_the_place_of_weights_runs_nothing(tmp_path, capsys, more):
    (tmp_path / "w").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    assert main(["fip", "sparsify", str(tmp_path / "w"), "-o", str(tmp_path / "p"), *more]) == 7
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "canary").exists()


def test_baselines_are_printed_beside_in_one_table_and_written(weights, tmp_path, capsys):
    words = ["fip", "recover", str(weights), "--factory", MLP, "-o", str(tmp_path / "p"), "--rounds", "1"]
    assert main([*words, "--beside", "--json", str(tmp_path / "r")]) == 0
    out = capsys.readouterr().out
    assert "| method | labels | steps | accuracy, % |" in out
    assert [row["method"] for row in read_json(tmp_path / "r")["rows"]] == [
        "path, rounds",
        "damaged",
        "fine-tuning",
    ]
    assert main([*words, "--json", str(tmp_path / "nowhere" / "r")]) == 2
    assert capsys.readouterr().err.startswith("devnet: --json: ")
    words = [
        "fip",
        "sparsify",
        str(weights),
        "--factory",
        MLP,
        "-o",
        str(tmp_path / "p"),
        "--shard",
        "--beside",
    ]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("devnet: --beside: 'with --shard'")


@pytest.mark.parametrize("start", ["fresh", "file"])
def test_tasks_are_learned_one_after_the_other(weights, tmp_path, capsys, start):
    words = ["fip", "continual", *([str(weights)] if start == "file" else []), "--factory", MLP]
    words += ["-o", str(tmp_path / "e"), "--steps", "2", "--network", str(tmp_path / "n")]
    assert main([*words, "--method", "der++"]) == 0
    assert "5 split tasks of digits, 20 images stored a task, der++: test accuracy" in capsys.readouterr().out
    assert read_tensors(tmp_path / "e", "ensemble")[1]["members"] == 5
    assert read_weights(tmp_path / "n").keys() == read_weights(weights).keys()
    assert main([*words, "--method", "magic"]) == 2
    assert "--method: 'magic' is not allowed; give one of ours, " in capsys.readouterr().err


def test_images_of_the_user_s_own_are_taken_from_an_npz_file(weights, tmp_path, capsys):
    digits = load_images("digits")
    arrays = {n: getattr(digits, n)[:50] for n in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "own.npz", **arrays)
    words = ["fip", "sparsify", str(weights), "--factory", MLP, "-o", str(tmp_path / "p"), "--steps", "2"]
    assert main([*words, "--data", str(tmp_path / "own.npz")]) == 0
    assert main([*words, "--data", str(tmp_path / "other.npz")]) == 2
    assert "--data: " in capsys.readouterr().err


def test_a_folder_of_checkpoints_has_one_writer_and_holds_nothing_else(weights, tmp_path, capsys):
    kept, mine = tmp_path / "kept", tmp_path / "mine"
    words = ["fip", "sparsify", str(weights), "--factory", MLP, "-o", str(tmp_path / "p"), "--steps", "3"]
    words += ["--every", "0", "--checkpoint"]
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    assert main([*words, str(mine)]) == 3
    assert "not empty and holds no checkpoints; give an empty or new folder" in capsys.readouterr().err
    assert [file.name for file in mine.iterdir()] == ["thesis.tex"]
    kept.mkdir()
    with locked(kept):
        assert main([*words, str(kept)]) == 3
        assert f"{kept}: in use by process {os.getpid()} on" in capsys.readouterr().err
    assert not list(kept.iterdir())
    assert not (tmp_path / "p").exists()
    left = kept / ".000003.safetensors.0123456789ab.tmp"
    for file in (left, kept / ".notes.tmp", kept / "000001.safetensors"):
        file.write_bytes(b"half")
    assert main([*words, str(kept)]) == 0
    names = {file.name for file in kept.iterdir()}
    assert left.name not in names
    assert {".notes.tmp", "000003.safetensors"} <= names
