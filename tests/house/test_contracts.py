"""Each import contract of pyproject.toml breaks when its rule is broken: on a small made-up devnet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = (
    "cli",
    "study",
    "viz",
    "tasks",
    "export",
    "organization",
    "fip",
    "growth",
    "waves",
    "measure",
    "io",
    "data",
    "backends",
    "dynamics",
    "sheet",
    "spec",
    "_core",
)


def lint(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo", "--contract", contract]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def made_up(tmp_path: Path, root: Path) -> Path:
    shutil.copy(root / "pyproject.toml", tmp_path)
    for room in (".", *ROOMS, "backends/torch_", "backends/brian2_"):
        folder = tmp_path / "devnet" / room
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
    return tmp_path


BROKEN = [
    ("layers", "spec", "import devnet.sheet"),
    ("layers", "_core", "from devnet.spec import x"),
    ("layers", "backends", "import devnet.growth"),
    ("layers", "growth", "import devnet.waves"),
    ("layers", "io", "import devnet.data"),
    ("layers", "tasks", "import devnet.export"),
    ("layers", "fip", "import devnet.organization"),
    ("layers", "viz", "import devnet.study"),
    ("torch", "organization", "import torch"),
    ("torch", "backends", "from torch import nn"),
    ("torch", "viz", "def f():\n    import torch.nn"),
    ("matplotlib", "study", "import matplotlib.pyplot as plt"),
    ("matplotlib", "cli", "def f():\n    import matplotlib"),
    ("brian2", "dynamics", "import brian2"),
    ("brian2", "backends", "import brian2"),
    ("facade", "waves", "import devnet"),
    ("facade", "cli", "import devnet as dn"),
    ("facade", "study", "from devnet import grow"),
    ("fip", "fip", "from devnet.sheet import Sheet"),
    ("fip", "fip", "import devnet.backends"),
    ("fip", "fip", "def f():\n    import devnet.dynamics"),
]


@pytest.mark.parametrize(("contract", "room", "line"), BROKEN)
def test_a_forbidden_import_breaks_its_contract(made_up: Path, contract: str, room: str, line: str) -> None:
    assert lint(made_up, contract).returncode == 0
    (made_up / "devnet" / room / "__init__.py").write_text(line + "\n")
    done = lint(made_up, contract)
    assert done.returncode == 1
    assert "1 broken" in done.stdout


def test_a_room_without_a_place_breaks_the_layers(made_up: Path) -> None:
    (made_up / "devnet" / "helpers.py").touch()
    assert lint(made_up, "layers").returncode == 1


ALLOWED = [
    ("torch", "fip", "import torch"),
    ("torch", "export", "import torch.nn"),
    ("torch", "backends/torch_", "import torch"),
    ("matplotlib", "viz", "import matplotlib"),
    ("brian2", "backends/brian2_", "import brian2"),
    ("layers", "cli", "import devnet.growth"),
    ("fip", "fip", "import devnet._core"),
]


@pytest.mark.parametrize(("contract", "room", "line"), ALLOWED)
def test_an_allowed_import_keeps_its_contract(made_up: Path, contract: str, room: str, line: str) -> None:
    (made_up / "devnet" / room / "__init__.py").write_text(line + "\n")
    assert lint(made_up, contract).returncode == 0
