"""Guards for arrays that enter a noun: right shape, right type, finite, and read-only from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from devnet._core.errors import ConfigError


def frozen_array(
    name: str,
    value: npt.ArrayLike,
    dtype: npt.DTypeLike,
    shape: tuple[int | None, ...],
    *,
    low: float | None = None,
    high: float | None = None,
) -> npt.NDArray[Any]:
    """Return a read-only array of the stated type and shape.

    Args:
        name: Field name that an error shall show.
        value: Anything that NumPy can turn into an array.
        dtype: Wanted type; a conversion must keep every value.
        shape: Wanted shape; None stands for any length.
        low: Smallest allowed entry, where there is one.
        high: Largest allowed entry, where there is one.

    Returns:
        The array itself where it already fits and owns no writer, else a read-only copy.

    Raises:
        ConfigError: Wrong type, shape or range, or an entry that is not finite.
    """
    try:
        raw = np.asarray(value)
    except ValueError:
        raise ConfigError(name, value, "an array: rows of equal length") from None
    wanted = np.dtype(dtype)
    if raw.size and not np.can_cast(raw.dtype, wanted, casting="same_kind"):
        raise ConfigError(name, f"array of {raw.dtype}", f"an array of {wanted}")
    if raw.ndim != len(shape) or any(w is not None and w != n for w, n in zip(shape, raw.shape, strict=True)):
        text = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ConfigError(name, f"array of shape {raw.shape}", f"an array of shape {text}")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite and is refused below
        array = raw if raw.dtype == wanted and not raw.flags.writeable else raw.astype(wanted, copy=True)
    if wanted.kind in "iu" and not np.array_equal(array, raw):
        raise ConfigError(name, f"array of {raw.dtype}", f"whole numbers that fit into {wanted}")
    if array.size and wanted.kind == "f" and not np.isfinite(array).all():
        raise ConfigError(name, "an array with NaN or infinity", "finite numbers")
    if array.size and low is not None and array.min() < low:
        raise ConfigError(name, array.min().item(), f"entries of at least {low}")
    if array.size and high is not None and array.max() > high:
        raise ConfigError(name, array.max().item(), f"entries of at most {high}")
    array.flags.writeable = False
    return array
