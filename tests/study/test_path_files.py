"""Paths of networks in files: grown ones, and the weights of any network; what is hostile runs nothing."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251  (an attack)
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from devnet._core.errors import ConfigError, CorruptFileError  # noqa: E402
from devnet.data import load_images  # noqa: E402
from devnet.export import load_network, save_network, to_torch  # noqa: E402
from devnet.fip import Path  # noqa: E402
from devnet.io import read_tensors  # noqa: E402
from devnet.io.nouns import load_wiring  # noqa: E402
from devnet.io.weights import read_weights, write_weights  # noqa: E402
from devnet.study import networks  # noqa: E402
from devnet.study.continual_files import RULES, continual_file  # noqa: E402
from devnet.study.factories import network_of  # noqa: E402
from devnet.study.path_files import (  # noqa: E402
    Job,
    connect_files,
    damage_of,
    ensemble_file,
    learn_file,
    recover_file,
    sparsify_file,
)
from devnet.tasks import accuracy, train_classifier  # noqa: E402
from devnet.tasks.files import load_curve, load_ensemble  # noqa: E402

MLP = "mlp:64-20-10"


@pytest.fixture(scope="module")
def wiring_file(finished):
    return finished[0] / "organize" / "pools16-0.safetensors"


@pytest.fixture(scope="module")
def grown_file(wiring_file, tmp_path_factory):
    network, right = networks.export(wiring_file, "digits", hidden=12, train=200, rng=3)
    path = tmp_path_factory.mktemp("networks") / "a.safetensors"
    save_network(network, path)
    assert right > 0.5
    return path


def trained(seed: int) -> torch.nn.Module:
    digits = load_images("digits")
    return train_classifier(
        network_of(MLP, (8, 8), 10, rng=seed), digits.x_train, digits.y_train, steps=300, rate=6e-3, rng=seed
    )


def saved(module, path):
    write_weights(path, {n: t.numpy() for n, t in module.state_dict().items()})
    return path


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    return saved(trained(0), tmp_path_factory.mktemp("weights") / "w.safetensors")


def test_a_grown_network_is_sparsified_into_files(grown_file, tmp_path):
    told = sparsify_file(
        Job(grown_file, tmp_path / "p", "digits", network=tmp_path / "n", rng=1), sparsity=0.5, steps=40
    )
    assert "50 % sparse: test accuracy" in told
    sparse = load_network(tmp_path / "n")
    weights = torch.cat([p.reshape(-1) for p in sparse.readout.parameters() if p.ndim == 2])
    assert float((weights == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    arrays, metadata = read_tensors(tmp_path / "p", "path")
    path = Path.from_tensors(arrays, metadata, load_network(grown_file).readout)
    assert torch.equal(path.module().state_dict()["0.weight"], sparse.readout.state_dict()["0.weight"])
    assert len(arrays["accuracy"]) == len(path)


def test_a_grown_network_recovers_into_a_file(grown_file, tmp_path):
    told = recover_file(Job(grown_file, tmp_path / "p", "digits", rng=1), cut=0.5, rounds=3)
    assert "50 % of the units lost" in told
    assert "% damaged)" in told
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]


def test_a_network_without_classes_is_refused(wiring_file, tmp_path):
    save_network(to_torch(load_wiring(wiring_file), image_shape=(8, 8)), tmp_path / "n")
    with pytest.raises(ConfigError, match="10 classes or more"):
        sparsify_file(Job(tmp_path / "n", tmp_path / "p", "digits"), sparsity=0.5, steps=2)
    assert not (tmp_path / "p").exists()


def test_any_network_is_sparsified_and_its_file_fits_the_same_factory(weights_file, tmp_path):
    job = Job(weights_file, tmp_path / "p", "digits", MLP, tmp_path / "n", rng=1)
    assert "80 % sparse" in sparsify_file(job, sparsity=0.8, steps=100)
    before, after = read_weights(weights_file), read_weights(tmp_path / "n")
    assert after.keys() == before.keys()
    cut = np.concatenate([a.reshape(-1) for a in after.values() if a.ndim == 2])
    assert np.mean(cut == 0) == pytest.approx(0.8, abs=0.01)
    again = Job(tmp_path / "n", tmp_path / "q", "digits", MLP)
    assert "units lost" in recover_file(again, cut=0.5, rounds=2)


def test_a_second_task_is_learned_while_the_first_is_kept():
    digits = load_images("digits")
    module, turned = trained(0), np.rot90(digits.x_train, axes=(1, 2)).copy()
    path = networks.second_task(module, digits.x_train[:200], turned, digits.y_train, steps=300, rng=0)
    naive = train_classifier(module, turned, digits.y_train, steps=300, batch=64, rate=6e-3, rng=0)
    after = path.module()
    assert accuracy(after, turned, digits.y_train) > 0.7
    kept = [accuracy(m, digits.x_test, digits.y_test) for m in (after, naive)]
    assert kept[0] > kept[1] + 0.1


def test_learning_writes_a_path_and_tells_both_accuracies(weights_file, tmp_path):
    job = Job(weights_file, tmp_path / "p", "digits", MLP, tmp_path / "n")
    told = learn_file(job, past="digits", stored=100, offset=0, steps=20)
    assert told.count("(was ") == 2
    assert {p.name for p in tmp_path.iterdir()} == {"p", "n"}
    with pytest.raises(ConfigError, match=r"^--stored: "):
        learn_file(job, past="digits", stored=10**6, offset=0, steps=2)
    with pytest.raises(ConfigError, match=r"^factory: "):
        learn_file(job, past="digits", stored=10, offset=10, steps=2)


def test_two_networks_are_connected_into_a_curve(weights_file, tmp_path):
    other = saved(trained(1), tmp_path / "other")
    told = connect_files(Job(weights_file, tmp_path / "c", "digits", MLP), other, steps=150)
    assert "units reordered" in told
    arrays, metadata = read_tensors(tmp_path / "c", "curve")
    assert {name.partition(".")[0] for name in arrays} == {"first", "control", "last"}
    assert np.array_equal(arrays["first.1.weight"], read_weights(weights_file)["1.weight"])
    assert len(metadata["error"]) == 25


def test_networks_behind_different_pools_are_not_connected(grown_file, weights_file, tmp_path):
    other = load_network(grown_file)
    other.feature_mean += 1.0
    save_network(other, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"^other: .*through the same pools"):
        connect_files(Job(grown_file, tmp_path / "c", "digits"), tmp_path / "other", steps=2)


@pytest.mark.parametrize("factory", ["mlp:64-21-10", "small-cnn"])
def test_weights_of_another_network_are_refused(weights_file, tmp_path, factory):
    with pytest.raises(ConfigError, match=r"^network: .* weights of a "):
        sparsify_file(Job(weights_file, tmp_path / "p", "digits", factory), sparsity=0.5, steps=2)


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_poses_as_weights_runs_nothing(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    torch.save(Canary(tmp_path / "canary"), tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        for factory in (MLP, None):
            with pytest.raises(CorruptFileError):
                sparsify_file(Job(tmp_path / name, tmp_path / "p", "digits", factory), sparsity=0.5, steps=2)
    assert not (tmp_path / "canary").exists()


def test_a_file_in_the_working_folder_is_no_installed_package(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("import os\nos.mkdir('canary')\ndef net(): return None\n")
    (tmp_path / "safetensors.py").write_text("import os\nos.mkdir('canary')\ndef net(): return None\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "safetensors", raising=False)
    for name in (
        "evil:net",
        "evil.sub:net",
        "safetensors:net",
        "os:getcwd",
        "builtins:exit",
        "./evil:net",
        "a..b:c",
        ":f",
        "m:",
    ):
        with pytest.raises(ConfigError, match=r"^factory: .* of an installed package"):
            network_of(name, (8, 8), 10)
    assert not (tmp_path / "canary").exists()


def test_a_function_of_an_installed_package_is_called_without_arguments():
    made = network_of("torch.nn:Identity", (8, 8), 10)
    assert isinstance(made, torch.nn.Identity)
    for name in ("torch.nn:Linear", "torch.nn:nothing", "torch:get_default_dtype", "torch.nowhere:f"):
        with pytest.raises(ConfigError, match=r"^factory: "):
            network_of(name, (8, 8), 10)


def test_a_file_that_names_a_factory_is_not_believed(weights_file, tmp_path):
    """Whatever the metadata of a file say, the network is the one the user named."""
    import safetensors.numpy

    arrays = {n: np.array(a) for n, a in read_weights(weights_file).items()}
    (tmp_path / "w").write_bytes(safetensors.numpy.save(arrays, {"factory": "os:getcwd", "format": "pt"}))
    assert "50 % sparse" in sparsify_file(
        Job(tmp_path / "w", tmp_path / "p", "digits", MLP), sparsity=0.5, steps=5
    )


def rows(job):
    return {row["method"]: row for row in json.loads(job.rows.read_text())["rows"]}


def test_every_job_stands_beside_its_baselines_at_the_same_budget(weights_file, tmp_path):
    job = Job(weights_file, tmp_path / "p", "digits", MLP, beside=True, rows=tmp_path / "r", rng=1)
    told = sparsify_file(job, sparsity=0.8, steps=30)
    assert "| method | labels | steps | accuracy, % |" in told
    found = rows(job)
    assert list(found) == ["path", "magnitude, fine-tuned", "gradual magnitude", "gradual Fisher"]
    assert {row["steps"] for row in found.values()} == {30}
    assert [row["labels"] for row in found.values()] == ["none", "all", "all", "all"]
    recover_file(job, cut=0.5, rounds=1)
    found = rows(job)
    assert found["fine-tuning"]["steps"] == 60
    assert found["damaged"]["accuracy_percent"] < found["fine-tuning"]["accuracy_percent"]
    learn_file(job, past="digits", stored=50, offset=0, steps=10)
    assert list(rows(job)) == ["path", "replay", "plain training"]
    ensemble_file(job, count=2, steps=10)
    assert {n: row["steps"] for n, row in rows(job).items()} == {
        "path": 20,
        "network alone": 0,
        "one network trained on": 30,
        "snapshots": 30,
    }


def test_a_curve_stands_beside_straight_lines_and_one_with_labels(weights_file, tmp_path):
    job = Job(weights_file, tmp_path / "c", "digits", MLP, beside=True, rows=tmp_path / "r")
    connect_files(job, saved(trained(1), tmp_path / "other"), steps=60)
    found = rows(job)
    assert list(found) == ["path", "straight line, units as they are", "straight line", "curve with labels"]
    assert found["path"]["barrier_points"] < found["straight line, units as they are"]["barrier_points"]


def test_without_being_asked_baselines_do_not_run(weights_file, tmp_path):
    job = Job(weights_file, tmp_path / "p", "digits", MLP, rows=tmp_path / "r")
    assert len(sparsify_file(job, sparsity=0.5, steps=2).splitlines()) == 1
    assert list(rows(job)) == ["path"]


CONTINUAL = {"per_task": 5, "count": 2, "stored": 5, "steps": 4, "batch": 8, "method": "ours", "rate": None}


@pytest.mark.parametrize("kind", list(RULES))
def test_tasks_are_learned_in_turn_by_all_methods(tmp_path, kind):
    job = Job(None, tmp_path / "e", "digits", MLP, tmp_path / "n", beside=True, rows=tmp_path / "r")
    told = continual_file(job, kind=kind, **CONTINUAL)
    assert f"2 {kind} tasks of digits" in told
    found = rows(job)
    assert list(found) == list(RULES[kind])
    assert {row["steps"] for row in found.values()} == {8}
    after = load_ensemble(tmp_path / "e", network_of(MLP, (8, 8), 10))
    assert len(after) == 2
    assert np.array_equal(read_weights(tmp_path / "n")["1.bias"], after[-1][1].bias.detach().numpy())
    table = read_tensors(tmp_path / "e", "ensemble")[1]["accuracy"]
    assert np.mean(table[-1]) == pytest.approx(found["ours"]["accuracy_percent"])


def test_methods_by_layers_are_left_out_where_not_all_is_linear(tmp_path):
    job = Job(None, tmp_path / "e", "digits", "small-cnn", rows=tmp_path / "r")
    continual_file(job, kind="permuted", **CONTINUAL)
    assert list(rows(job)) == ["ours"]
    with pytest.raises(ConfigError, match=r"^--method: 'gpm' .*one of ours, .*"):
        continual_file(job, kind="permuted", **(CONTINUAL | {"method": "gpm"}))
    with pytest.raises(ConfigError, match=r"^--tasks: "):
        continual_file(job, kind="turned", **CONTINUAL)
    with pytest.raises(ConfigError, match=r"^network: .* or --factory"):
        continual_file(Job(None, tmp_path / "e", "digits"), kind="split", **CONTINUAL)


@pytest.mark.parametrize(
    ("factory", "words"), [("small-cnn", "channels of its convolutions"), (MLP, "units")]
)
def test_what_is_lost_is_named_and_silent(factory, words):
    module = network_of(factory, (8, 8), 10, rng=0)
    for number, parameter in enumerate(module.parameters()):  # shifts of batch norm too
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    damage, told = damage_of(module, 0.5, 1)
    assert told == words
    damaged, silent = damage.apply(module).eval(), []
    for part in damaged:
        if isinstance(part, torch.nn.ReLU):
            part.register_forward_hook(
                lambda _, __, out: silent.append(out.flatten(2) if out.ndim > 2 else out)
            )
    damaged(torch.rand(20, 8, 8))
    dead = [float((out.abs().sum(0).reshape(out.shape[1], -1).sum(1) == 0).float().mean()) for out in silent]
    assert dead[0] >= 0.5
    assert len(dead) == 1 or dead[1] >= 0.5


def test_images_in_color_of_a_file_are_taken(tmp_path):
    digits = load_images("digits")
    color = {
        f"x_{part}": np.repeat(getattr(digits, f"x_{part}")[:60, :, :, None], 3, axis=3)
        for part in ("train", "test")
    }
    labels = {f"y_{part}": getattr(digits, f"y_{part}")[:60] for part in ("train", "test")}
    np.savez(tmp_path / "own.npz", **color, **labels)
    module = network_of("small-cnn", (3, 8, 8), 10, rng=0)
    job = Job(saved(module, tmp_path / "w"), tmp_path / "p", str(tmp_path / "own.npz"), "small-cnn")
    assert "50 % sparse" in sparsify_file(job, sparsity=0.5, steps=2)


def test_batch_norm_networks_are_connected_end_to_end(tmp_path):
    digits = load_images("digits")
    files = []
    for seed in (0, 1):
        module = network_of("small-cnn", (8, 8), 10, rng=seed)
        module = train_classifier(
            module, digits.x_train, digits.y_train, steps=60, rate=1e-2, statistics="batch", rng=seed
        )
        files.append((module, saved(module, tmp_path / f"w{seed}")))
    job = Job(files[0][1], tmp_path / "c", "digits", "small-cnn")
    told = connect_files(job, files[1][1], steps=2)
    ends = [f"{100 * accuracy(m, digits.x_test, digits.y_test):.1f} %" for m, _ in files]
    assert f"test accuracy {ends[0]} and {ends[1]} at the ends" in told
    curve = load_curve(tmp_path / "c", files[0][0])
    assert accuracy(curve.module(1), digits.x_test, digits.y_test) == accuracy(
        files[1][0], digits.x_test, digits.y_test
    )


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_of_weights_are_read(weights_file, tmp_path, kind):
    import safetensors.torch

    arrays = {n: torch.from_numpy(np.array(a)).to(kind) for n, a in read_weights(weights_file).items()}
    safetensors.torch.save_file(arrays, tmp_path / "w")
    told = sparsify_file(
        Job(tmp_path / "w", tmp_path / "p", "digits", MLP, tmp_path / "n"), sparsity=0.5, steps=2
    )
    assert ("widened to float32" in told) == (kind != torch.float64)
    wanted = np.float64 if kind == torch.float64 else np.float32
    assert {a.dtype for a in read_weights(tmp_path / "n").values()} == {np.dtype(wanted)}
