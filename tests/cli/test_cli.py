"""The command line: what it prints, what it writes, and with which code it ends."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from devnet import io
from devnet._core.errors import BusyError, HealthError, ResourceError
from devnet.cli import main
from devnet.cli.display import Bars, Lines, listener
from devnet.spec import LayerSpec, StackSpec, dump_model, load_model

MODEL = "raghavan2019_grown_pooling/small"


def devnet(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "devnet.cli", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with a small model, a sheet grown from it, a wiring and a network, made by the commands."""
    folder = tmp_path_factory.mktemp("files")
    model = load_model(MODEL)
    square = {"outline": ((0, 0), (10, 0), (10, 10), (0, 10)), "holes": (), "seed_cell": (5, 5)}
    (folder / "m.toml").write_text(
        dump_model(model.replace(scaffold=model.scaffold.replace(**square))), "utf-8"
    )
    assert main(["grow", str(folder / "m.toml"), "--out", str(folder / "sheet"), "--seed", "3"]) == 0
    assert (
        main(
            [
                "organize",
                str(folder / "sheet"),
                "-o",
                str(folder / "wiring"),
                "--steps",
                "1024",
                "--units",
                "9",
            ]
        )
        == 0
    )
    words = ["export", str(folder / "wiring"), "-o", str(folder / "net"), "--hidden", "8", "--train", "50"]
    assert main(words) == 0
    return folder


def test_help_loads_no_heavy_library():
    code = (
        "import sys; from devnet.cli import main; code = main(['--help']); "
        "heavy = {'numba', 'torch', 'matplotlib', 'scipy', 'sklearn', 'numpy', 'pydantic'} & set(sys.modules); "
        "sys.exit(f'{heavy}' if heavy else code)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
    for command in ("grow", "simulate", "organize", "export", "fip", "report", "run", "models", "data"):
        assert command in found.stdout


def test_version_models_and_image_sets(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("DEVNET_DATA", raising=False)
    from devnet.data import images

    monkeypatch.setattr(images, "cache_folder", lambda: tmp_path)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"devnet {io.library_version()}\n"
    assert main(["models"]) == 0
    assert MODEL in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "digits           comes with scikit-learn" in out
    assert "not here; run: devnet data fetch mnist" in out


def test_growing_is_repeatable_and_says_what_came_out(files, capsys, tmp_path):
    assert main(["grow", str(files / "m.toml"), "--out", str(tmp_path / "again"), "--seed", "3"]) == 0
    assert (tmp_path / "again").read_bytes() == (files / "sheet").read_bytes()
    assert f"{tmp_path / 'again'}: Sheet(" in capsys.readouterr().out


def test_simulating_writes_a_recording(files, capsys, tmp_path):
    words = ["simulate", str(files / "sheet"), "--out", str(tmp_path / "r"), "--dynamics", "izhikevich"]
    assert main([*words, "--steps", "100"]) == 0
    recording = io.load(tmp_path / "r")
    assert recording.steps == 100
    assert recording.dynamics.form == "izhikevich"
    assert "active_mean" in capsys.readouterr().out


def test_a_stack_is_wired_from_a_sheet_whose_model_has_one(files, capsys, tmp_path):
    sheet = io.load(files / "sheet")
    layers = {"two": LayerSpec(units=9), "three": LayerSpec(units=4)}
    io.save(replace(sheet, model=sheet.model.replace(stack=StackSpec(layers=layers))), tmp_path / "sheet")
    assert main(["stack", str(tmp_path / "sheet"), "-o", str(tmp_path / "stack"), "--steps", "50"]) == 0
    assert [layer.units for layer in io.load(tmp_path / "stack").layers] == [9, 4]
    told = capsys.readouterr().out
    assert told.count("order ") == 3
    assert "layer 3 seen in layer 1: " in told
    capsys.readouterr()
    assert (
        main(["export", str(tmp_path / "stack"), "-o", str(tmp_path / "weights"), "--answer", "relay"]) == 0
    )
    assert "left behind: the sheet's own cells" in capsys.readouterr().out
    assert (tmp_path / "weights").stat().st_size > 1000
    assert main(["export", str(tmp_path / "stack"), "-o", str(tmp_path / "none"), "--format", "keras"]) == 2
    assert main(["export", str(tmp_path / "stack"), "-o", str(tmp_path / "none"), "--hidden", "9"]) == 2
    nir = ["--format", "nir", "--answer", "sums"]
    assert main(["export", str(tmp_path / "stack"), "-o", str(tmp_path / "none"), *nir]) == 2
    assert "it does not apply to nir" in capsys.readouterr().err
    assert main(["export", str(files / "wiring"), "-o", str(tmp_path / "none"), "--answer", "relay"]) == 2
    assert main(["export", str(files / "wiring"), "-o", str(tmp_path / "none"), "--format", "nir"]) == 2
    assert "other formats are for stacks" in capsys.readouterr().err
    assert main(["stack", str(files / "sheet"), "-o", str(tmp_path / "none")]) == 2
    assert "a model with a [stack]" in capsys.readouterr().err


def test_the_control_without_waves(files, capsys, tmp_path):
    words = [
        "organize",
        str(files / "sheet"),
        "-o",
        str(tmp_path / "w"),
        "--steps",
        "1024",
        "--activity",
        "noise",
    ]
    assert main([*words, "--snapshots", "2"]) == 0
    wiring = io.load(tmp_path / "w")
    assert wiring.activity == "noise"
    assert wiring.units == io.load(files / "sheet").m
    assert "organized" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["export", "{}/wiring", "-o", "{}/other"], ["bench", "fip"]])
def test_without_torch_its_extra_is_named(words, files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main([word.format(files) for word in words]) == 2
    assert capsys.readouterr().err == (
        "devnet: torch: 'not installed' is not allowed; give pip install 'devnet[torch]'\n"
    )


def test_a_network_goes_along_both_paths(files, capsys, tmp_path):
    pytest.importorskip("torch")
    net = str(files / "net")
    words = [
        "fip",
        "sparsify",
        net,
        "-o",
        str(tmp_path / "s"),
        "--steps",
        "20",
        "--network",
        str(tmp_path / "n"),
    ]
    assert main(words) == 0
    assert main(["fip", "recover", net, "-o", str(tmp_path / "r"), "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    assert "95 % sparse: test accuracy" in out
    assert "50 % of the units lost: test accuracy" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n", "r", "s"]


def test_data_fetch_says_where(capsys, monkeypatch):
    import devnet.data

    monkeypatch.setattr(devnet.data, "fetch", lambda name: f"/cache/{name}")
    assert main(["data", "fetch", "mnist"]) == 0
    assert capsys.readouterr().out == "/cache/mnist\n"


def test_run_and_report_print_the_summary(files, capsys, monkeypatch, tmp_path):
    import devnet.study

    monkeypatch.setattr(
        devnet.study, "run_model", lambda *_, **__: {"seconds": {"grow": 61.2, "total": 61.2}}
    )  # kept from an earlier call
    monkeypatch.setattr(devnet.study, "tables", lambda _: "the tables")
    monkeypatch.setattr(devnet.study, "report_again", lambda run: Path(run) / "report.html")
    assert main(["run", str(files / "m.toml"), "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "the tables" in out
    assert "\n0 s\n" in out
    assert str(tmp_path / "run" / "report.html") in out
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            ["grow", "no/such/model", "--out", "{out}/a"],
            2,
            "model: 'no/such/model' is not allowed; give one of",
        ),
        (["grow", "{out}/no.toml", "--out", "{out}/a"], 2, "a TOML file that exists"),
        (["grow", MODEL, "--out", "{out}/no/a"], 2, "a file, not a folder, in a folder that exists"),
        (["grow", MODEL, "--out", "{out}"], 2, "a file, not a folder, in a folder that exists"),
        (
            ["grow", MODEL, "--out", "{out}/a", "--seed", "-1"],
            2,
            "--seed: -1 is not allowed; give at least 0",
        ),
        (
            ["grow", MODEL, "--out", "{out}/a", "--seed=x"],
            2,
            "--seed: x is not allowed; give a valid integer",
        ),
        (["grow", MODEL], 2, "--out: missing; give it: File to write"),
        (["grow", "-o", "{out}/a"], 2, "MODEL: missing; give it: Name of a model"),
        (["grow", MODEL, "-o"], 2, "-o"),
        (["grow", MODEL, "-o", "{out}/a", "--sed", "1"], 2, "--sed: no such option; give --seed"),
        (["grow", MODEL, "-o", "{out}/a", "--qqq", "1"], 2, "--qqq: no such option; see devnet grow --help"),
        (["grow", MODEL, "more", "-o", "{out}/a"], 2, "(more); see devnet grow --help"),
        (["simulate", "{out}/none", "--out", "{out}/a"], 2, "a file that exists"),
        (["simulate", "{sheet}", "--out", "{out}/a", "--dynamics", "sine"], 2, "dynamics: 'sine'"),
        (["simulate", "{sheet}", "--out", "{out}/a", "--backend", "abacus"], 2, "abacus"),
        (
            ["simulate", "{sheet}", "--out", "{out}/a", "--steps", "0"],
            2,
            "--steps: 0 is not allowed; give at least 1",
        ),
        (["simulate", "{wiring}", "--out", "{out}/a"], 7, "holds a wiring, not a sheet"),
        (["simulate", __file__, "--out", "{out}/a"], 7, "header length"),
        (["organize", "{sheet}", "--out", "{out}/a", "--units", "99999"], 2, "units"),
        (["organize", "{sheet}", "--out", "{out}/a", "--learning", "sleep"], 2, "learning: 'sleep'"),
        (["organize", "{sheet}", "--out", "{out}/a", "--activity", "party"], 2, "activity: 'party'"),
        (["export", "{wiring}", "--out", "{out}/a", "--data", "imagenet"], 2, "data: 'imagenet'"),
        (["fip", "sparsify", "{wiring}", "--out", "{out}/a"], 7, "holds a wiring, not a network"),
        (["fip", "sparsify", "{net}", "--out", "{out}/a", "--sparsity", "1.0"], 2, "sparsity"),
        (
            ["fip", "recover", "{net}", "--out", "{out}/a", "--cut", "2"],
            2,
            "--cut: 2 is not allowed; give at most 1",
        ),
        (
            ["fip", "recover", "{net}", "--out", "{out}/a", "--network", "{out}/../{out.name}/a"],
            2,
            "another file than --out",
        ),
        (["run", MODEL, "--out", "{out}/run", "--data", "imagenet"], 2, "data: 'imagenet'"),
        (["run", MODEL, "--out", "{sheet}"], 3, "is a file; choose an empty or new folder"),
        (["report", "{out}"], 2, "a folder that devnet run wrote"),
        (["data", "fetch", "digits"], 2, "digits comes with scikit-learn"),
        (["dance"], 2, "command: 'dance' is not allowed; give one of grow, simulate"),
        (["fip", "dance"], 2, "command: 'dance' is not allowed; give one of sparsify, recover"),
        (["grow", MODEL, "--out", "/proc/a"], 4, "/proc/a: "),
    ],
)
def test_what_goes_wrong_is_told_in_a_line_and_writes_nothing(files, tmp_path, capsys, words, code, told):
    if "/proc/a" in words and not Path("/proc").is_dir():
        pytest.skip("this system has no /proc")
    places = {"out": tmp_path, "sheet": files / "sheet", "wiring": files / "wiring", "net": files / "net"}
    assert main([word.format(**places) for word in words]) == code
    captured = capsys.readouterr()
    assert told in " ".join(captured.err.split())
    assert "Traceback" not in captured.err
    assert captured.err.startswith("devnet: ")
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_words_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "organize" in capsys.readouterr().out


@pytest.fixture
def idle(monkeypatch):
    """Fail as soon as a command begins its work."""
    import devnet.growth

    def work(*_, **__):
        raise AssertionError

    monkeypatch.setattr(devnet.growth, "grow", work)


def test_a_folder_without_permission_is_refused_before_any_work(idle, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert main(["grow", MODEL, "--out", str(tmp_path / "a")]) == 4
    assert "no permission to write in" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_before_any_work_and_stays(idle, capsys, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert main(["grow", MODEL, "--out", str(tmp_path / "pipe")]) == 4
    assert "is not a regular file" in capsys.readouterr().err
    assert (tmp_path / "pipe").is_fifo()


def test_all_errors_of_a_configuration_come_together(tmp_path, capsys):
    text = (
        dump_model(load_model(MODEL))
        .replace("hayflick = { value = 40", "hayflick = { value = -1")
        .replace("tau_x = { value = 5.0", "tau_y = { value = 5.0", 1)
    )
    (tmp_path / "m.toml").write_text(text, "utf-8")
    assert main(["run", str(tmp_path / "m.toml"), "--out", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("devnet: m.toml: ") for line in lines)
    assert "hayflick" in lines[0]
    assert "tau_y" in lines[1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BusyError("held"), 3),
        (HealthError("v of cell 3"), 5),
        (ResourceError("12 GiB"), 6),
        (MemoryError(), 6),
        (KeyboardInterrupt(), 75),
    ],
)
def test_every_error_has_its_exit_code(monkeypatch, capsys, tmp_path, error, code):
    import devnet.growth

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(devnet.growth, "grow", fail)
    assert main(["grow", MODEL, "--out", str(tmp_path / "a")]) == code
    assert capsys.readouterr().err.startswith("devnet: ")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_outside_of_a_command_is_a_line(monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["devnet.cli.main"], "app", interrupted)
    assert main(["doctor"]) == 75
    assert capsys.readouterr().err == "devnet: stopped; nothing was written\n"


def test_a_working_folder_that_is_gone_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["doctor"]) == 4
    assert capsys.readouterr().err.startswith("devnet: the working folder is gone or cannot be read; go to")


def test_a_bug_is_not_hidden(monkeypatch, tmp_path):
    import devnet.growth

    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(devnet.growth, "grow", fail)
    with pytest.raises(ZeroDivisionError):
        main(["grow", MODEL, "--out", str(tmp_path / "a")])


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_interrupting_a_run_ends_with_75_and_says_what_was_kept(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "devnet.cli", "run", MODEL, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not (out / "grow" / "stage.json").exists() and time.monotonic() < end:
        time.sleep(0.05)
    second = devnet("run", MODEL, "--out", str(out))
    assert second.returncode == 3
    assert f"in use by process {process.pid}" in second.stderr
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 75, told
    assert "finished and kept: grow" in told
    assert "Traceback" not in told
    assert not (out / ".lock").exists()


def test_lines_tell_the_stages_and_nothing_below(capsys):
    lines = Lines()
    with lines.open("run", 2) as tick:
        with lines.open("grow", None) as inner, lines.open("sheet", 3) as deepest:
            deepest(2)
            inner()
        tick()
    told = capsys.readouterr().err
    assert told.startswith("grow ")
    assert told.count("\n") == 1
    assert isinstance(listener(), Lines)


def test_bars_nest_also_below_worker_threads(monkeypatch, capsys):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bars = listener()
    assert isinstance(bars, Bars)

    def job(_):
        with bars.open("below", 2) as tick:
            tick()
            with bars.open("deeper", None), bars.open("deepest", 1) as last:
                last()

    with bars.open("run", 1), bars.open("organize", 2), ThreadPoolExecutor(2) as pool:
        list(pool.map(job, range(4)))
        names = [task.description for task in bars._bars.tasks]
    assert names == ["run", "  organize"]
    assert not bars._bars.tasks
    assert "organize" in capsys.readouterr().err
