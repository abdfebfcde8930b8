"""Networks that a user names on the command line beside a file of weights."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import site
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch
from torch import nn

from devnet._core.errors import ConfigError
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
        ConfigError: An unknown name, a package that is not installed, or a function that returns no module.
    """
    place, colon, function = name.partition(":")
    if not colon or place == "mlp":
        return build(name, image_shape, classes, rng=rng)
    if not re.fullmatch(_DOTTED, place) or not function.isidentifier() or not _installed(place):
        raise ConfigError("factory", name, "package.module:function of an installed package")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(as_key(rng).child("weights").value % 2**63)
            made = getattr(importlib.import_module(place), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError("factory", name, f"a function that needs no arguments ({error})") from error
    if not isinstance(made, nn.Module):
        raise ConfigError("factory", type(made).__name__, "a function that returns a torch.nn.Module")
    return made


def _installed(place: str) -> bool:
    """Say whether a module's package lies where packages are installed; a file in the working folder does not."""
    spec = importlib.util.find_spec(place.partition(".")[0])  # of a top-level name: runs nothing
    where = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    files = [Path(name).resolve() for name in where if name not in {None, "built-in", "frozen"}]
    roots = [Path(root).resolve() for root in (*site.getsitepackages(), site.getusersitepackages())]
    return bool(files) and all(any(f.is_relative_to(r) for r in [*roots, *_editable()]) for f in files)


def _editable() -> list[Path]:
    """Return the folders of packages that are installed in place."""
    found = []
    for package in distributions():
        told = json.loads(package.read_text("direct_url.json") or "{}")
        if told.get("dir_info", {}).get("editable"):
            found.append(Path(unquote(urlparse(told["url"]).path)).resolve())
    return found
