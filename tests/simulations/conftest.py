"""Scripts of the studies import what lies beside them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def script(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Return a function that imports a study's script or helper; all of them are forgotten afterwards."""
    known, threads = set(sys.modules), torch.get_num_threads()

    def load(study: str, name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(root / "simulations" / study))
        return importlib.import_module(name)

    yield load
    torch.set_num_threads(threads)
    for name in set(sys.modules) - known:
        if str(root / "simulations") in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
