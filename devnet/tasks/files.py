"""Paths, curves and ensembles in files: all that is needed beside a module of the architecture.

A file holds arrays and plain data, no code. What a loaded network is built of comes from the module that the reader
hands in; its weights and buffers come from the file.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip import Path
from devnet.io import read_tensors, write_tensors
from devnet.tasks.connection import Curve, straight

Arrays = Mapping[str, npt.NDArray[Any]]


def save_path(path: Path, file: str | FilePath, *, accuracy: npt.NDArray[np.float64] | None = None) -> None:
    """Save a path with the network from which it starts.

    Args:
        path: The path.
        file: Where; ``.safetensors`` is the usual ending. An existing file is replaced, atomically.
        accuracy: (K,), test accuracy of each way-point in per cent, or None.

    Raises:
        StorageError: It could not be written.
    """
    arrays, metadata = path.to_tensors()
    arrays |= state_arrays("base", path.base)
    write_tensors(file, arrays if accuracy is None else arrays | {"accuracy": accuracy}, "path", metadata)


def load_path(file: str | FilePath, module: nn.Module) -> Path:
    """Load a path.

    Args:
        file: What ``save_path`` or ``devnet fip`` wrote.
        module: A network of the same architecture, with any weights; it is not touched.

    Returns:
        The path; ``resume`` goes on with a paused one.

    Raises:
        ConfigError: No such file, or the module has other parameters or buffers.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, or holds no path.
    """
    arrays, metadata = read_tensors(file, "path")
    return Path.from_tensors(arrays, metadata, with_state("module", module, _part(arrays, "base")))


def save_curve(curve: Curve, file: str | FilePath, **about: Any) -> None:
    """Save a curve between two networks.

    Args:
        curve: The curve.
        file: Where; an existing file is replaced, atomically.
        **about: Further plain data, ``error`` along it, say.

    Raises:
        StorageError: It could not be written.
    """
    control = {f"control.{n}": _array(v) for n, v in curve.layout.split(curve.control).items()}
    ends = state_arrays("first", curve.module(0)) | state_arrays("last", curve.module(1))
    write_tensors(file, ends | control, "curve", {"layout": curve.layout.metadata(), **about})


def load_curve(file: str | FilePath, module: nn.Module) -> Curve:
    """Load a curve between two networks.

    Args:
        file: What ``save_curve`` or ``devnet fip connect`` wrote.
        module: A network of the same architecture, with any weights; it is not touched.

    Returns:
        The curve.

    Raises:
        ConfigError: No such file, or the module has other parameters or buffers.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, or holds no curve.
    """
    arrays, _ = read_tensors(file, "curve")
    ends = [with_state("module", module, _part(arrays, name)) for name in ("first", "last")]
    line, control = straight(*ends), _part(arrays, "control")
    shapes = {n: a.shape for n, a in control.items()}
    if shapes != dict(zip(line.layout.names, line.layout.shapes, strict=True)):
        moving = "a module in which those parameters require a gradient that moved along the curve"
        raise ConfigError("module", sorted(line.layout.names), f"{moving}, {sorted(shapes)}")
    bent = line.layout.join({n: torch.from_numpy(a.copy()) for n, a in control.items()})
    return replace(line, control=bent.to(line.control))


def save_ensemble(members: Sequence[nn.Module], file: str | FilePath, **about: Any) -> None:
    """Save networks of one architecture.

    Args:
        members: The networks.
        file: Where; an existing file is replaced, atomically.
        **about: Further plain data.

    Raises:
        StorageError: It could not be written.
    """
    arrays = [state_arrays(str(number), module) for number, module in enumerate(members)]
    write_tensors(
        file,
        {n: a for part in arrays for n, a in part.items()},
        "ensemble",
        {"members": len(members), **about},
    )


def load_ensemble(file: str | FilePath, module: nn.Module) -> list[nn.Module]:
    """Load networks of one architecture.

    Args:
        file: What ``save_ensemble`` or ``devnet fip ensemble`` wrote.
        module: A network of the same architecture, with any weights; it is not touched.

    Returns:
        The networks.

    Raises:
        ConfigError: No such file, or the module has other parameters or buffers.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, or holds no ensemble.
    """
    arrays, metadata = read_tensors(file, "ensemble")
    count = metadata.get("members")
    if not isinstance(count, int):
        raise CorruptFileError(f"{file}: ensemble: does not tell its members")
    return [with_state("module", module, _part(arrays, str(k))) for k in range(count)]


def state_arrays(prefix: str, module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Return a module's parameters and buffers as arrays under ``prefix.``; half precision is widened."""
    return {f"{prefix}.{name}": _array(value) for name, value in module.state_dict().items()}


def with_state(
    field: str, module: nn.Module, arrays: Arrays, what: str = "the arrays of the file"
) -> nn.Module:
    """Return a copy of a module with parameters and buffers from a file.

    A name of a parameter that is tied to another may be absent, as in files that hold every tensor once. The copy takes
    the file's type, float32 or float64, unless its own is half precision.

    Args:
        field: Name that an error shall show.
        module: The module; it is not touched.
        arrays: Arrays under the names of its ``state_dict``.
        what: What they should be, in words.

    Returns:
        The copy.

    Raises:
        ConfigError: An array is missing, one too many, of another shape, whole numbers where the module has
            fractions, or another one than that which it is tied to; or the file mixes types.
    """
    loaded = copy.deepcopy(module)
    held = loaded.state_dict()
    given = _untied(field, held, arrays)
    for name in [*held, *given]:
        shapes = [tuple(one[name].shape) if name in one else None for one in (held, given)]
        if shapes[0] != shapes[1]:
            wrong = "missing" if shapes[1] is None else f"of shape {shapes[1]}"
            wanted = "no such array" if shapes[0] is None else f"{name} of shape {shapes[0]}"
            wrong = "extra" if shapes[0] is None else wrong
            raise ConfigError(field, f"{name} {wrong}", f"{what} ({wanted})")
        if held[name].is_floating_point() != (given[name].dtype.kind == "f"):
            raise ConfigError(
                field, f"{name} of {given[name].dtype}", f"{what} ({name} of {held[name].dtype})"
            )
    kinds = sorted({str(a.dtype) for a in given.values() if a.dtype.kind == "f"})
    if len(kinds) > 1:
        raise ConfigError(field, kinds, f"{what}, of one floating-point type")
    if kinds and all(t.element_size() >= 4 for t in held.values() if t.is_floating_point()):
        loaded.to(torch.float64 if kinds == ["float64"] else torch.float32)
    loaded.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in given.items()})
    return loaded


def _untied(field: str, held: Mapping[str, Tensor], arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Return arrays with those names added that share a tensor with one that is there."""
    given = dict(arrays)
    twins: dict[tuple[Any, ...], str] = {}
    for name in sorted(held, key=lambda n: n not in given):  # those that are there first
        place = (held[name].data_ptr(), held[name].shape, held[name].stride())
        twin = twins.setdefault(place, name)
        if twin not in given or not held[name].numel():
            continue
        if not np.array_equal(given.setdefault(name, given[twin]), given[twin]):
            raise ConfigError(field, f"{name} other than {twin}", "the same values: the module ties them")
    return given


def _part(arrays: Arrays, prefix: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays under a prefix, without it."""
    return {n.removeprefix(f"{prefix}."): a for n, a in arrays.items() if n.startswith(f"{prefix}.")}


def _array(value: Tensor) -> npt.NDArray[Any]:
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() and value.element_size() < 4 else value).numpy()
