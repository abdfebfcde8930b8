"""Features of images, and what a read-out can tell from them with few labels.

The lower stage of all networks: 7 x 7 patches at every second pixel, of mean 0 and about length 1, through K filters; of
the answers what exceeds their mean over the filters by a standard deviation; pooled by the layer that waves have wired
above the sheet; square roots, scaled to length 1. Filters are drawn or patches of images, and stay.

The upper stage learns from images without labels: which directions of the answers stay as they are while an image moves;
in these, units take the shape of what they win, and those that win together for an image are associated. Labels of a few
images spread through the associations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _stacks import square_sheet
from numpy.lib.stride_tricks import sliding_window_view
from scipy import linalg, ndimage, sparse

from devnet._core.random import Key
from devnet.organization import organize_stack
from devnet.spec import LayerSpec, StackSpec

SIDE, STRIDE = 7, 2
FIRING = 3
"""Units that answer an image."""
PENALTIES = 10.0 ** np.arange(-4, 2)


def sized(images: np.ndarray) -> np.ndarray:
    """Return images of at least 24 pixels a side."""
    factor = -(-24 // images.shape[1])
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def generator(key: Key, name: str) -> np.random.Generator:
    """Return a generator for draws of one kind."""
    return np.random.default_rng([key.child(name).value])


def grown_pools(sites: int, side: int, steps: int, seed: int) -> np.ndarray:
    """Return (sites^2, side^2): weights of a layer that waves wired, each pool's sum to 1."""
    spec = StackSpec(dynamics="rate_map", layers={"pools": LayerSpec(units=side**2, min_active=8)})
    stack = organize_stack(square_sheet(2 * sites), spec, steps=steps, rng=seed)
    cells = stack.weights(2).reshape(sites, 2, sites, 2, -1)
    return cells.sum(axis=(1, 3)).reshape(sites**2, -1)


def square_pools(sites: int, side: int) -> np.ndarray:
    """Return (sites^2, side^2): the mean over squares that tile the image, made by hand."""
    line = np.eye(side)[np.arange(sites) * side // sites]
    found = np.kron(line, line)
    return found / found.sum(axis=0)


def patches(images: np.ndarray) -> np.ndarray:
    """Return (N, sites, 49): patches of mean 0, divided by their length and a little more."""
    windows = sliding_window_view(images, (SIDE, SIDE), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
    found = windows.reshape(len(images), -1, SIDE**2)
    found = found - found.mean(axis=2, keepdims=True)
    return found / (np.linalg.norm(found, axis=2, keepdims=True) + 0.3)


def stored_filters(images: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (49, count): patches of images, those with little in them left out."""
    found = patches(images[rng.choice(len(images), 4 * count)]).reshape(4 * count, -1, SIDE**2)
    found = found[np.arange(4 * count), rng.integers(found.shape[1], size=4 * count)]
    order = np.argsort(np.linalg.norm(found, axis=1) < 0.5, kind="stable")
    return at_length_1(found[order[:count]]).T


def random_filters(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (49, count): Gaussian, of mean 0."""
    found = rng.standard_normal((count, SIDE**2)).astype(np.float32)
    return at_length_1(found - found.mean(axis=1, keepdims=True)).T


def features(images: np.ndarray, filters: np.ndarray, pools: np.ndarray) -> np.ndarray:
    """Return (N, K pools): the answer of the lower stage."""
    out = []
    for part in np.array_split(images, max(1, len(images) // 500)):
        answer = patches(part) @ filters
        answer -= answer.mean(axis=2, keepdims=True) + answer.std(axis=2, keepdims=True)
        pooled = np.matmul(np.maximum(answer, 0).transpose(0, 2, 1), pools.astype(np.float32))
        out.append(np.sqrt(pooled).reshape(len(part), -1))
    return at_length_1(np.concatenate(out))


def at_length_1(rows: np.ndarray) -> np.ndarray:
    """Return rows divided by their length."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images as they are a moment later: turned by 0.12 rad, nearer or farther by 8 %, up to 2 pixels away."""
    middle = (np.array(images.shape[1:]) - 1) / 2
    out = np.empty_like(images)
    for image, later in zip(images, out, strict=True):
        angle, scale, way = rng.normal(0, 0.12), np.exp(rng.normal(0, 0.08)), rng.uniform(-2, 2, 2)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        ndimage.affine_transform(image, turn, middle - turn @ middle + way, output=later, order=1)
    return out


def lasting(now: np.ndarray, later: np.ndarray, count: int, ease: float = 1e-3) -> np.ndarray:
    """Return the directions that tell images apart and change least while they move (Wiskott & Sejnowski 2002).

    With B the covariance of answers and W the mean square of their changes, the largest b of B v = b (W + ease w I) v.

    Args:
        now: (N, d), answers.
        later: (N, d), those to the same images a moment later.
        count: How many.
        ease: A share of w, ten times W's trace over d: directions that hardly occur do not count.

    Returns:
        (d, count).
    """
    change, around = later - now, now - now.mean(axis=0)
    within, between = change.T @ change / len(now), around.T @ around / len(now)
    within += ease * 10 * np.trace(within) / len(within) * np.eye(len(within), dtype=within.dtype)
    return linalg.eigh(between, within, subset_by_index=(len(within) - count, len(within) - 1))[1]


def learned_units(x: np.ndarray, count: int, rng: np.random.Generator, passes: int = 6) -> np.ndarray:
    """Return (count, d): units that start as images and, pass by pass, become the mean of what they win."""
    units = x[rng.choice(len(x), count, replace=False)].copy()
    for _ in range(passes):
        winner = np.concatenate([distances(part, units).argmin(axis=1) for part in _parts(x)])
        wins = sparse.csr_matrix((np.ones(len(x), np.float32), (winner, np.arange(len(x)))), (count, len(x)))
        counts = np.bincount(winner, minlength=count)
        units[counts > 0] = (wins @ x)[counts > 0] / counts[counts > 0, None]
    return units


def answers(x: np.ndarray, units: np.ndarray) -> sparse.csr_matrix:
    """Return (N, count): shares of the nearest units in an image, those of others 0."""
    rows, shares = [], []
    for part in _parts(x):
        far = distances(part, units)
        near = np.argpartition(far, FIRING, axis=1)[:, : FIRING + 1]
        far = np.take_along_axis(far, near, axis=1)
        order = far.argsort(axis=1)
        near, far = (np.take_along_axis(a, order, axis=1) for a in (near, far))
        share = np.exp(4 * (far[:, :1] - far[:, :FIRING]) / np.maximum(far[:, FIRING:], 1e-9))
        rows.append(near[:, :FIRING])
        shares.append(share / share.sum(axis=1, keepdims=True))
    first = FIRING * np.arange(len(x) + 1)
    return sparse.csr_matrix(
        (np.concatenate(shares).ravel(), np.concatenate(rows).ravel(), first), (len(x), len(units))
    )


def _parts(x: np.ndarray) -> list[np.ndarray]:
    return np.array_split(x, max(1, len(x) // 4000))


def distances(x: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return (N, units): square distances."""
    square = (x**2).sum(axis=1)[:, None] - 2 * x @ units.T + (units**2).sum(axis=1)
    return np.maximum(square, 0)


def spread(z: sparse.csr_matrix, labeled: np.ndarray, targets: np.ndarray, ease: float = 1e-2) -> np.ndarray:
    """Spread labels through the associations of units (as anchor graphs do: Liu, He & Chang 2010).

    With A = Z^T Z the associations, D the units' sums of Z, L = A - A D^-1 A, and Z_l the rows with labels Y,
    B = argmin |Z_l B - Y|^2 + ease tr(B^T L B); each class is then scaled to the same sum over all images.

    Args:
        z: (N, units), answers of the units.
        labeled: (l,), images with labels.
        targets: (l, classes), one-hot.
        ease: How much smoothness counts.

    Returns:
        (units, classes), B.
    """
    sums = np.asarray(z.sum(axis=0)).ravel() + 1e-9
    together = (z.T @ z).toarray()
    laplacian = together - together @ (together / sums[:, None])
    few = z[labeled].toarray()
    left = few.T @ few + ease * laplacian + 1e-6 * np.eye(len(sums))
    found = np.linalg.solve(left, few.T @ targets)
    return found / np.maximum(sums @ found, 1e-9)


@dataclass
class Graded:
    """Graded answers of units to images: exp(-d^2 / w), with the lower stage's own in front.

    Attributes:
        units: (u, d).
        width: w, half the median square distance of units.
    """

    units: np.ndarray
    width: float

    @classmethod
    def of(cls, units: np.ndarray) -> Graded:
        """Choose the width."""
        return cls(units, 0.5 * float(np.median(distances(units, units))))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return (N, d + u)."""
        return np.concatenate([x, np.exp(-distances(x, self.units) / self.width)], axis=1)


@dataclass
class Ridge:
    """Linear read-outs by ridge regression of more images than features: it holds sums over images alone.

    Attributes:
        gram: (1 + d, 1 + d), sums of products of features, a one in front of them.
        cross: (1 + d, classes), those of features and targets.
    """

    gram: np.ndarray
    cross: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, targets: np.ndarray) -> Ridge:
        """Start with some images."""
        wide = 1 + x.shape[1]
        empty = cls(np.zeros((wide, wide)), np.zeros((wide, targets.shape[1])))
        empty.add(x, targets)
        return empty

    def add(self, x: np.ndarray, targets: np.ndarray) -> None:
        """Add images."""
        for rows, wanted in zip(_parts(x), _parts(targets), strict=True):
            held = np.hstack([np.ones((len(rows), 1)), rows])
            self.gram += held.T @ held
            self.cross += held.T @ wanted

    def weights(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and offset; the penalty is in mean squares of the features around their mean."""
        count, mean = self.gram[0, 0], self.gram[0, 1:] / self.gram[0, 0]
        scale = penalty * (np.diag(self.gram)[1:].sum() / count - (mean**2).sum())
        held = np.diag(np.r_[0.0, np.full(len(mean), scale)])
        found = np.linalg.solve(self.gram + held, self.cross)
        return found[1:], found[0]

    def best(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Return the penalty under which most of other images are told right."""
        return max(PENALTIES, key=lambda p: (told(x, self.weights(p)).argmax(axis=1) == labels).mean())


def readout(x: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and offset of a linear read-out: ridge regression, the penalty in mean squares of x."""
    if len(x) > x.shape[1]:
        return Ridge.of(x, targets).weights(penalty)
    mean, base = x.mean(axis=0), targets.mean(axis=0)
    x = (x - mean).astype(np.float64)
    scale = penalty * (x**2).sum() / len(x)
    weights = x.T @ np.linalg.solve(x @ x.T + scale * np.eye(len(x)), targets - base)
    return weights, base - mean @ weights


def told(x: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return a read-out's outputs."""
    return x @ weights[0] + weights[1]


def best_readout(
    few: tuple[np.ndarray, np.ndarray], held: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear read-out of labeled images whose penalty is best on held-out images: a gift to the controls."""
    found = [readout(*few, penalty) for penalty in PENALTIES]
    return max(found, key=lambda w: float((told(held[0], w).argmax(axis=1) == held[1]).mean()))
