"""What a linear read-out can tell from features: ridge regression onto classes, and paired comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int
from scipy import linalg
from scipy.special import stdtrit

from devnet._core.errors import ConfigError

PENALTIES = tuple(10.0 ** (k / 2) for k in range(-12, 3))
"""Ridge penalties that are tried, per example: from 1e-6 to 10 in half decades."""

CHUNK = 4096


@dataclass(frozen=True)
class Readout:
    """How well a linear read-out does.

    Attributes:
        accuracy: Share of test examples told right, after fitting on training and validation examples together.
        validation: Share of validation examples told right, after fitting on the training examples alone.
        penalty: The ridge penalty, per example and on standardized features, that validation chose.
    """

    accuracy: float
    validation: float
    penalty: float


def linear_readout(
    x_train: Float[npt.NDArray, "N d"],
    y_train: Int[npt.NDArray, " N"],
    x_validation: Float[npt.NDArray, "V d"],
    y_validation: Int[npt.NDArray, " V"],
    x_test: Float[npt.NDArray, "T d"],
    y_test: Int[npt.NDArray, " T"],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Readout:
    """Fit a linear classifier by ridge regression and say how well it does.

    Features are standardized to mean 0 and standard deviation 1 (a constant one to 0), classes are one-hot targets T:
    ``B = argmin |Z B - (T - mean T)|^2 + N penalty |B|^2``, and the class is the largest output. One
    eigendecomposition serves all penalties. The penalty that tells most validation examples right is taken (among
    equals the largest), the classifier fitted anew on training and validation examples, and the test examples are
    asked once.

    Args:
        x_train: (N, d) features.
        y_train: (N,) class numbers.
        x_validation: (V, d).
        y_validation: (V,).
        x_test: (T, d).
        y_test: (T,).
        penalties: Those to try, above 0.

    Returns:
        The accuracies and the penalty.

    Raises:
        ConfigError: Shapes do not fit, a feature is not finite, a split is empty, or a penalty is not above 0.
    """
    splits = {
        "train": (x_train, y_train),
        "validation": (x_validation, y_validation),
        "test": (x_test, y_test),
    }
    checked = {name: _split(name, *pair, width=np.shape(x_train)[-1]) for name, pair in splits.items()}
    ladder = np.sort(np.asarray(penalties, dtype=np.float64))[::-1]
    if ladder.ndim != 1 or not ladder.size or not np.all(np.isfinite(ladder) & (ladder > 0)):
        raise ConfigError("penalties", penalties, "at least one finite number above 0")
    classes = np.unique(np.concatenate([checked["train"][1], checked["validation"][1]]))
    shift = np.asarray(checked["train"][0].mean(axis=0), dtype=np.float64)  # keeps the sums of squares small
    train = _Moments.of(*checked["train"], shift, classes)
    both = train + _Moments.of(*checked["validation"], shift, classes)

    gram, targets, mean, scale = train.standardized()
    values, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    values = np.maximum(values, 0.0)
    inner = vectors.T @ targets
    # All penalties' classifiers side by side, as columns.
    stacked = np.concatenate([vectors @ (inner / (values + p)[:, None]) for p in ladder], axis=1)
    x, y = checked["validation"]
    rank = _outputs(x, shift + mean, scale, stacked).reshape(len(y), len(ladder), len(classes)) + train.prior
    right = (classes[rank.argmax(axis=2)] == y[:, None]).mean(axis=0)
    best = int(right.argmax())

    gram, targets, mean, scale = both.standardized()
    gram[np.diag_indices_from(gram)] += ladder[best]
    weights = linalg.solve(gram, targets, assume_a="pos", overwrite_a=True, check_finite=False)
    x, y = checked["test"]
    guess = classes[(_outputs(x, shift + mean, scale, weights) + both.prior).argmax(axis=1)]
    return Readout(float((guess == y).mean()), float(right[best]), float(ladder[best]))


def published_readout(
    train: Float[npt.NDArray, "N M"],
    y_train: Int[npt.NDArray, " N"],
    test: Float[npt.NDArray, "T M"],
    y_test: Int[npt.NDArray, " T"],
    *,
    penalty: float = 2.0**-30,
) -> float:
    """Read out as G19 does: min-max per unit, tanh, ridge least squares onto one-hot classes.

    With the ranges of the training examples, h = tanh((a - min a) / (max a - min a)), and
    ``B = argmin |h B - T|^2 + penalty |B|^2``; the class is the largest output. That C = 2^-30 of the released programs
    is added to the squares, and not divided by, is our reading; at this size it is no penalty but a guard of the
    inverse.

    Args:
        train: (N, M), weighted sums of z-scored images, see ``z_scored``.
        y_train: (N,) class numbers.
        test: (T, M).
        y_test: (T,).
        penalty: C, above 0.

    Returns:
        The share of test examples told right.

    Raises:
        ConfigError: Shapes do not fit, a feature is not finite, or the penalty is not above 0.
    """
    x, y = _split("train", train, y_train, width=np.shape(train)[-1])
    held, wanted = _split("test", test, y_test, width=x.shape[1])
    if not penalty > 0:
        raise ConfigError("penalty", penalty, "a number above 0")
    low, high = x.min(axis=0), x.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    hidden, asked = (np.tanh((part - low) / span).astype(np.float64) for part in (x, held))
    classes = np.unique(y)
    gram = hidden.T @ hidden
    gram[np.diag_indices_from(gram)] += penalty
    targets = hidden.T @ (y[:, None] == classes).astype(np.float64)
    # Least squares, since raw pixels that are always equal leave the matrix singular but for the penalty.
    weights = np.linalg.lstsq(gram, targets, rcond=None)[0]
    return float((classes[(asked @ weights).argmax(axis=1)] == wanted).mean())


def z_scored(images: Float[npt.NDArray, "N n"]) -> Float[np.ndarray, "N n"]:
    """Return each image at mean 0 and standard deviation 1; a uniform one as zeros."""
    centered = images - images.mean(axis=1, keepdims=True)
    spread = centered.std(axis=1, keepdims=True)
    return centered / np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of paired differences a - b with its confidence interval.

    Attributes:
        mean: Their mean.
        low: Lower end of the 95 % interval.
        high: Upper end.
        values: The differences.
    """

    mean: float
    low: float
    high: float
    values: tuple[float, ...]


def paired_difference(
    a: Sequence[float] | Float[npt.NDArray, " k"], b: Sequence[float] | Float[npt.NDArray, " k"]
) -> PairedDifference:
    """Compare two methods that ran on the same seeds: mean of a - b and its 95 % interval by Student's t.

    ``mean +- t(0.975, k-1) sd / sqrt(k)``

    Args:
        a: One number a seed.
        b: As many, in the same order.

    Returns:
        Mean, interval and the differences.

    Raises:
        ConfigError: Different lengths, fewer than two pairs, or a number that is not finite.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape or len(left) < 2:
        raise ConfigError(
            "a, b", f"shapes {left.shape} and {right.shape}", "two lists of one length, at least 2"
        )
    values = left - right
    if not np.isfinite(values).all():
        raise ConfigError("a, b", "NaN or infinity", "finite numbers")
    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values)))
    return PairedDifference(mean, mean - half, mean + half, tuple(values.tolist()))


@dataclass(frozen=True)
class _Moments:
    """Sums over examples from which a ridge regression follows; those of two sets of examples add up."""

    total: Float[np.ndarray, " d"]
    square: Float[np.ndarray, "d d"]
    cross: Float[np.ndarray, "d classes"]
    count: Int[np.ndarray, " classes"]

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, shift: np.ndarray, classes: np.ndarray) -> _Moments:
        width = x.shape[1]
        total, square, cross = np.zeros(width), np.zeros((width, width)), np.zeros((width, len(classes)))
        label = np.searchsorted(classes, y)
        for at in range(0, len(x), CHUNK):
            part = x[at : at + CHUNK] - shift
            total += part.sum(axis=0)
            square += part.T @ part
            cross += part.T @ (label[at : at + CHUNK, None] == np.arange(len(classes))).astype(np.float64)
        return cls(total, square, cross, np.bincount(label, minlength=len(classes)))

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(
            self.total + other.total,
            self.square + other.square,
            self.cross + other.cross,
            self.count + other.count,
        )

    @property
    def prior(self) -> Float[np.ndarray, " classes"]:
        """Mean of the one-hot targets."""
        return self.count / self.count.sum()

    def standardized(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return Z^T Z / N, Z^T (T - mean T) / N, and mean and scale of the features."""
        n = self.count.sum()
        mean = self.total / n
        gram = self.square / n - np.outer(mean, mean)
        targets = self.cross / n - np.outer(mean, self.prior)
        variance = np.maximum(np.diag(gram), 0.0)
        largest = np.diag(self.square) / n
        # What cancellation leaves of a constant feature is no variance.
        scale = np.where(variance > 1e-12 * largest, np.sqrt(variance), np.inf)
        return gram / scale / scale[:, None], targets / scale[:, None], mean, scale


def _outputs(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = np.empty((len(x), weights.shape[1]))
    for at in range(0, len(x), CHUNK):
        out[at : at + CHUNK] = (x[at : at + CHUNK] - mean) / scale @ weights
    return out


def _split(name: str, x: npt.ArrayLike, y: npt.ArrayLike, *, width: int) -> tuple[np.ndarray, np.ndarray]:
    features, labels = np.asarray(x), np.asarray(y)
    if (
        features.ndim != 2
        or features.shape[1] != width
        or features.size == 0
        or features.dtype.kind not in "fiu"
    ):
        what = f"array of {features.dtype}, shape {features.shape}"
        raise ConfigError(f"x_{name}", what, f"numbers of shape (at least 1, {width})")
    if labels.shape != features.shape[:1] or labels.dtype.kind not in "iu":
        what = f"array of {labels.dtype}, shape {labels.shape}"
        raise ConfigError(f"y_{name}", what, f"{len(features)} class numbers")
    if not np.isfinite(features).all():
        raise ConfigError(f"x_{name}", "NaN or infinity", "finite numbers")
    return features, labels
