import io as text_io
import os
import signal
import threading

import numpy as np
import pytest

from devnet._core.errors import ConfigError, ResourceError
from devnet._core.random import Key
from devnet.data import ImageSet, load_images
from devnet.sheet.sampling import pool_features, sampling_matrix
from devnet.spec import ReadoutSpec
from devnet.study import machine, plan, readout, stages, summary, table, tables, workers
from devnet.study.claims import claims_of


def test_the_number_of_cores(monkeypatch):
    assert plan.cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert plan.cores() == 1


@pytest.fixture
def big(tiny, monkeypatch):
    """Stand for a set of large images."""
    zeros = np.zeros((500, 28, 28), np.float32)
    labels = np.arange(500) % 10
    monkeypatch.setattr(plan, "load_images", lambda _name: ImageSet("mnist", zeros, labels, zeros, labels))
    monkeypatch.setattr(plan, "where", lambda _name: "there")
    return plan.Plan.of(tiny, 0, "mnist", None)


def test_large_images_get_more_pools(tiny, big):
    small = plan.Plan.of(tiny, 0, None, 3)
    assert small.pool_units == (9, 16)
    assert small.path_units == 16
    assert small.workers == 3
    assert big.pool_units == tiny.readout.units_large
    assert big.path_units == 100
    assert big.workers == plan.cores()
    assert big.model.readout.data == "mnist"


def test_only_a_whole_number_is_kept_as_the_seed(tiny):
    assert plan.Plan.of(tiny, 7, None, 1).seed == 7
    assert plan.Plan.of(tiny, Key(7), None, 1).seed is None
    assert plan.Plan.of(tiny, Key(7), None, 1).key == Key(7)


def test_a_split_takes_each_image_once():
    x = np.linspace(0, 1, 200, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    images = ImageSet("a", x, np.arange(200), x[:5], np.arange(5))
    split = readout.Split.draw(images, ReadoutSpec(train_images=100), Key(0))
    assert len(split.y_train) == 80
    assert len(split.y_validation) == 20
    assert len(set(split.y_train) | set(split.y_validation)) == 100
    assert np.array_equal(split.x_train, x[split.y_train].reshape(-1, 4))
    other = readout.Split.draw(images, ReadoutSpec(train_images=100), Key(1))
    assert not np.array_equal(split.y_train, other.y_train)


def test_pixel_pools_are_sampling_then_pooling(sheet):
    weights = np.abs(Key(1).stream("w").normal(0, sheet.n * 3).reshape(sheet.n, 3))
    images = load_images("digits").x_test[:7].reshape(7, -1)
    wanted = pool_features(images @ sampling_matrix(sheet, (8, 8)).T, weights)
    assert np.allclose(images @ readout.pixel_pools(sheet, weights, (8, 8)), wanted)


def test_the_read_out_learns_what_is_there_and_nothing_else():
    y = np.arange(300) % 3
    x = np.eye(3)[y] + 0.01 * Key(0).stream("x").normal(0, 900).reshape(300, 3)
    split = readout.Split(x[:200], y[:200], x[200:250], y[200:250], x[250:], y[250:])
    assert readout.percent_right(split, None) == (100.0, 100.0)
    blind = readout.percent_right(split, np.zeros((3, 2)))
    assert blind[1] < 50


def test_mean_size_counts_the_receptive_field():
    weights = np.array([[1.0, 0.0], [0.5, 0.0], [0.49, 0.2]])
    assert stages.mean_size(weights) == 1.5


def test_stat_and_paired():
    assert summary.stat([1, 3]) == {"mean": 2.0, "sd": pytest.approx(2**0.5), "values": [1.0, 3.0]}
    assert summary.stat([4])["sd"] == 0
    one = summary.paired([3], [1])
    assert one == {"mean": 2.0, "low": None, "high": None, "values": [2.0]}
    many = summary.paired([1, 2, 3, 4], [0, 1, 2, 3])
    assert (many["mean"], many["low"], many["high"]) == (1.0, 1.0, 1.0)


def test_a_target_without_a_number_is_not_reached():
    found = summary.targets({"pools": {}, "fip": {"sparsify": {}}})
    assert set(found) == set(claims_of("demo"))
    assert not any(row["reached"] for row in found.values())
    assert all(row["value"] is None for row in found.values())


def test_bars_are_met_from_both_sides():
    pools = {
        "grown": {"organized": {"mean": 0.95}, "coverage": {"mean": 0.9499}},
        "step0": {"organized": {"mean": 0.05}},
        "noise": {"organized": {"mean": 0.0501}},
    }
    fip = {
        "sparsify": {"0.95": {"difference": {"mean": -0.5}}},
        "recover": {"difference": {"mean": -0.51}},
        "second": {"difference": {"mean": -0.4}},
    }
    reached = {name: row["reached"] for name, row in summary.targets({"pools": pools, "fip": fip}).items()}
    assert reached == {
        "organized": True,
        "coverage": False,
        "step0_organized": True,
        "noise_organized": False,
        "sparsify_95": True,
        "recover": False,
        "second": True,
    }


def test_the_tables_show_every_number(finished):
    from rich.console import Console

    out = text_io.StringIO()
    Console(file=out, width=120).print(tables(finished[1]))
    text = out.getvalue()
    for word in ("grown", "noise", "random scattered", "raw pixels (64)", "gradual", "finetune", "reached"):
        assert word in text
    for row in finished[1]["readout"]["rows"]:
        assert f"{row['accuracy']['mean']:.1f} ± {row['accuracy']['sd']:.1f}" in text


def test_a_single_pair_is_shown_without_an_interval():
    assert table._interval({"mean": 0.5, "low": None, "high": None}) == "+0.50"


def test_a_missing_library_is_left_out_of_the_versions(monkeypatch):
    monkeypatch.setattr(machine, "_LIBRARIES", ("numpy", "no-such-library"))
    assert set(machine.versions()) == {"python", "numpy"}


def test_the_processor_is_named(tmp_path):
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n", "utf-8")
    assert machine._processor(listing) == "Some CPU @ 2 GHz"
    assert machine._processor(tmp_path / "none")
    assert set(machine.machine()) == {"system", "architecture", "processor", "cores"}


def test_threads_keep_the_order_and_pass_errors_on():
    barrier = threading.Barrier(2, timeout=10)

    def job(i):
        barrier.wait()  # passes only if two run side by side
        return i

    assert workers.in_threads("jobs", [lambda i=i: job(i) for i in range(6)], 2) == list(range(6))

    def fail():
        raise ConfigError("a", 1, "2")

    with pytest.raises(ConfigError):
        workers.in_threads("jobs", [fail, *[lambda: 1] * 5], 2)


def test_processes_of_one_thread():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    assert workers.in_processes("jobs", _threads, [0, 0], 1) == [1, 1]
    assert torch.get_num_threads() == before
    assert workers.in_processes("jobs", abs, [-1, -2, -3], 2) == [1, 2, 3]


def test_a_worker_that_is_killed_is_a_matter_of_resources():
    pytest.importorskip("torch")
    with pytest.raises(ResourceError, match=r"^jobs: a worker was ended, .* fewer --workers; .* goes on"):
        workers.in_processes("jobs", _killed, [0, 0], 2)


def _killed(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _threads(_):
    import torch

    return torch.get_num_threads()
