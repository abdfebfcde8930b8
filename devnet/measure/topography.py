"""How faithfully a layer maps the places of the layer below: order and folds. Usable on foreign networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import Delaunay, QhullError
from scipy.spatial.distance import pdist

from devnet._core.errors import ConfigError

ROUNDING = 1e-12
"""Distances that differ by less than this share of the sheet are alike."""


def centers(
    weights: Float[np.ndarray, "n M"], positions: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "M d"]:
    """Return the weighted centers of units: ``c_j = sum_i w_ij p_i / sum_i w_ij``.

    Args:
        weights: (n, M), at least 0; every unit has some.
        positions: (n, d), places of the nodes.

    Returns:
        (M, d).

    Raises:
        ConfigError: A unit has no weight.
    """
    total = weights.sum(axis=0)
    if not (total > 0).all():
        raise ConfigError(
            "weights", f"unit {int(np.argmin(total > 0))} has none", "a weight above 0 for every unit"
        )
    return (weights / total).T @ positions


def topographic_order(
    places: Float[np.ndarray, "M d"], weights: Float[np.ndarray, "n M"], positions: Float[np.ndarray, "n e"]
) -> float:
    """Return the rank correlation between the distances of units and those of their centers below.

    Args:
        places: (M, d), where the units lie.
        weights: (n, M), their weights.
        positions: (n, e), where the nodes below lie.

    Returns:
        Spearman's rho over all pairs: 1 for a map that keeps every order of distances, also a turned or mirrored one; about
        0 for a random one, and 0 where distances do not differ, as with units that all have the same weights.

    Raises:
        ConfigError: Fewer than 3 units, or a unit without weight.
    """
    if len(places) < 3:
        raise ConfigError("places", len(places), "at least 3 units")
    from scipy.stats import spearmanr  # asks for torch when it loads

    here, below = pdist(places), pdist(centers(weights, positions))
    if any(np.ptp(d) <= ROUNDING * np.ptp(at) for d, at in ((here, places), (below, positions))):
        return 0.0
    found: Any = spearmanr(here, below)
    return float(found.statistic)


def folded_share(
    places: Float[np.ndarray, "M 2"], weights: Float[np.ndarray, "n M"], positions: Float[np.ndarray, "n 2"]
) -> float:
    """Return the share of triangles of neighboring units that the map turns over.

    Units are joined to triangles by Delaunay's rule; a map without a fold turns either none or, mirrored, all of them
    over, and the rarer orientation counts. Long flat triangles at the rim, of which the smallest angle is below 15
    degrees, are left out.

    Args:
        places: (M, 2), where the units lie.
        weights: (n, M), their weights.
        positions: (n, 2), where the nodes below lie.

    Returns:
        From 0, no fold, to 0.5; 0 also where no triangle is left, as of units in one row.

    Raises:
        ConfigError: Fewer than 3 units, or a unit without weight.
    """
    if len(places) < 3:
        raise ConfigError("places", len(places), "at least 3 units")
    try:
        triangles = Delaunay(places).simplices
    except QhullError:  # on one line
        return 0.0
    here = _areas(places[triangles])
    sides = np.linalg.norm(places[triangles] - np.roll(places[triangles], 1, axis=1), axis=2)
    sine = 2.0 * np.abs(here) * sides.min(axis=1) / sides.prod(axis=1)  # of the angle at the shortest side
    below = _areas(centers(weights, positions)[triangles])
    same = (np.sign(here) == np.sign(below))[sine > np.sin(np.radians(15.0))]
    return float(min(same.mean(), 1.0 - same.mean())) if len(same) else 0.0


def _areas(corners: Float[np.ndarray, "t 3 2"]) -> Float[np.ndarray, " t"]:
    """Return signed areas of triangles."""
    (ax, ay), (bx, by) = (corners[:, k].T - corners[:, 0].T for k in (1, 2))
    return (ax * by - ay * bx) / 2.0
