"""Sweeps: one folder a point, one table, the same whoever ran the points and whatever befell the workers."""

import csv
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from devnet._core.errors import BusyError, ConfigError, ResourceError, StorageError
from devnet.spec import dump_model
from devnet.study.sweep import points_of

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

ROOT = Path(__file__).resolve().parents[2]

SWEEP = """
import sys
import tiny_run
from devnet.study import sweep_dask
from devnet.study.sweep import in_turn, run_point, sweep

def work(point, folder):
    tiny_run.shorten()
    return run_point(point, folder)

if __name__ == "__main__":
    study, out, workers, sweep_dask._LATE = sys.argv[1:]
    rows = sweep(study, out, in_turn if workers == "1" else sweep_dask.on_dask(int(workers)), work)
    print(*[row["failed"] for row in rows], file=sys.stderr)
    print("failed:", *[row["point"] for row in rows if row["failed"]])
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a study of four points on a model that takes seconds."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("tiny_run", ROOT / "tests/crash/tiny_run.py")
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    folder = tmp_path_factory.mktemp("study")
    model = tiny.model()
    model = model.replace(
        learning={name: part.replace(steps=2048) for name, part in model.learning.items()},
        path=model.path.replace(sparsity=(0.9,)),
    )
    (folder / "tiny.toml").write_text(dump_model(model))
    path = folder / "study.toml"
    path.write_text('model = "tiny.toml"\nseeds = [0, 1]\n[grid]\n"growth.emit_probability" = [0.05, 0.4]\n')
    return path


def swept(study, out, workers, late="2 minutes"):
    """Run a sweep in a process of its own and return which points failed."""
    script = out.parent / "sweep.py"
    script.write_text(SWEEP)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/crash'}"}
    done = subprocess.run(
        [sys.executable, str(script), str(study), str(out), str(workers), late],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=1800,
    )
    print(done.stderr)  # why points failed
    assert done.returncode == 0
    return re.findall(r"^failed:(.*)$", done.stdout, re.MULTILINE)[0].split()


@pytest.fixture(scope="module")
def serial(study, tmp_path_factory):
    """Return the folder of the sweep run point after point in one process."""
    out = tmp_path_factory.mktemp("serial") / "out"
    assert swept(study, out, 1) == []
    return out


@contextmanager
def killing(out, names, times):
    """Kill the process that works on one of these points, so many times, while the block runs; yield whom it killed."""
    killed, over = [], threading.Event()

    def work():
        while len(killed) < times and not over.wait(0.01):
            for name in names:
                try:
                    holder = int((out / name / ".lock").read_text().split()[1])
                except (OSError, IndexError):
                    continue
                if holder not in killed and (out / name / "grow" / "stage.json").exists():
                    os.kill(holder, signal.SIGKILL)
                    killed.append(holder)
                    break

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_a_study_is_all_combinations_with_all_seeds(study):
    points = points_of(study)
    assert [(point.values["growth.emit_probability"], point.seed) for point in points] == [
        (0.05, 0),
        (0.05, 1),
        (0.4, 0),
        (0.4, 1),
    ]
    assert len({point.name for point in points}) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seeds = [0]", "model"),
        ('model = "none.toml"', "a TOML file that exists"),
        ('model = "tiny.toml"\nseeds = [0, 0]', "seeds"),
        ('model = "tiny.toml"\nseeds = []', "seeds"),
        ('model = "tiny.toml"\nextra = 1', "extra"),
        ('model = "tiny.toml"\n[grid]\n"growth.wrong" = [1]', "'wrong' is none of"),
        ('model = "tiny.toml"\n[grid]\n"growth.timer" = 1', "grid"),
        ('model = "tiny.toml"\n[grid]\n"growth.timer" = [-1, 5]', r"^grid\.growth\.timer: -1"),
        ('model = "tiny.toml"\n[grid]\n"scaffold.holes" = [7]', r"^grid\.scaffold\.holes: "),
        ('model = "tiny.toml"\n[grid]\n"growth" = [{timer = -1}]', r"^grid\.growth\.timer: -1"),
        ('model = "tiny.toml"\n[grid]\n"growth.timer" = [25, 25]', r"^grid: .*'growth.timer': 25"),
        (
            'model = "tiny.toml"\n[grid]\n"growth.timer" = [20, 25, {value = 25, unit = "sweeps"}]',
            r"^grid: .* are the same model",
        ),
        ("model = ", "a readable TOML file"),
    ],
)
def test_what_is_no_study_is_refused_before_anything_is_written(study, tmp_path, text, told):
    from devnet.study.sweep import sweep

    (study.parent / "wrong.toml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        sweep(study.parent / "wrong.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "address",
    ["nonsense://x", "localhost:8786", "tcp://localhost", "tcp://localhost:99999", "tcp://127.0.0.1:9"],
)
def test_a_scheduler_that_is_none_is_refused_before_anything_is_written(study, tmp_path, address, capfd):
    from devnet.cli import main

    assert main(["sweep", str(study), "--out", str(tmp_path / "out"), "--scheduler", address]) == 2
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"devnet: scheduler: '{address}' is not allowed; give the address of")
    assert not (tmp_path / "out").exists()


def finish(path, model):
    """Write a run folder that holds no stage and is finished."""
    from devnet.io import RunFolder, write_json

    with RunFolder.open(path, model, {"key": "1"}) as run:
        write_json(run.path / "summary.json", {"growth": {"cells": 3}})
        run.write_manifest(())


def test_a_damaged_point_is_run_again(study, tmp_path):
    from devnet.spec import parse_model
    from devnet.study.sweep import sweep

    done = []

    def work(point, folder):
        done.append(point.name)
        finish(Path(folder) / point.name, parse_model(point.model, where=point.name))
        return ""

    names = [point.name for point in points_of(study)]
    sweep(study, tmp_path / "out", work=work)
    assert done == names
    (tmp_path / "out" / names[2] / "summary.json").write_text('{"growth": {"cells": 4}}')
    rows = sweep(study, tmp_path / "out", work=work)
    assert done == [*names, names[2]]
    assert [row["growth.cells"] for row in rows] == [3.0] * 4


def test_values_of_several_kinds_and_long_numbers_have_a_table(tmp_path, study):
    import pyarrow.parquet

    from devnet.study.sweep import sweep

    grid = '"growth.timer" = [25, {value = 26, unit = "sweeps"}]\n"growth.daughter_spread" = [1, 0.5]'
    (study.parent / "mixed.toml").write_text(f'model = "tiny.toml"\nseeds = [{2**70}]\n[grid]\n{grid}')
    rows = sweep(study.parent / "mixed.toml", tmp_path / "out", work=lambda point, folder: "not run")
    table = pyarrow.parquet.read_table(tmp_path / "out/table.parquet").to_pydict()
    assert table["seed"] == [str(2**70)] * 4
    assert table["growth.timer"] == ["25", "25", *["{'value': 26, 'unit': 'sweeps'}"] * 2]
    assert table["growth.daughter_spread"] == [1.0, 0.5, 1.0, 0.5]
    assert [row["failed"] for row in rows] == table["failed"] == ["not run"] * 4


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageError("x: 7 bytes could not be written (No space left on device)"), 4),
        (ResourceError("disk: 7 GB are needed in x, 1 GB are free"), 6),
        (ResourceError("growth.max_cells: 200 cells are more than 100"), 1),
        (ConfigError("a", 1, "2"), 1),
    ],
)
def test_a_full_disk_ends_a_sweep_and_a_point_s_own_failure_does_not(
    study, tmp_path, monkeypatch, capsys, error, code
):
    from devnet.cli import main
    from devnet.study import sweep as module

    begun = []

    def run_model(*_, **__):
        begun.append(1)
        raise error

    monkeypatch.setattr(module, "run_model", run_model)
    assert main(["sweep", str(study), "--out", str(tmp_path / "out"), "--workers", "1"]) == code
    assert len(begun) == (4 if code == 1 else 1)
    assert (tmp_path / "out/table.csv").exists() is (code == 1)
    told = capsys.readouterr()
    assert str(error) in (told.out if code == 1 else told.err)


def test_foreign_folders_are_left_alone(study, tmp_path):
    from devnet.study.sweep import sweep

    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BusyError, match="something else than a study"):
        sweep(study, tmp_path)


@pytest.mark.slow
def test_the_table_holds_every_point(serial):
    import pyarrow.parquet

    with (serial / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1", "0", "1"]
    assert all(row["failed"] == "" and float(row["growth.cells"]) > 100 for row in rows)
    assert float(rows[0]["growth.units"]) < float(rows[2]["growth.units"])
    table = pyarrow.parquet.read_table(serial / "table.parquet")
    assert table.column_names == list(rows[0])
    assert table["growth.cells"].to_pylist() == [float(row["growth.cells"]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deaths", "late"), [(2, "2 minutes"), (1, "1 ms")], ids=["back", "given up and replaced"]
)
def test_a_dying_worker_changes_nothing(study, serial, tmp_path, deaths, late):
    out = tmp_path / "out"
    with killing(out, [point.name for point in points_of(study)], deaths) as killed:
        assert swept(study, out, 2, late) == []
    assert len(killed) == deaths
    for table in ("table.csv", "table.parquet"):
        assert (out / table).read_bytes() == (serial / table).read_bytes()


@pytest.mark.slow
def test_a_point_that_kills_four_workers_is_given_up_and_a_rerun_does_only_that_one(study, serial, tmp_path):
    out = tmp_path / "out"
    poisoned = points_of(study)[1].name
    with killing(out, [poisoned], 4) as killed:
        assert swept(study, out, 2) == [poisoned]
    assert len(killed) == 4
    made = {path: path.stat().st_mtime_ns for path in out.rglob("manifest.json")}
    assert len(made) == 3
    assert swept(study, out, 1) == []
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert (out / "table.csv").read_bytes() == (serial / "table.csv").read_bytes()
