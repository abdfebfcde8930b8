"""The geometry of pools: how large, how compact, how evenly laid, and whether they lie where they should.

Pure functions of any matrix from n nodes to M units, binary or weighted, and of the nodes' places; a foreign network
needs nothing else. Distances run along a surface, the plane by default.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError
from devnet.measure._parts import mean_spacing
from devnet.measure.pooling import (
    coverage,
    largest_component_share,
    overlap,
    pool_centers,
    weighted_rms_radius,
)
from devnet.sheet import PLANE, Surface


def compactness(
    pools: Bool[np.ndarray, "n M"],
    positions: Float[np.ndarray, "n 2"],
    *,
    spacing: float | None = None,
    surface: Surface = PLANE,
) -> Float[np.ndarray, " M"]:
    """Return how near each pool comes to a disc: the rms radius of a disc of as many nodes over the pool's own.

    k nodes of mean spacing s fill a disc of rms radius s sqrt(k / 2 pi).

    Args:
        pools: (n, M), which nodes belong to which pool.
        positions: (n, 2).
        spacing: Mean spacing of the nodes; None estimates it from the positions.
        surface: On what the positions lie.

    Returns:
        (M,): 1 for a disc, up to the grain of the nodes; 0.98 for a square; small for scattered nodes; NaN for fewer
        than two nodes.

    Raises:
        ConfigError: No spacing can be estimated.
    """
    if spacing is None:
        spacing = mean_spacing(surface.lift(positions))
    size = pools.sum(axis=0)
    own = weighted_rms_radius(pools.astype(float), positions, surface)
    disc = spacing * np.sqrt(size / (2 * np.pi))
    return np.where(size > 1, disc / np.where(size > 1, own, 1.0), np.nan)


def topographic_error(
    weights: Float[np.ndarray, "n M"],
    positions: Float[np.ndarray, "n 2"],
    places: Float[np.ndarray, "M 2"],
    *,
    surface: Surface = PLANE,
) -> Float[np.ndarray, " M"]:
    """Return how far the center of each unit's weights lies from where it should.

    Error and spread (``weighted_rms_radius``) are kept apart, since one can fall while the other rises (Bamford, Murray
    & Willshaw 2010, *Synaptic rewiring for topographic mapping and receptive field development*).

    Args:
        weights: (n, M), at least 0.
        positions: (n, 2), places of the nodes.
        places: (M, 2), the ideal center of each unit, for example that of the cell from which it rose.
        surface: On what positions and places lie.

    Returns:
        (M,) distances; NaN for a unit without any weight.
    """
    there = surface.lift(pool_centers(weights, positions, surface))
    return surface.arc(np.sqrt(((there - surface.lift(places)) ** 2).sum(axis=1)))


def regularity(points: Float[np.ndarray, "M 2"], *, surface: Surface = PLANE) -> float:
    """Return the regularity index of points: mean over standard deviation of the distance to the nearest other.

    Random points have 1 / sqrt(4/pi - 1) = 1.91, lattices have large values (Wassle & Riemann 1978).

    Args:
        points: (M, 2), for example the centers of pools; NaN rows are left out.
        surface: On what they lie.

    Returns:
        The index; infinity where all distances are equal.

    Raises:
        ConfigError: Fewer than three points.
    """
    known = points[np.isfinite(points).all(axis=1)]
    if len(known) < 3:
        raise ConfigError("points", f"{len(known)} points", "at least 3 points")
    lifted = surface.lift(known)
    nearest = surface.arc(KDTree(lifted).query(lifted, k=2)[0][:, 1])
    deviation = float(nearest.std())
    return float(nearest.mean()) / deviation if deviation > 1e-9 * nearest.mean() else float("inf")


@dataclass(frozen=True)
class PoolGeometry:
    """Numbers that sum up a matrix of pools, empty ones left out of all but ``empty``.

    Attributes:
        units: Number of pools M.
        empty: Share of pools without any node.
        size: Median number of nodes in a pool.
        size_mean: Mean number.
        size_sd: Standard deviation of the number.
        coverage: Share of nodes in any pool.
        overlap: Pools per node that lies in any.
        compactness: Median of ``compactness``.
        component_share: Mean share of a pool in its largest connected part.
        spread: Mean rms distance of a pool's nodes to its center, in mean spacings.
        regularity: Regularity index of the pools' centers; 1.91 for random ones.
    """

    units: int
    empty: float
    size: float
    size_mean: float
    size_sd: float
    coverage: float
    overlap: float
    compactness: float
    component_share: float
    spread: float
    regularity: float

    def numbers(self) -> dict[str, float]:
        """Return all of it as plain numbers by name."""
        return asdict(self)


def pool_geometry(
    pools: Bool[np.ndarray, "n M"],
    positions: Float[np.ndarray, "n 2"],
    *,
    link: float | None = None,
    surface: Surface = PLANE,
) -> PoolGeometry:
    """Sum up the geometry of pools given as a binary matrix.

    Args:
        pools: (n, M), truth values or zeros and ones.
        positions: (n, 2).
        link: Nodes closer than this are linked; None takes 2 mean spacings, estimated from the positions.
        surface: On what the positions lie.

    Returns:
        The numbers.

    Raises:
        ConfigError: Shapes do not fit, entries are not binary, or fewer than three pools hold two nodes.

    Examples:
        >>> import numpy as np
        >>> places = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
        >>> quarter = (places[:, :1] // 6 == [0, 0, 1, 1]) & (places[:, 1:] // 6 == [0, 1, 0, 1])
        >>> found = pool_geometry(quarter, places)
        >>> found.size, found.coverage, found.overlap, found.component_share
        (36.0, 1.0, 1.0, 1.0)
    """
    positions = frozen_array("positions", positions, np.float64, (None, 2))
    numbers = frozen_array("pools", np.asarray(pools, dtype=float), np.float64, (len(positions), None))
    if not np.isin(numbers, (0.0, 1.0)).all():
        raise ConfigError(
            "pools", "entries other than 0 and 1", "a binary matrix; weights >= threshold is one"
        )
    sets = numbers > 0
    size = sets.sum(axis=0)
    used = sets[:, size > 0]
    if np.count_nonzero(size > 1) < 3:
        raise ConfigError(
            "pools", f"{np.count_nonzero(size > 1)} pools of two nodes or more", "at least 3 of them"
        )
    spacing = mean_spacing(surface.lift(positions))
    return PoolGeometry(
        units=sets.shape[1],
        empty=float((size == 0).mean()),
        size=float(np.median(size[size > 0])),
        size_mean=float(size[size > 0].mean()),
        size_sd=float(size[size > 0].std()),
        coverage=coverage(sets, size > 0),
        overlap=overlap(sets),
        compactness=float(np.nanmedian(compactness(used, positions, spacing=spacing, surface=surface))),
        component_share=float(largest_component_share(used, positions, link, surface).mean()),
        spread=float(weighted_rms_radius(used.astype(float), positions, surface).mean() / spacing),
        regularity=regularity(pool_centers(used.astype(float), positions, surface), surface=surface),
    )
