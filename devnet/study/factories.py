"""Networks that a user names on the command line beside a file of weights."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import site
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch
from torch import nn

from devnet._core.errors import ConfigError, DevnetError, ResourceError
from devnet._core.random import as_key
from devnet.tasks.models import Shape, build

_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


def network_of(name: str, image_shape: Shape, classes: int, *, rng: Any = None) -> nn.Module:
    """Build a network that a user names.

    ``package.module:function`` imports a module of an installed package and calls the function without arguments.
    That runs the package's code, so it must come from the user's own command and never from a file. All other names
    are those of ``devnet.tasks.models`` and run nothing but devnet.

    Args:
        name: A name of ``devnet.tasks.models.build``, or ``package.module:function``.
        image_shape: (H, W) or (C, H, W).
        classes: Number of outputs.
        rng: Seed, generator or key of fresh weights.

    Returns:
        The network.

    Raises:
        ConfigError: An unknown name, a package that is not installed, or a function that makes no module.
        ResourceError: The network does not fit into memory.
    """
    place, colon, function = name.partition(":")
    if not colon or place == "mlp":
        with _in_memory(name):
            return build(name, image_shape, classes, rng=rng)
    if not re.fullmatch(_DOTTED, place) or not function.isidentifier() or not _installed(place):
        raise ConfigError(
            "factory",
            name,
            "package.module:function of an installed package, devnet aside (pip install -e FOLDER; Python itself takes any module: dn.traverse)",
        )
    with torch.random.fork_rng(devices=[]), _in_memory(name):
        torch.manual_seed(as_key(rng).child("weights").value % 2**63)
        made = _called(name, place, function)
    if not isinstance(made, nn.Module):
        raise ConfigError("factory", type(made).__name__, "a function that returns a torch.nn.Module")
    return made


def _called(name: str, place: str, function: str) -> Any:
    """Import a module, call a function of it, and tell whatever it raises as an error of the name."""
    try:
        return getattr(importlib.import_module(place), function)()
    except (DevnetError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit, or pytest's Skipped, too
        if isinstance(error, RuntimeError) and _is_want_of_memory(error):
            raise
        why = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
        raise ConfigError("factory", name, f"a function that needs no arguments ({why})") from error


def _is_want_of_memory(error: RuntimeError) -> bool:
    """Say whether PyTorch had too little memory; its allocator on the CPU has no error of its own for that."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


@contextmanager
def _in_memory(name: str) -> Generator[None]:
    """Say what does not fit."""
    try:
        yield
    except RuntimeError as error:
        if not _is_want_of_memory(error):
            raise
        raise ResourceError(f"factory: {name!r} does not fit into memory; name a smaller network") from None


def _installed(place: str) -> bool:
    """Say whether a module's package lies where packages are installed; a file in the working folder does not."""
    top = place.partition(".")[0]
    if top in {
        "__main__",
        "devnet",
    }:  # devnet's networks have names, and its commands would call this one again
        return False
    try:
        spec = importlib.util.find_spec(top)  # of a top-level name: runs nothing
    except ValueError:  # of a module that was made without one
        spec = None
    where = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    files = [Path(name).resolve() for name in where if name not in {None, "built-in", "frozen"}]
    sites = [*site.getsitepackages(), site.getusersitepackages()]
    roots = [*map(Path, sites), *_in_place(top, sites)]
    return bool(files) and all(any(f.is_relative_to(root.resolve()) for root in roots) for f in files)


def _in_place(top: str, sites: list[str]) -> Iterator[Path]:
    """Yield the folders of installed distributions that are in place and hold a top-level package of that name.

    Only what an installer wrote among the installed counts, for a folder may say of itself what it likes.
    """
    for package in distributions(path=sites):
        packages = (package.read_text("top_level.txt") or package.name.replace("-", "_")).lower().split()
        with suppress(ValueError, TypeError, AttributeError, KeyError):  # a record that is none
            told = json.loads(package.read_text("direct_url.json") or "{}")
            if told["dir_info"]["editable"] is True and top.lower() in packages:
                yield Path(unquote(urlparse(told["url"]).path))
