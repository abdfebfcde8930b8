"""What may not stand in the library's source: ways to run code from a file that a user names, and outgrown modules."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
CALLS = {
    "eval",
    "exec",
    "builtins.eval",
    "builtins.exec",
    "torch.load",
    "torch.save",
    "torch.jit.load",
    "torch.hub.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "numpy.lib.format.read_array",
    "pandas.read_pickle",
}
NUMPY_READERS = {"numpy.load", "numpy.lib.npyio.NpzFile"}
HARD_LIMIT = 600


def aliases(tree: ast.AST) -> dict[str, str]:
    """Map each imported name of a module to what it stands for."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return known


def full_name(node: ast.expr, known: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([known.get(node.id, node.id), *reversed(parts)])


def is_false(keyword: ast.keyword) -> bool:
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is False


def faults(source: str) -> list[str]:
    """List the lines that could run code from a file, or read one in a form that can hold code."""
    tree = ast.parse(source)
    known = aliases(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found += [f"{node.lineno}: import of {name}" for name in names if name.split(".")[0] in MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = full_name(node.func, known)
        pickles = [
            keyword for keyword in node.keywords if keyword.arg == "allow_pickle" and not is_false(keyword)
        ]
        explicit = any(keyword.arg == "allow_pickle" for keyword in node.keywords)
        shells = [keyword for keyword in node.keywords if keyword.arg == "shell" and not is_false(keyword)]
        if name in CALLS or pickles or shells or (name in NUMPY_READERS and not explicit):
            found.append(f"{node.lineno}: {name or 'call'}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import cloudpickle as c",
        "import joblib",
        "eval('1')",
        "exec(text)",
        "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path, weights_only=True)",
        "from torch import load as read\nread(path)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, allow_pickle=flag)",
        "from numpy import load\nload(path)",
        "import subprocess\nsubprocess.run(text, shell=True)",
    ],
)
def test_the_rule_finds_each_way(source: str) -> None:
    assert len(faults(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "import re\nre.compile('x')",
        "model.eval()",
        "module.load_state_dict(state)",
        "import json\njson.load(file)",
    ],
)
def test_the_rule_lets_plain_code_pass(source: str) -> None:
    assert faults(source) == []


def test_nothing_in_the_library_can_run_code_from_a_file(root: Path) -> None:
    modules = sorted((root / "devnet").rglob("*.py"))
    assert len(modules) > 10
    found = [f"{path.relative_to(root)}:{fault}" for path in modules for fault in faults(path.read_text())]
    assert found == []


def test_no_module_outgrows_the_hard_limit(root: Path) -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in (root / "devnet").rglob("*.py")}
    assert sizes
    assert {str(path.relative_to(root)): size for path, size in sizes.items() if size > HARD_LIMIT} == {}


@pytest.mark.parametrize("folder", ["models", "simulations", "tests"])
def test_data_scripts_and_tests_are_no_packages(folder: str, root: Path) -> None:
    assert list((root / folder).rglob("__init__.py")) == []


def test_models_are_data(root: Path) -> None:
    kinds = {path.suffix for path in (root / "models").rglob("*") if path.is_file()}
    assert ".toml" in kinds
    assert kinds <= {".toml", ".md", ".bib"}
