"""Files of weights that any program may have written: plain safetensors, named arrays and nothing else.

Such a file holds no code, and none is run for it. Its own metadata are ignored: which network the weights belong to is
never read from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from devnet._core.errors import CorruptFileError
from devnet.io import tensors
from devnet.io.writer import write_bytes


def read_weights(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays and check them: types, shapes against bytes, finite numbers.

    Args:
        path: A safetensors file.

    Returns:
        Read-only arrays of the types that they have in the file; float16 and bfloat16 come widened to float32, which
        loses nothing (``read_widened`` tells whether any did).

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, not a safetensors file, or holds NaN or infinity.
    """
    return read_widened(path)[0]


def read_widened(path: str | Path) -> tuple[dict[str, npt.NDArray[Any]], set[str]]:
    """Return what ``read_weights`` does, and which of the types F16 and BF16 were widened; errors as there."""
    path = Path(path)
    arrays, wide = tensors.plain_arrays(path)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CorruptFileError(f"{path}: array {name[:40]}: holds NaN or infinity")
    return arrays, wide


def write_weights(path: str | Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays as a plain safetensors file.

    Args:
        path: Where; replaced atomically.
        arrays: The arrays by name.

    Raises:
        StorageError: It could not be written.
    """
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(path, safetensors.numpy.save({n: plain[n].reshape(a.shape) for n, a in arrays.items()}))
