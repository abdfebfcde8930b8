"""What an import loads. Modules are counted, not seconds: these hold on a busy machine too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "brian2",
    "jinja2",
    "llvmlite",
    "matplotlib",
    "numba",
    "pandas",
    "safetensors",
    "scipy",
    "shapely",
    "sklearn",
    "sympy",
    "torch",
}


def loaded_by(statement: str, root: Path) -> set[str]:
    code = f"import sys\n{statement}\nprint('LOADED', *sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("LOADED ").split())


def test_import_devnet_loads_nothing_heavy(root: Path) -> None:
    loaded = loaded_by("import devnet", root)
    assert "devnet" in loaded
    assert loaded & (HEAVY | {"numpy", "pydantic", "rich", "typer"}) == set()


def test_help_loads_nothing_heavy(root: Path) -> None:
    statement = (
        "import devnet.cli\nsys.argv = ['devnet', '--help']\n"
        "try:\n    devnet.cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    loaded = loaded_by(statement, root)
    assert "devnet" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    "room",
    ["spec", "sheet", "dynamics", "backends", "growth", "waves", "measure", "io", "data", "organization"],
)
def test_growth_waves_and_plasticity_need_no_torch_brian2_or_page(room: str, root: Path) -> None:
    """Import each room where these libraries cannot be imported at all."""
    block = "sys.modules.update(dict.fromkeys(['torch', 'brian2', 'matplotlib', 'jinja2']))"
    assert "devnet" in loaded_by(f"{block}\nimport devnet.{room}\nassert devnet.{room}.__file__", root)


def test_every_public_name_resolves(root: Path) -> None:
    statement = (
        "import devnet\nassert len(devnet.__all__) > 10\nfor name in devnet.__all__: getattr(devnet, name)"
    )
    assert "devnet" in loaded_by(statement, root)
