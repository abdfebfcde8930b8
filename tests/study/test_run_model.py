"""A whole run, end to end, on a model that takes seconds."""

import json
import shutil

import numpy as np
import pytest

from devnet._core.errors import BusyError, ConfigError, CorruptFileError, InterruptedRunError
from devnet._core.progress import listening
from devnet.cli import main
from devnet.fip import Path as FipPath
from devnet.io import Checkpoints, RunFolder, digest, load, read_tensors, verify
from devnet.io.records import read_record, write_record
from devnet.spec import dump_model, parse_model
from devnet.study import STAGES, pipeline, read_summary, report_again, resume_run, run_model, stages
from devnet.study.plan import Plan

pytest.importorskip("torch")


def untimed(tree):
    """Leave out what differs between two equal runs: times, and with how many workers."""
    if isinstance(tree, dict):
        return {k: untimed(v) for k, v in tree.items() if k not in ("seconds", "cpu_seconds", "workers")}
    return [untimed(v) for v in tree] if isinstance(tree, list) else tree


def arrays(folder):
    return {path.relative_to(folder).as_posix(): digest(path) for path in folder.rglob("*.safetensors")}


def test_the_folder_holds_what_it_promises(finished, tiny):
    folder, summary = finished
    assert parse_model((folder / "config.toml").read_text("utf-8")) == tiny
    assert (folder / "report.html").stat().st_size > 0
    assert verify(folder) > 20
    assert set(STAGES) == {"grow", "simulate", "organize", "export", "readout", "fip", "report"}
    for stage in STAGES:
        assert (folder / stage / "stage.json").is_file()
    labels = ("wiring", "noise", "pools9", "pools16")
    wanted = {f"organize/{label}-{i}.safetensors" for label in labels for i in range(2)}
    wanted |= {"organize/izhikevich-0.safetensors", "export/network-0.safetensors"}
    wanted |= {f"grow/sheet-{i}.safetensors" for i in range(2)}
    wanted |= {f"simulate/{form}-0.safetensors" for form in tiny.dynamics}
    wanted |= {f"fip/path-{name}-0.safetensors" for name in ("sparsify90", "sparsify95", "recover", "second")}
    assert set(arrays(folder)) == wanted
    assert summary == json.loads((folder / "summary.json").read_text("utf-8")) == read_summary(folder)


def test_the_numbers_are_those_of_the_files(finished, tiny):
    folder, summary = finished
    sheets = [load(folder / "grow" / f"sheet-{i}.safetensors") for i in range(2)]
    assert summary["growth"]["cells"]["values"] == [sheet.n for sheet in sheets]
    assert summary["growth"]["units"]["mean"] == np.mean([sheet.m for sheet in sheets])
    assert sheets[0].n != sheets[1].n or not np.array_equal(sheets[0].positions, sheets[1].positions)
    for form, row in summary["waves"].items():
        assert row["spikes"] == len(load(folder / "simulate" / f"{form}-0.safetensors").time)
    wiring = load(folder / "organize" / "wiring-0.safetensors")
    assert wiring.units == sheets[0].m
    assert len(wiring.snapshot_steps) > 0
    assert load(folder / "organize" / "noise-1.safetensors").activity == "noise"
    assert set(summary["pools"]) == {"grown", "step0", "noise", "izhikevich", "pools9", "pools16"}
    assert summary["learning"] == "rate_map"
    assert summary["pools"]["step0"]["organized"]["mean"] == 0
    kinds = [(row["kind"], row["units"]) for row in summary["readout"]["rows"]]
    pooled = ("grown", "hand_made", "random_discs", "random_scattered")
    assert kinds == [(kind, units) for units in (9, 16) for kind in pooled] + [("raw", 64)]
    for row in summary["readout"]["rows"]:
        assert len(row["accuracy"]["values"]) == 2
        assert 10 < row["accuracy"]["mean"] <= 100
    rows = {(row["kind"], row["units"]): row["field_size"]["mean"] for row in summary["readout"]["rows"]}
    for kind in pooled[1:]:
        assert rows[kind, 16] == pytest.approx(rows["grown", 16], abs=0.1)
    assert summary["export"]["feature_error"] < 1e-5


def test_paths_and_baselines_are_paired(finished):
    folder, summary = finished
    fip = summary["fip"]
    for entry in (*fip["sparsify"].values(), fip["recover"]):
        methods, best = entry["methods"], entry["best_baseline"]
        assert next(iter(methods)) == "fip"
        assert not methods["fip"]["labels"]
        assert all(row["labels"] for name, row in methods.items() if name != "fip")
        means = {name: row["accuracy"]["mean"] for name, row in methods.items() if name != "fip"}
        assert means[best] == max(means.values())
        gaps = np.subtract(methods["fip"]["accuracy"]["values"], methods[best]["accuracy"]["values"])
        assert entry["difference"]["values"] == gaps.tolist()
        assert entry["difference"]["low"] <= entry["difference"]["mean"] <= entry["difference"]["high"]
        assert all(row["cpu_seconds"]["mean"] > 0 for row in methods.values())
    assert set(fip["sparsify"]) == {"0.9", "0.95"}
    assert fip["recover"]["damaged"]["mean"] < fip["dense"]["mean"]
    found, metadata = read_tensors(folder / "fip" / "path-sparsify95-0.safetensors", "path")
    from devnet.export import load_network

    network = load_network(folder / "export" / "network-0.safetensors")
    path = FipPath.from_tensors(found, metadata, network.readout)
    assert path.sparsity[-1] == pytest.approx(0.95, abs=0.01)
    # The exported network is the one with which the first path starts, to the last bit.
    for name, value in network.readout.state_dict().items():
        assert np.array_equal(found[f"base.{name}"], value.numpy())
    assert found["accuracy"][0] == pytest.approx(summary["export"]["accuracy"])
    assert found["accuracy"][-1] == fip["sparsify"]["0.95"]["methods"]["fip"]["accuracy"]["values"][0]


def test_a_second_task_stands_beside_replay_and_plain_training(finished):
    folder, summary = finished
    second = summary["fip"]["second"]
    assert {name: row["labels"] for name, row in second["methods"].items()} == {
        "fip": False,
        "replay": True,
        "naive": False,
    }
    assert second["best_baseline"] in {"replay", "naive"}
    assert second["before"]["mean"] < summary["fip"]["dense"]["mean"], "turned digits are new to the network"
    assert (folder / "fip" / "path-second-0.safetensors").exists()


def test_targets_are_computed(finished):
    summary = finished[1]
    values = {
        "organized": summary["pools"]["grown"]["organized"]["mean"],
        "coverage": summary["pools"]["grown"]["coverage"]["mean"],
        "step0_organized": summary["pools"]["step0"]["organized"]["mean"],
        "noise_organized": summary["pools"]["noise"]["organized"]["mean"],
        "sparsify_95": summary["fip"]["sparsify"]["0.95"]["difference"]["mean"],
        "recover": summary["fip"]["recover"]["difference"]["mean"],
        "second": summary["fip"]["second"]["difference"]["mean"],
    }
    assert {name: row["value"] for name, row in summary["targets"].items()} == values
    for row in summary["targets"].values():
        over = row["value"] >= row["bar"] if row["sense"] == ">=" else row["value"] <= row["bar"]
        assert row["reached"] is over


def test_a_finished_run_is_left_as_it_is(finished, tiny, brief):
    folder, summary = finished
    before = {path: (path.stat().st_mtime_ns, digest(path)) for path in folder.rglob("stage.json")}
    assert run_model(tiny, folder, rng=5, workers=1) == summary
    assert {path: (path.stat().st_mtime_ns, digest(path)) for path in folder.rglob("stage.json")} == before


def test_a_half_finished_run_goes_on_and_ends_the_same(
    finished, tiny, brief, blank_page, tmp_path, monkeypatch
):
    folder, summary = finished
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    for stage in ("readout", "fip", "report"):
        shutil.rmtree(half / stage)
    shutil.rmtree(half / "figures", ignore_errors=True)
    (half / "grow" / "sheet-1.safetensors").write_bytes(b"damaged")
    grown = (half / "grow" / "stage.json").stat().st_mtime_ns

    def stop(*_):
        raise KeyboardInterrupt

    steps = tuple(
        pipeline.Step(step.name, step.after, stop, step.share) if step.name == "fip" else step
        for step in pipeline.STEPS
    )
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "STEPS", steps)
        with pytest.raises(
            InterruptedRunError, match="finished and kept: grow, simulate, organize, export, readout"
        ):
            run_model(tiny, half, rng=5, workers=2)
    assert not (half / "fip" / "stage.json").exists()
    assert (half / "grow" / "stage.json").stat().st_mtime_ns > grown  # a sheet was damaged, so it ran again
    again = run_model(tiny, half, rng=5, workers=2)
    assert arrays(half) == arrays(folder)
    assert untimed(again) == untimed(summary)
    verify(half)


def test_another_seed_is_another_run(finished, tiny):
    folder, _ = finished
    with pytest.raises(BusyError, match=r"run\.key"):
        run_model(tiny, folder, rng=6)


def test_the_report_can_be_drawn_again(finished, blank_page, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / "report.html").unlink()
    assert report_again(copy).is_file()
    verify(copy)
    with pytest.raises(ConfigError, match="a folder that devnet run wrote"):
        report_again(tmp_path)


def test_a_report_is_drawn_of_nothing_that_was_changed(finished, blank_page, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    whole = (copy / "summary.json").read_text("utf-8")
    for text in (whole.replace('"cells"', '"cell"'), "{}", '{"pools": {}, "fip": 7}'):
        (copy / "summary.json").write_text(text)
        with pytest.raises(CorruptFileError, match=r"summary\.json: does not match its SHA-256"):
            report_again(copy)
        assert (copy / "manifest.json").exists()
    (copy / "summary.json").write_text(whole)
    (copy / "figures" / "more.svg").write_text("<svg/>")
    report_again(copy)
    assert verify(copy) == verify(finished[0]) + 1
    manifest = (copy / "manifest.json").read_bytes()
    (copy / "organize" / "stage.json").write_text("{}")
    with pytest.raises(CorruptFileError, match=r"stage\.json"):
        report_again(copy)
    assert (copy / "manifest.json").read_bytes() == manifest


def test_a_finished_run_of_another_devnet_stays_and_one_that_is_not_asks_for_it(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    write_record(copy / "run.json", read_record(copy / "run.json") | {"devnet": "0.0.9"})
    with RunFolder.existing(copy) as run:
        run.write_manifest(STAGES[:-1])
    assert resume_run(copy, workers=1) == finished[1]
    (copy / "manifest.json").unlink()
    with pytest.raises(BusyError, match=r"made by devnet 0\.0\.9, and this is .*: install that to go on"):
        resume_run(copy, workers=1)


def test_a_signed_summary_without_numbers_is_one_line(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / "summary.json").write_text("{}")
    with RunFolder.existing(copy) as run:
        run.write_manifest(STAGES[:-1])
    assert main(["resume", str(copy)]) == 7
    assert "summary.json: not the numbers of a run" in capsys.readouterr().err


def test_progress_is_told(finished, tiny, brief, tmp_path):
    from contextlib import contextmanager

    told = []

    class Ear:
        @contextmanager
        def open(self, label, total):
            told.append((label, total))
            yield lambda amount=1, note="": None

    again = tmp_path / "again"
    shutil.copytree(finished[0], again)
    (again / "manifest.json").unlink()
    with listening(Ear()):
        run_model(tiny, again, rng=5)
    assert ("run", 100) in told
    assert ("grow (kept)", None) in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"data": "imagenet"}, "data: 'imagenet'"),
        ({"workers": 0}, "workers: 0"),
        ({"workers": True}, "workers: True"),
        ({"rng": -1}, "rng: -1"),
        ({"rng": "x"}, "rng: 'x'"),
    ],
)
def test_bad_arguments_write_nothing(tiny, tmp_path, arguments, words):
    with pytest.raises(ConfigError, match=words):
        run_model(tiny, tmp_path / "run", **arguments)
    assert not list(tmp_path.iterdir())


def test_more_units_than_cells_are_refused_before_anything_is_made(tiny, tmp_path):
    limited = tiny.replace(growth=tiny.growth.replace(max_cells=12))
    with pytest.raises(
        ConfigError, match=r"readout\.units_small: 16 is not allowed; give at most 12"
    ) as caught:
        run_model(limited, tmp_path / "run")
    assert "path.units: 16" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_units_are_held_against_the_smallest_sheet_and_a_corrected_model_goes_on(tiny, tmp_path, monkeypatch):
    learning = {name: part.replace(units=1000) for name, part in tiny.learning.items()}
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"learning\.rate_map\.units: 1000 .* cells of sheet 0"):
        run_model(tiny.replace(learning=learning), run, workers=1)
    assert not list(run.rglob("*.safetensors"))

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "grow", stop)
    with pytest.raises(InterruptedRunError):  # so it got past the folder and its first model
        run_model(tiny, run, workers=1)
    assert parse_model((run / "config.toml").read_text("utf-8")) == tiny


def test_a_model_that_learns_nothing_or_has_a_broken_scaffold_writes_nothing(tiny, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"at least one \[learning\.NAME\] table"):
        run_model(tiny.replace(learning={}, readout=tiny.readout.replace(learning="")), tmp_path / "run")
    crossing = tiny.scaffold.replace(outline=((0, 0), (1, 1), (1, 0), (0, 1)))
    with pytest.raises(ConfigError, match=r"scaffold\.outline"):
        run_model(tiny.replace(scaffold=crossing), tmp_path / "run")
    monkeypatch.delenv("DEVNET_DATA", raising=False)
    from devnet.data import images

    monkeypatch.setattr(images, "cache_folder", lambda: tmp_path / "none")
    with pytest.raises(ConfigError, match="devnet data fetch mnist"):
        run_model(tiny, tmp_path / "run", data="mnist")
    assert not list(tmp_path.iterdir())


def stacked(tiny):
    """Return a model of three layers above its sheet: a table each."""
    text = dump_model(tiny.replace(study=tiny.study.replace(seeds=1)))
    layers = [f"[stack.layers.{name}]\nunits = {m}\n" for name, m in (("two", 16), ("three", 9), ("four", 4))]
    return parse_model(text + '\n[stack]\ndynamics = "rate_map"\nsteps = 4500\n' + "".join(layers))


def test_a_model_of_a_stack_alone_is_told_how_it_is_wired(tiny):
    bare = stacked(tiny).replace(learning={}, readout=tiny.readout.replace(learning=""))
    with pytest.raises(ConfigError, match=r"^learning: .*NAME.* devnet stack wire a \[stack\] alone"):
        Plan.of(bare, 0, None, 1)


def test_a_stack_of_a_model_is_wired_in_the_run_and_goes_on_where_it_died(tiny, tmp_path, monkeypatch):
    plan = Plan.of(stacked(tiny), 5, None, 1)
    jobs = stages.wiring_jobs(plan)
    monkeypatch.setattr(stages, "wiring_jobs", lambda _: jobs[-1:])
    save, lives = Checkpoints.save, [2]

    def dying(place, *state):
        save(place, *state)
        lives[0] -= place.folder.parent.name == "stack-0"
        if not lives[0]:
            raise InterruptedRunError("dead")

    def organize(folder):
        with RunFolder.open(folder, plan.model, {"key": "1"}, every=0) as run:
            for name, after, work in (
                ("grow", (), stages.grow_sheets),
                ("organize", ("grow",), stages.organize_sheets),
            ):
                if not run.finished(name, after):
                    with run.stage(name, after) as stage:
                        work(plan, run, stage)
            return run.record("organize")["numbers"]["stack"]

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", dying)
        with pytest.raises(InterruptedRunError):
            organize(tmp_path / "died")
    assert list((tmp_path / "died" / "checkpoints" / "organize" / "stack-0").rglob("*.safetensors"))
    found = organize(tmp_path / "died")
    assert found == organize(tmp_path / "whole")
    deep = [row for name in ("three", "four") for row in (name, f"{name}, seen in layer 1")]
    assert list(found) == ["two", *deep]
    assert arrays(tmp_path / "died") == arrays(tmp_path / "whole")
    assert [
        layer.units for layer in load(tmp_path / "whole" / "organize" / "stack-0.safetensors").layers
    ] == [16, 9, 4]
