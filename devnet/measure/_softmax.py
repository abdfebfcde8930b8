"""Multinomial logistic regression by stochastic gradient descent (Adam), in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from devnet._core.errors import ConfigError
from devnet._core.random import as_key

BATCH, RATE = 128, 6e-3
DECAY_1, DECAY_2 = 0.9, 0.999


def softmax_readout(
    x_train: Float[npt.NDArray, "N d"],
    y_train: Int[npt.NDArray, " N"],
    x_test: Float[npt.NDArray, "T d"],
    y_test: Int[npt.NDArray, " T"],
    *,
    epochs: int = 10,
    rng: Any = None,
) -> float:
    """Fit a softmax classifier and return the share of test examples that it tells right.

    Features are standardized by the training examples (a constant one to 0). From weights 0, Adam (Kingma & Ba 2015)
    lowers the mean cross-entropy over batches of 128 in a new order each epoch, at a rate that falls linearly from
    6e-3 to 0. Nothing is chosen by the test examples.

    Args:
        x_train: (N, d) features.
        y_train: (N,) class numbers from 0.
        x_test: (T, d).
        y_test: (T,).
        epochs: Passes over the training examples.
        rng: Seed of the order of examples, as ``as_key`` takes it.

    Returns:
        The accuracy, 0 to 1.

    Raises:
        ConfigError: Shapes do not fit, a feature is not finite, or no epoch.
    """
    train, test = (np.asarray(x, dtype=np.float32) for x in (x_train, x_test))
    labels = np.asarray(y_train)
    if (
        train.ndim != 2
        or test.ndim != 2
        or train.shape[1] != test.shape[1]
        or not train.size
        or not test.size
    ):
        raise ConfigError("x_train, x_test", (train.shape, test.shape), "(N, d) and (T, d), not empty")
    if labels.shape != train.shape[:1] or np.shape(y_test) != test.shape[:1] or labels.min() < 0:
        shapes = (labels.shape, np.shape(y_test))
        raise ConfigError("y_train, y_test", shapes, "a class number of at least 0 for each example")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise ConfigError("x_train, x_test", "NaN or infinity", "finite numbers")
    if epochs < 1:
        raise ConfigError("epochs", epochs, "at least 1")
    mean, spread = (v(train, axis=0, dtype=np.float64).astype(np.float32) for v in (np.mean, np.std))
    scale = np.where(spread > 1e-6 * np.abs(train).max(axis=0), spread, np.inf).astype(np.float32)
    train, test = (train - mean) / scale, (test - mean) / scale
    weights = _fitted(train, labels, epochs, as_key(rng))
    guess = (test @ weights[:-1] + weights[-1]).argmax(axis=1)
    return float((guess == np.asarray(y_test)).mean())


def _fitted(x: np.ndarray, y: np.ndarray, epochs: int, key: Any) -> Float[np.ndarray, "d+1 classes"]:
    """Return weights, and biases in the last row."""
    n, classes = len(x), int(y.max()) + 1
    weights, first, second = (np.zeros((x.shape[1] + 1, classes), np.float32) for _ in range(3))
    starts = range(0, n, BATCH)
    steps = epochs * len(starts)
    done = 0
    for epoch in range(epochs):
        order = key.stream("readout.order").permutation(epoch, n)
        for start in starts:
            chosen = order[start : start + BATCH]
            batch = x[chosen]
            p = batch @ weights[:-1] + weights[-1]
            p -= p.max(axis=1, keepdims=True)
            np.exp(p, out=p)
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(chosen)), y[chosen]] -= 1
            p /= len(chosen)
            gradient = np.concatenate([batch.T @ p, p.sum(axis=0, keepdims=True)])
            done += 1
            first += (1 - DECAY_1) * (gradient - first)
            second += (1 - DECAY_2) * (gradient * gradient - second)
            rate = RATE * (1 - (done - 1) / steps) / (1 - DECAY_1**done)
            weights -= rate * first / (np.sqrt(second / (1 - DECAY_2**done)) + 1e-8)
    return weights
