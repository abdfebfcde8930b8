"""What this machine can do, and how to add what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from devnet._core.compile import cache_folder
from devnet.data import NAMES, where
from devnet.io import library_version
from devnet.study.machine import available_memory, machine, versions

EXTRAS = {
    "torch": ("torch", "export, paths, tasks, the torch backend"),
    "brian2": ("brian2", "the Brian2 backend"),
    "matplotlib": ("page", "figures and the report"),
    "jinja2": ("page", "the report's page"),
    "onnx": ("onnx", "networks and stacks as ONNX"),
    "nir": ("nir", "stacks as NIR graphs"),
    "snntorch": ("snn", "stacks in snnTorch"),
    "starlette": ("live", "the live view"),
    "tensorboard": ("tensorboard", "paths in TensorBoard"),
    "distributed": ("sweep", "sweeps on several processes or machines"),
    "pyarrow": ("sweep", "tables of sweeps"),
    "dask_jobqueue": ("slurm", "sweeps on SLURM"),
}
"""Import name: the extra that brings a library, and what it is for."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: What.
        found: What was found, or None.
        help: What it is for and how to add it; empty where nothing is to be said.
    """

    name: str
    found: str | None
    help: str = ""

    def __str__(self) -> str:
        text = f"{'yes' if self.found is not None else 'no ':<4} {self.name:<16} {self.found or ''}".rstrip()
        return text if self.found is not None or not self.help else f"{text:<21} {self.help}"


def examine(folder: str | Path = ".") -> list[Finding]:
    """Look at this machine.

    Args:
        folder: Where runs would be written.

    Returns:
        What was found and what was not, in the order in which it is told.
    """
    return [*_machine(Path(folder)), *_libraries(), *_programs(), *_data()]


def _machine(folder: Path) -> Iterator[Finding]:
    told = machine()
    yield Finding("devnet", f"{library_version()} on Python {versions()['python']}")
    yield Finding("processor", f"{told['processor']}, {told['cores']} cores for this process")
    yield Finding("memory", f"{available_memory() / 1e9:.1f} GB available")
    yield Finding("disk", f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free in {folder.absolute()}")
    cache = cache_folder()
    yield Finding("kernels", f"cached in {cache}, {sum(1 for _ in cache.rglob('*.nbc'))} compiled")


def _libraries() -> Iterator[Finding]:
    yield Finding("numba", version("numba"))
    for module, (extra, purpose) in EXTRAS.items():
        found = None
        if find_spec(module) is not None:
            try:
                found = version(module.replace("_", "-"))
            except PackageNotFoundError:
                found = "installed"
        yield Finding(module, found, f"for {purpose}: pip install 'devnet[{extra}]'")
    yield _gpu()


def _gpu() -> Finding:
    hint = "a build of torch for your GPU: see PyTorch's install page; everything runs without one"
    if find_spec("torch") is None:
        return Finding("GPU", None, hint)
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("GPU", ", ".join(names) or None, hint)


def _programs() -> Iterator[Finding]:
    wanted = (
        ("C++ compiler", COMPILERS, "makes the Brian2 backend fast: install g++ or clang"),
        ("browser", BROWSERS, "for the tests of pages: install Chromium, or run playwright install chromium"),
        ("ffmpeg", ("ffmpeg",), "for movies: install ffmpeg with your system's packages"),
    )
    for name, programs, hint in wanted:
        paths = [path for program in programs if (path := shutil.which(program))]
        yield Finding(name, paths[0] if paths else None, hint)


def _data() -> Iterator[Finding]:
    for name in NAMES:
        place = "comes with scikit-learn" if name == "digits" else where(name)
        yield Finding(
            name,
            None if place is None else str(place),
            f"images: devnet data fetch {name}, or DEVNET_DATA names a folder that has them",
        )
