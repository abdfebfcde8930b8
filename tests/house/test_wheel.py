"""What is built: the wheel holds the library and its models, and finds them when nothing else is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

MODEL = "raghavan2019_grown_pooling/small"
LOOK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import devnet, devnet.spec
model = devnet.load_model(sys.argv[2])
print(json.dumps({"package": devnet.__file__, "models": sorted(devnet.spec.catalog()), "type": type(model).__name__}))
"""


def build(kind: str, root: Path, folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "build",
        f"--{kind}",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(root),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.iterdir()
    return built


def look(target: Path, cwd: Path) -> dict[str, object]:
    """Ask the library in ``target`` for the model, from a folder that is no checkout."""
    # The copy's files are not those of the checkout: measured, they would count as never run.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "COV_"))}
    command = [sys.executable, "-I", "-c", LOOK, str(target), MODEL]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", root, tmp_path_factory.mktemp("wheel"))


def test_wheel_holds_the_library_its_models_and_its_license_only(wheel: Path, root: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"devnet", "devnet-0.1.0.dist-info"}
    assert "devnet-0.1.0.dist-info/licenses/LICENSE" in names
    assert "devnet/py.typed" in names  # or type checkers of users read none of the annotations
    modules = {path.relative_to(root).as_posix() for path in (root / "devnet").rglob("*.py")}
    assert modules <= set(names)
    models = {name for name in names if name.startswith("devnet/models/")}
    assert models == {
        f"devnet/{p.relative_to(root).as_posix()}" for p in (root / "models").rglob("*") if p.is_file()
    }
    assert {Path(name).suffix for name in models} <= {".toml", ".md", ".bib"}


def test_wheel_declares_the_command_and_the_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry = archive.read("devnet-0.1.0.dist-info/entry_points.txt").decode()
        metadata = archive.read("devnet-0.1.0.dist-info/METADATA").decode().splitlines()
    assert "devnet = devnet.cli:main" in entry
    extras = {
        line.removeprefix("Provides-Extra: ") for line in metadata if line.startswith("Provides-Extra: ")
    }
    assert extras == {
        "torch",
        "brian2",
        "page",
        "live",
        "sweep",
        "slurm",
        "tensorboard",
        "onnx",
        "nir",
        "snn",
        "demo",
        "test",
        "dev",
    }
    plain = [line for line in metadata if line.startswith("Requires-Dist: ") and "extra ==" not in line]
    assert plain
    assert not any(name in line for line in plain for name in ("torch", "brian2", "matplotlib", "jinja2"))


def test_the_models_are_found_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    zipfile.ZipFile(wheel).extractall(target)
    seen = look(target, tmp_path)
    assert Path(str(seen["package"])).is_relative_to(target)
    assert MODEL in seen["models"]  # type: ignore[operator]
    assert seen["type"] == "ModelSpec"


def test_the_models_are_found_in_the_checkout(root: Path, tmp_path: Path) -> None:
    seen = look(root, tmp_path)
    assert Path(str(seen["package"])).parent == root / "devnet"
    assert MODEL in seen["models"]  # type: ignore[operator]


def test_sdist_builds_the_same_wheel(wheel: Path, root: Path, tmp_path: Path) -> None:
    sdist = build("sdist", root, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert not {".venv", "runs", ".git"} & {path.name for path in source.iterdir()}
    again = build("wheel", source, tmp_path / "wheel")
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())
