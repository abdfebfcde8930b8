"""What all tests share: strict numbers, repeatable examples, the data folder, and which marks run by default."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ROOT = Path(__file__).resolve().parents[1]


def _data_folder() -> Path | None:
    name = os.environ.get("DEVNET_DATA")
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise pytest.UsageError(
            f"DEVNET_DATA: {name!r} is not a folder; unset it or name the folder of image sets"
        )
    return folder


def _has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine or this call does not ask for."""
    skips: dict[str, str] = {}
    if _data_folder() is None:
        skips["data"] = "needs the image sets: set DEVNET_DATA to their folder"
    if "soak" not in config.option.markexpr:
        skips["soak"] = "takes long: ask for it with -m soak"
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        skips["gpu"] = "needs a CUDA device and a CUDA build of torch"
    for item in items:
        for mark, reason in skips.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Make division by zero, overflow and invalid operations of NumPy errors in every test."""
    with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
        return (yield)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real image sets; use with ``@pytest.mark.data``."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("needs the image sets: set DEVNET_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def sheet():
    """Return a declared sheet: 676 cells on a jittered lattice, density 3, 25 layer-II units; no growth needed."""
    from devnet._core.random import Key
    from devnet.sheet import Sheet
    from devnet.spec import load_model

    side = 15.0
    model = load_model("raghavan2019_grown_pooling/small")
    square = {
        "outline": ((0, 0), (side, 0), (side, side), (0, side)),
        "holes": (),
        "seed_cell": (side / 2, side / 2),
    }
    model = model.replace(scaffold=model.scaffold.replace(**square))
    rows = 26
    spacing = side / rows
    grid = (np.stack(np.meshgrid(np.arange(rows), np.arange(rows)), axis=-1).reshape(-1, 2) + 0.5) * spacing
    draws = Key(7).stream("jitter")
    jitter = np.stack([draws.uniform(axis, len(grid)) for axis in (0, 1)], axis=1) - 0.5
    positions = grid + 0.5 * spacing * jitter
    n = len(positions)
    units = np.arange(0, n, 28)
    return Sheet(
        model=model,
        key=Key(7),
        positions=positions,
        parent=np.arange(-1, n - 1),
        born=np.arange(n) // 40,
        unit_parent=units,
        emitted=np.full(len(units), 20),
        unit_height=np.full(len(units), 0.8),
        sweeps=40,
    )
