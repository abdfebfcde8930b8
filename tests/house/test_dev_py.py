"""dev.py in a throw-away checkout, with a real .venv whose pip and pytest are stand-ins: no network is used."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PIP = """
import os, pathlib, sys
root = pathlib.Path.cwd()
with (root / "pip.log").open("a") as log:
    print(*sys.argv[1:], file=log)
sys.exit(int(os.environ.get("PIP_EXIT", "0")))
"""
PYTEST = """
import sys
print("pytest got", sys.argv[1:])
sys.exit(7)
"""


class Checkout:
    """A copy of dev.py, the metadata and the pins, and the packages of its .venv."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        (folder / "requirements").mkdir(parents=True)
        for name in ("dev.py", "pyproject.toml", "requirements/constraints.txt"):
            shutil.copy(root / name, folder / name)

    @property
    def packages(self) -> Path:
        return next((self.folder / ".venv").glob("lib/python3*/site-packages"))

    def make_venv(self) -> None:
        venv.create(self.folder / ".venv", with_pip=False, symlinks=True)
        for name, text in (("pip", PIP), ("pytest", PYTEST)):
            (self.packages / name).mkdir()
            (self.packages / name / "__init__.py").touch()
            (self.packages / name / "__main__.py").write_text(text)

    def add_package(self, name: str, version: str) -> Path:
        info = self.packages / f"{name}-{version}.dist-info"
        info.mkdir()
        (self.packages / f"{name}.py").touch()
        (info / "RECORD").write_text(f"{name}.py,,\n{info.name}/RECORD,,\n")
        return info

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "dev.py", *arguments],
            cwd=self.folder,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    @property
    def pip_calls(self) -> list[str]:
        log = self.folder / "pip.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Checkout:
    made = Checkout(tmp_path / "clone", root)
    made.make_venv()
    return made


def test_it_is_short_and_needs_only_the_standard_library(root: Path) -> None:
    text = (root / "dev.py").read_text()
    assert len(text.splitlines()) < 150
    names = set()
    for node in ast.walk(ast.parse(text, feature_version=(3, 7))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    assert names
    assert names <= sys.stdlib_module_names


def test_old_python_gets_one_clear_line(root: Path) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['dev.py', 'demo'];"
        "runpy.run_path('dev.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["dev.py: devnet needs Python 3.11 or newer; this is Python 3.9.2"]


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("install",), 2), (("--help",), 0)])
def test_usage(checkout: Checkout, arguments: tuple[str, ...], code: int) -> None:
    done = checkout.run(*arguments)
    assert done.returncode == code
    assert done.stderr.startswith("usage: python3 dev.py demo")
    assert checkout.pip_calls == []


def test_first_run_installs_and_the_exit_code_is_the_childs(checkout: Checkout) -> None:
    done = checkout.run("test", "-k", "some thing")
    assert done.returncode == 7
    assert "pytest got ['-k', 'some thing']" in done.stdout
    assert checkout.pip_calls == [
        "install --disable-pip-version-check -e .[test] -c "
        + str(checkout.folder / "requirements/constraints.txt")
    ]
    # What it prints can be typed as it stands.
    assert "+ .venv/bin/python -m pip install" in done.stdout
    assert "-e '.[test]' -c requirements/constraints.txt" in done.stdout
    assert "+ .venv/bin/python -m pytest -k 'some thing'" in done.stdout


def test_the_download_size_is_said_before_it_starts(checkout: Checkout) -> None:
    said = checkout.run("test").stdout
    assert said.index(" GB") < said.index("pip install")


def test_a_finished_install_is_not_repeated(checkout: Checkout) -> None:
    checkout.run("test")
    checkout.run("test")
    assert len(checkout.pip_calls) == 1


def test_the_test_install_serves_the_demo_but_not_the_other_way_round(checkout: Checkout) -> None:
    devnet = checkout.folder / ".venv/bin/devnet"
    devnet.write_text("#!/bin/sh\necho devnet got $*\nexit 75\n")
    devnet.chmod(0o755)
    done = checkout.run("demo", "--data", "mnist")
    assert done.returncode == 75
    assert "devnet got run raghavan2019_grown_pooling/small --out runs/demo --data mnist" in done.stdout
    assert len(checkout.pip_calls) == 1
    checkout.run("test")
    assert len(checkout.pip_calls) == 2
    checkout.run("demo")
    checkout.run("test")
    assert len(checkout.pip_calls) == 2


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/constraints.txt"])
def test_changed_requirements_are_installed(checkout: Checkout, name: str) -> None:
    checkout.run("test")
    with (checkout.folder / name).open("a") as file:
        file.write("\n# changed\n")
    checkout.run("test")
    assert len(checkout.pip_calls) == 2


def test_a_failed_install_is_redone(checkout: Checkout) -> None:
    failed = checkout.run("test", PIP_EXIT="3")
    assert failed.returncode == 1
    assert "exit 3" in failed.stderr
    assert "pytest got" not in failed.stdout
    assert checkout.run("test").returncode == 7
    assert len(checkout.pip_calls) == 2


@pytest.mark.parametrize("missing", ["rich.py", "rich-15.0.0.dist-info/RECORD"])
def test_a_package_that_lost_a_file_is_installed_again(checkout: Checkout, missing: str) -> None:
    info = checkout.add_package("rich", "15.0.0")
    checkout.run("test")
    (checkout.packages / missing).unlink()
    done = checkout.run("test")
    assert "rich-15.0.0 is installed in part only" in done.stdout
    assert not info.exists()  # so that pip does not take it for installed
    assert len(checkout.pip_calls) == 2


def test_a_venv_without_a_working_python_is_made_anew(checkout: Checkout) -> None:
    checkout.run("test")
    (checkout.folder / ".venv/bin/python").unlink()
    # The stand-in pip is gone with the old .venv; the real one is told to touch no network.
    done = checkout.run("test", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    assert "+ python3 -m venv --clear .venv" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("installed", "pin"),
    [("2.7.1+cpu", "torch==2.7.1+cpu"), ("2.13.0+cpu", "torch==2.13.0"), ("2.1.0", "torch==2.13.0")],
)
def test_an_installed_torch_in_range_is_kept(checkout: Checkout, installed: str, pin: str) -> None:
    checkout.add_package("torch", installed)
    checkout.run("test")
    used = Path(checkout.pip_calls[0].split(" -c ")[1])
    assert [line for line in used.read_text().splitlines() if line.startswith("torch==")] == [pin]
    assert "numba==0.68.1" in used.read_text()
