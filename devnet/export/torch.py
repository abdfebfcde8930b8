"""Wirings as PyTorch modules, and those modules as files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.optional import require
from devnet._core.random import Key
from devnet.export.stack import stack_to_torch
from devnet.io import read_tensors, write_tensors
from devnet.sheet import Stack, Wiring

if TYPE_CHECKING:
    import torch

    from devnet.export._network import GrownNetwork
    from devnet.export._stack import StackNetwork

KIND = "network"
"""What ``devnet.io`` calls a file that holds a module."""


@overload
def to_torch(wiring: Stack, *, dtype: torch.dtype | None = None) -> StackNetwork: ...


@overload
def to_torch(
    wiring: Wiring,
    *,
    image_shape: tuple[int, int] | None = None,
    hidden: Sequence[int] = (),
    classes: int | None = None,
    rng: Any = None,
    dtype: torch.dtype | None = None,
) -> GrownNetwork: ...


def to_torch(
    wiring: Wiring | Stack,
    *,
    image_shape: tuple[int, int] | None = None,
    hidden: Sequence[int] = (),
    classes: int | None = None,
    rng: Any = None,
    dtype: torch.dtype | None = None,
) -> GrownNetwork | StackNetwork:
    """Turn a wiring into a PyTorch module: sampler of images, pools, read-out; or a stack into one of its sums.

    Args:
        wiring: Weights from the cells of a sheet to units; they become pools as ``sheet.sampling.pool_matrix`` says, or
            rectified units where the rule that wired them gives weights signs. Of a stack ``stack_to_torch`` makes more,
            and no read-out is added.
        image_shape: (H, W) of images that are sampled at the cells, or None for inputs that hold a value a cell.
        hidden: Sizes of the read-out's hidden layers (ReLU); none: a linear read-out.
        classes: Number of outputs of the read-out; None: the pools are the output.
        rng: Seed of the read-out's initial weights, as ``as_key`` takes it.
        dtype: Floating-point type; None means float32.

    Returns:
        The module, on the CPU and in training mode; its pools are frozen, its read-out can be trained.

    Raises:
        ConfigError: A wrong shape, size or type; all-zero weights.
        MissingDependencyError: PyTorch is not installed.
    """
    require("torch", extra="torch")
    from devnet.export._network import GrownNetwork

    if isinstance(wiring, Stack):
        if image_shape is not None or hidden or classes is not None:
            given = (image_shape, tuple(hidden), classes)
            raise ConfigError("image_shape, hidden, classes", given, "none of them for a stack")
        return stack_to_torch(wiring, dtype=dtype)
    return GrownNetwork.from_weights(
        wiring.sheet,
        wiring.weights,
        rectified=wiring.learning.rule.signed,
        image_shape=image_shape,
        hidden=hidden,
        classes=classes,
        rng=rng,
        dtype=dtype,
    )


def save_network(module: GrownNetwork, path: str | Path) -> None:
    """Write a module as one file: its ``state_dict`` as safetensors, its architecture as JSON, a SHA-256 over both.

    Args:
        module: The module, on any device.
        path: Where; replaced atomically.

    Raises:
        ConfigError: Not a GrownNetwork, or a floating-point type that the file format does not hold.
        StorageError: It could not be written.
    """
    require("torch", extra="torch")
    from devnet.export._network import GrownNetwork

    if not isinstance(module, GrownNetwork):
        raise ConfigError("module", type(module).__name__, "a GrownNetwork, as to_torch returns it")
    if module.pool.weight.dtype not in _types().values():
        raise ConfigError("module", str(module.pool.weight.dtype), "a module of float32 or float64")
    arrays = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
    names = {dtype: name for name, dtype in _types().items()}
    metadata = {
        "architecture": "GrownNetwork",
        "image_shape": None if module.image_shape is None else list(module.image_shape),
        "rectified": module.rectified,
        "hidden": list(module.hidden),
        "classes": module.classes,
        "dtype": names[module.pool.weight.dtype],
        "key": module.key.value,
        "trainable": [name for name, value in module.named_parameters() if value.requires_grad],
    }
    write_tensors(path, arrays, KIND, metadata)


def load_network(path: str | Path) -> GrownNetwork:
    """Read a module that ``save_network`` wrote; nothing in the file is run.

    Args:
        path: The file.

    Returns:
        The module, on the CPU, with the same weights, buffers and frozen parameters.

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, of another kind, or its arrays do not fit its architecture.
        MissingDependencyError: PyTorch is not installed.
    """
    torch = require("torch", extra="torch")
    from devnet.export._network import GrownNetwork

    arrays, metadata = read_tensors(path, KIND)
    plan = _plan(path, metadata)
    _check_shapes(path, plan, arrays)
    taps = (arrays["sample_pixel"], arrays["sample_weight"]) if plan["image_shape"] is not None else None
    module = GrownNetwork(
        arrays["pool.weight"],
        arrays["pool.mask"],
        arrays["node_positions"],
        arrays["unit_positions"],
        image_shape=plan["image_shape"],
        taps=taps,
        rectified=plan["rectified"],
        hidden=plan["hidden"],
        classes=plan["classes"],
        rng=Key(plan["key"]),
        dtype=_types()[plan["dtype"]],
    )
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in plan["trainable"])
    return module


def _types() -> dict[str, Any]:
    torch = require("torch", extra="torch")
    return {"float32": torch.float32, "float64": torch.float64}


def _plan(path: str | Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Check the architecture that a file names."""
    shape, hidden, classes = (metadata.get(name) for name in ("image_shape", "hidden", "classes"))
    key, trainable = metadata.get("key"), metadata.get("trainable")
    good = (
        metadata.get("architecture") == "GrownNetwork"
        and (shape is None or (_sizes(shape) and len(shape) == 2))
        and type(metadata.get("rectified", False)) is bool
        and _sizes(hidden)
        and (not hidden if classes is None else _sizes([classes]))
        and metadata.get("dtype") in list(_types())
        and type(key) is int
        and 0 <= key < 2**64
        and isinstance(trainable, list)
        and all(isinstance(name, str) for name in trainable)
    )
    if not good:
        raise CorruptFileError(f"{path}: metadata: no architecture that this devnet knows")
    return {
        "rectified": False,
        **metadata,
        "image_shape": None if shape is None else tuple(shape),
        "hidden": tuple(hidden or ()),
    }


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 1 <= size < 2**31 for size in value)


def _check_shapes(path: str | Path, plan: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Compare each array with the architecture, before anything of the architecture's size is built."""
    pools = arrays.get("pool.weight", np.empty(0))
    if pools.ndim != 2 or 0 in pools.shape:
        raise CorruptFileError(f"{path}: pool.weight: does not fit the architecture")
    n, m = pools.shape
    real = np.dtype(plan["dtype"])
    wanted: dict[str, tuple[tuple[int, ...], np.dtype]] = {
        "pool.weight": ((n, m), real),
        "pool.mask": ((n, m), np.dtype(bool)),
        "node_positions": ((n, 2), real),
        "unit_positions": ((m, 2), real),
        "feature_mean": ((m,), real),
        "feature_scale": ((m,), real),
    }
    if plan["image_shape"] is not None:
        wanted |= {"sample_pixel": ((n, 4), np.dtype(np.int64)), "sample_weight": ((n, 4), real)}
    if plan["classes"] is not None:
        widths = (m, *plan["hidden"], plan["classes"])
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            wanted[f"readout.{2 * layer}.weight"] = ((after, before), real)
            wanted[f"readout.{2 * layer}.bias"] = ((after,), real)
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if found != wanted:
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise CorruptFileError(f"{path}: {', '.join(wrong[:3])}: does not fit the architecture")
    if not all(np.isfinite(array).all() for array in arrays.values() if array.dtype == real):
        raise CorruptFileError(f"{path}: data: NaN or infinity")
    pixels = math.prod(plan["image_shape"] or ())
    if (
        plan["image_shape"] is not None
        and not 0 <= arrays["sample_pixel"].min() <= arrays["sample_pixel"].max() < pixels
    ):
        raise CorruptFileError(f"{path}: sample_pixel: an index outside the image")
