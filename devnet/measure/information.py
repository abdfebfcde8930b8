"""What the activity of a layer tells: where the wave is, how much of its input can be restored, how much is said twice.

Pure functions of arrays; a row is a step or an example.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from devnet._core.errors import ConfigError

Rows = Float[npt.NDArray, "T M"]


def decoded(
    activity: Rows, target: Float[npt.NDArray, "T k"], *, train: float = 0.5, penalty: float = 1e-3
) -> tuple[Float[np.ndarray, "H k"], Float[np.ndarray, "H k"]]:
    """Restore a quantity from activity by ridge regression, and return it for rows that were not fitted.

    With activity A of mean 0 and target Y of mean 0 over the first rows,
    ``B = argmin |A B - Y|^2 + penalty tr(A^T A) / M |B|^2``. The rows are split once, in order, so that the neighbors in time
    of a held row are not among those that were fitted.

    Args:
        activity: (T, M), finite.
        target: (T, k), finite.
        train: Share of rows, the first ones, to which it is fitted.
        penalty: Above 0.

    Returns:
        What was restored for the H held rows, and what stood there: both (H, k).

    Raises:
        ConfigError: Shapes do not fit, something is not finite, or a part has fewer than 2 rows.
    """
    a, y = _rows("activity", activity), _rows("target", target)
    cut = int(train * len(a)) if 0 < train < 1 else 0
    if len(a) != len(y) or cut < 2 or len(a) - cut < 2:
        raise ConfigError(
            "activity, target, train", (a.shape, y.shape, train), "as many rows, at least 2 in each part"
        )
    if not penalty > 0:
        raise ConfigError("penalty", penalty, "a number above 0")
    mean, base = a[:cut].mean(axis=0), y[:cut].mean(axis=0)
    centered = a[:cut] - mean
    gram = centered.T @ centered
    gram[np.diag_indices_from(gram)] += penalty * max(np.trace(gram) / len(gram), np.finfo(float).tiny)
    weights = np.linalg.solve(gram, centered.T @ (y[:cut] - base))
    return (a[cut:] - mean) @ weights + base, y[cut:]


def explained_share(restored: Float[npt.NDArray, "T k"], target: Float[npt.NDArray, "T k"]) -> float:
    """Return ``R^2 = 1 - |target - restored|^2 / |target - mean target|^2``, summed over columns; below 0 is worse than the mean.

    Args:
        restored: (T, k).
        target: (T, k).

    Returns:
        At most 1.

    Raises:
        ConfigError: Shapes differ, something is not finite, or the target never changes.
    """
    r, y = _rows("restored", restored), _rows("target", target)
    spread = ((y - y.mean(axis=0)) ** 2).sum()
    if r.shape != y.shape or spread == 0:
        raise ConfigError("restored, target", (r.shape, y.shape), "equal shapes, and a target that changes")
    return float(1 - ((y - r) ** 2).sum() / spread)


def mutual_information(a: Float[npt.NDArray, "T k"], b: Float[npt.NDArray, "T l"], *, bins: int = 8) -> float:
    """Return the mutual information of two quantities in bits, by binning.

    Each column is cut at its quantiles into ``bins`` parts of equal count; the columns of a quantity together make a cell.
    With counts n_ij of T rows, ``I = sum_ij n_ij / T log2(n_ij T / (n_i n_j))``, less the bias
    ``(K_ab - K_a - K_b + 1) / (2 T ln 2)`` of Miller 1955 and Panzeri & Treves 1996, K the numbers of cells that occur. With
    few rows a cell the correction is too small or too large: hold it against a shuffled control.

    Args:
        a: (T, k), k of 1 or 2.
        b: (T, l), likewise.
        bins: A column.

    Returns:
        Bits; about 0 where they are independent, then of either sign.

    Raises:
        ConfigError: Shapes do not fit, something is not finite, or fewer than 2 bins.
    """
    x, y = _cells("a", a, bins), _cells("b", b, bins)
    if len(x) != len(y):
        raise ConfigError("a, b", (len(x), len(y)), "as many rows")
    table = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(table, (x, y), 1.0)
    rows, columns, count = table.sum(axis=1), table.sum(axis=0), len(x)
    i, j = np.nonzero(table)
    bits = (table[i, j] / count * np.log2(table[i, j] * count / (rows[i] * columns[j]))).sum()
    bias = (len(i) - np.count_nonzero(rows) - np.count_nonzero(columns) + 1) / (2 * count * np.log(2))
    return float(bits - bias)


def redundancy(activity: Rows) -> float:
    """Return which share of a layer's units is superfluous by linear account.

    ``1 - D / M`` with ``D = (sum_k l_k)^2 / sum_k l_k^2`` the participation ratio of the eigenvalues l of the units' covariance:
    0 where all units vary alike and independently, near 1 where all say the same.

    Args:
        activity: (T, M), finite, of which something changes.

    Returns:
        From 0 to below 1.

    Raises:
        ConfigError: Nothing changes, or something is not finite.
    """
    a = _rows("activity", activity)
    covariance = np.cov(a, rowvar=False).reshape(a.shape[1], a.shape[1])
    total = float(np.trace(covariance))
    if total == 0:
        raise ConfigError("activity", "the same in all rows", "activity that changes")
    return 1 - total**2 / float((covariance**2).sum()) / a.shape[1]


def _rows(name: str, values: npt.ArrayLike) -> Float[np.ndarray, "T M"]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] < 2 or found.shape[1] < 1 or not np.isfinite(found).all():
        raise ConfigError(name, f"shape {found.shape}", "finite numbers, (at least 2, at least 1)")
    return found


def _cells(name: str, values: npt.ArrayLike, bins: int) -> Int[np.ndarray, " T"]:
    """Number the cell in which each row lies."""
    found = _rows(name, values)
    if bins < 2 or found.shape[1] > 2:
        raise ConfigError(f"{name}, bins", (found.shape, bins), "at most 2 columns, at least 2 bins")
    cell = np.zeros(len(found), np.int64)
    for column in found.T:
        edges = np.unique(np.quantile(column, np.arange(1, bins) / bins))
        cell = cell * bins + np.searchsorted(edges, column, side="right")
    return cell
