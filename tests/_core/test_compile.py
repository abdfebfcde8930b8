"""Compiled kernels are cached where that is possible, and work where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from devnet._core import compile as compiling

PROGRAM = """
import numpy as np
from devnet._core import compile as compiling
@compiling.jit()
def twice(x):
    return 2 * x
print(twice(21), compiling.cache_folder(), twice.stats.cache_path)
"""


@pytest.fixture(autouse=True)
def _forget():
    compiling.cache_folder.cache_clear()
    yield
    compiling.cache_folder.cache_clear()


def blocked(tmp_path: Path) -> Path:
    """Return a place under which no folder can be made, whoever asks."""
    file = tmp_path / "file"
    file.write_text("")
    return file / "cache"


def test_the_users_cache_is_taken_where_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    folder = compiling.cache_folder()
    assert folder.parent == tmp_path / "devnet" / "kernels"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_else_a_folder_of_the_users_own_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling.platformdirs, "user_cache_path", lambda name: blocked(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = compiling.cache_folder()
    assert folder.parent == tmp_path / f"devnet-{os.getuid()}" / "kernels"


def test_else_one_that_lasts_as_long_as_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.platformdirs, "user_cache_path", lambda name: blocked(tmp_path))
    (tmp_path / f"devnet-{os.getuid()}").write_text("somebody's file")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = compiling.cache_folder()
    assert folder.is_dir()
    assert folder.name.startswith("devnet-kernels-")


def test_kernels_never_go_beside_the_sources(tmp_path: Path) -> None:
    """A read-only installation compiles and caches: here the home is unusable, too."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = dict(
        os.environ, XDG_CACHE_HOME=str(blocked(tmp_path)), TMPDIR=str(tmp_path), HOME="/dev/null"
    )
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(  # our own program, no shell
        [sys.executable, str(script)], check=True, capture_output=True, text=True, env=environment
    )
    value, folder, used = done.stdout.split()
    assert value == "42"
    assert Path(folder).is_relative_to(tmp_path)
    assert Path(used).is_relative_to(folder)
    assert list(Path(used).glob("*.nbi"))
