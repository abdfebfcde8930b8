"""How well units have become pools: pure functions from weights and places to numbers, on any network.

Weights are (n, M), from n nodes at given places of a surface, the plane by default, to M units. The receptive field of a unit is
``{i : w_ij >= max_i(w_ij) / 2}``. A unit is **organized** when it won in the last fifth of learning, its weighted
rms radius is below half of the sheet's, and the largest connected part of its field holds over 0.8 of the field.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError
from devnet.measure._parts import LINK_SPACINGS, Neighbors, chunks
from devnet.sheet import PLANE, Sheet, Surface, Wiring
from devnet.sheet.sampling import receptive_fields

RADIUS_BELOW = 0.5
"""An organized unit's rms radius is below this share of the sheet's."""
PART_ABOVE = 0.8
"""The largest connected part of an organized unit's field holds more than this share of it."""
G19_THRESHOLD = 0.1
"""G19: a node belongs to a unit's pool when its weight is at least this, at a mean weight of 2.5."""
G19_MEAN = 2.5


def pool_centers(
    weights: Float[np.ndarray, "n M"], positions: Float[np.ndarray, "n 2"], surface: Surface = PLANE
) -> Float[np.ndarray, "M 2"]:
    """Return the center of each unit's weight: ``c_j = sum_i w_ij p_i / sum_i w_ij``, put back on the surface.

    Args:
        weights: (n, M), at least 0.
        positions: (n, 2).
        surface: On what the positions lie; the sum is one of places in space.

    Returns:
        (M, 2), NaN for a unit without any weight.
    """
    total = weights.sum(axis=0)
    share = weights / np.where(total > 0, total, 1.0)
    return np.where((total > 0)[:, None], surface.project(share.T @ surface.lift(positions)), np.nan)


def weighted_rms_radius(
    weights: Float[np.ndarray, "n M"], positions: Float[np.ndarray, "n 2"], surface: Surface = PLANE
) -> Float[np.ndarray, " M"]:
    """Return the root mean square distance of each unit's weight to its center: the spread of its field.

    ``r_j^2 = sum_i w_ij d(p_i, c_j)^2 / sum_i w_ij``, c_j as in ``pool_centers`` and d the distance along the surface.

    Args:
        weights: (n, M), at least 0.
        positions: (n, 2).
        surface: On what the positions lie.

    Returns:
        (M,), NaN for a unit without any weight.
    """
    total = weights.sum(axis=0)
    share = weights / np.where(total > 0, total, 1.0)
    if surface != PLANE:
        centers = np.nan_to_num(pool_centers(weights, positions, surface))
        square = (share * surface.distances(positions, centers) ** 2).sum(axis=0)
        return np.where(total > 0, np.sqrt(square), np.nan)
    centered = positions - positions.mean(axis=0)
    square = share.T @ (centered**2).sum(axis=1) - ((share.T @ centered) ** 2).sum(axis=1)
    return np.where(total > 0, np.sqrt(np.maximum(square, 0.0)), np.nan)


def sheet_rms_radius(positions: Float[np.ndarray, "n 2"], surface: Surface = PLANE) -> float:
    """Return the root mean square distance of nodes to their center: a unit's that takes all alike."""
    return float(weighted_rms_radius(np.ones((len(positions), 1)), positions, surface)[0])


def largest_component_share(
    fields: Bool[np.ndarray, "n M"],
    positions: Float[np.ndarray, "n 2"],
    link: float | None = None,
    surface: Surface = PLANE,
) -> Float[np.ndarray, " M"]:
    """Return which share of each field its largest connected part holds.

    Args:
        fields: (n, M), which nodes belong to which field.
        positions: (n, 2).
        link: Nodes closer than this are linked; None takes 2 mean spacings, estimated from the positions.
        surface: On what the positions lie.

    Returns:
        (M,), from above 0 to 1; 0 for an empty field.

    Raises:
        ConfigError: The link is not above 0, or no spacing can be estimated.
    """
    neighbors = Neighbors(surface.lift(positions), link and surface.chord(link))
    sizes = fields.sum(axis=0)
    largest = np.zeros(len(sizes), dtype=np.int64)
    for first, last in chunks(sizes):
        owner, node = np.nonzero(fields[:, first:last].T)
        part = neighbors.parts(owner, node, last - first)
        if len(part):
            owner_of = np.empty(part.max() + 1, dtype=np.int64)
            owner_of[part] = owner
            np.maximum.at(largest[first:last], owner_of, np.bincount(part))
    return largest / np.maximum(sizes, 1)


def organized(
    weights: Float[np.ndarray, "n M"],
    positions: Float[np.ndarray, "n 2"],
    late_wins: Int[np.ndarray, " M"],
    *,
    link: float | None = None,
    surface: Surface = PLANE,
) -> Bool[np.ndarray, " M"]:
    """Say which units are organized.

    Args:
        weights: (n, M), at least 0.
        positions: (n, 2).
        late_wins: (M,), learning events that each unit won in the last fifth of the run.
        link: Nodes closer than this are linked; None takes 2 mean spacings, estimated from the positions.
        surface: On what the positions lie.

    Returns:
        (M,): won in the last fifth, weighted rms radius below 0.5 of the sheet's, and over 0.8 of the receptive
        field in its largest connected part.

    Raises:
        ConfigError: Shapes do not fit, an entry is negative or not finite, or the link is not above 0.
    """
    weights, positions, late_wins = _checked(weights, positions, late_wins)
    ratio = weighted_rms_radius(weights, positions, surface) / sheet_rms_radius(positions, surface)
    part = largest_component_share(receptive_fields(weights), positions, link, surface)
    return _meets_all(ratio, part, late_wins)


def coverage(fields: Bool[np.ndarray, "n M"], chosen: Bool[np.ndarray, " M"]) -> float:
    """Return the share of nodes that lie in the field of a chosen (an organized) unit."""
    return float(fields[:, chosen].any(axis=1).mean())


def overlap(fields: Bool[np.ndarray, "n M"]) -> float:
    """Return in how many fields a node lies, over the nodes that lie in any; 0 where all fields are empty."""
    count = fields.sum(axis=1)
    covered = np.count_nonzero(count)
    return float(count.sum() / covered) if covered else 0.0


def relative_pool_sizes(
    weights: Float[np.ndarray, "n M"], share: float = G19_THRESHOLD / G19_MEAN
) -> Int[np.ndarray, " M"]:
    """Return the sizes of the pools ``{i : w_ij >= share * mean_i(w_ij)}``: G19's pools, whatever the norm of the rule.

    Args:
        weights: (n, M), at least 0.
        share: Threshold in units of the unit's mean weight; 0.04 is G19's 0.1 of 2.5.

    Returns:
        (M,); 0 for a unit without any weight.
    """
    mean = weights.mean(axis=0)
    return ((weights >= share * mean) & (mean > 0)).sum(axis=0)


@dataclass(frozen=True)
class PoolStatistics:
    """Numbers that sum up a pooling layer.

    Attributes:
        units: Number of units M.
        organized: Share of units that are organized.
        coverage: Share of nodes in the field of an organized unit.
        field_size: Mean number of nodes in a receptive field, empty fields left out.
        radius_ratio: Mean weighted rms radius over the sheet's, units without any weight left out.
        component_share: Mean share of a field in its largest connected part, empty fields left out.
        overlap: Fields per node that lies in any, all units counted.
        pool_size: Mean number of nodes with at least 0.04 of the unit's mean weight: G19's pool.
    """

    units: int
    organized: float
    coverage: float
    field_size: float
    radius_ratio: float
    component_share: float
    overlap: float
    pool_size: float

    def numbers(self) -> dict[str, float]:
        """Return all of it as plain numbers by name."""
        return asdict(self)


def pool_statistics(
    weights: Float[np.ndarray, "n M"],
    positions: Float[np.ndarray, "n 2"],
    late_wins: Int[np.ndarray, " M"],
    *,
    link: float | None = None,
    surface: Surface = PLANE,
) -> PoolStatistics:
    """Sum up a pooling layer.

    Args:
        weights: (n, M), at least 0.
        positions: (n, 2).
        late_wins: (M,), learning events that each unit won in the last fifth of the run.
        link: Nodes closer than this are linked; None takes 2 mean spacings, estimated from the positions.
        surface: On what the positions lie.

    Returns:
        The statistics.

    Raises:
        ConfigError: Shapes do not fit, an entry is negative or not finite, or no unit has any weight.
    """
    weights, positions, late_wins = _checked(weights, positions, late_wins)
    fields = receptive_fields(weights)
    used = np.asarray(fields.any(axis=0))
    if not used.any():
        raise ConfigError("weights", "no weight above 0", "at least one unit with weights")
    ratio = weighted_rms_radius(weights, positions, surface) / sheet_rms_radius(positions, surface)
    part = largest_component_share(fields, positions, link, surface)
    chosen = _meets_all(ratio, part, late_wins)
    return PoolStatistics(
        units=weights.shape[1],
        organized=float(chosen.mean()),
        coverage=coverage(fields, chosen),
        field_size=float(fields[:, used].sum(axis=0).mean()),
        radius_ratio=float(ratio[used].mean()),
        component_share=float(part[used].mean()),
        overlap=overlap(fields),
        pool_size=float(relative_pool_sizes(weights)[used].mean()),
    )


def wiring_statistics(wiring: Wiring) -> PoolStatistics:
    """Sum up the pools of a wiring; nodes are linked within 2 of the sheet's mean spacings, signs do not count."""
    return _statistics(wiring, wiring.weights, wiring.late_wins)


def initial_statistics(wiring: Wiring) -> PoolStatistics:
    """Sum up a wiring's units as they were before the first step.

    Nobody has won anything by then, so every unit counts as a winner: the reading that is most generous to step 0.

    Args:
        wiring: The wiring.

    Returns:
        The statistics; nodes are linked within 2 of the sheet's mean spacings.
    """
    return _statistics(wiring, wiring.initial_weights, np.ones(wiring.units, dtype=np.int64))


def organized_on(
    sheet: Sheet, weights: Float[np.ndarray, "n M"], late_wins: Int[np.ndarray, " M"]
) -> Bool[np.ndarray, " M"]:
    """Say which units are organized on a sheet, as ``wiring_statistics`` counts them: signs do not count.

    Args:
        sheet: Where the cells lie.
        weights: (n, M).
        late_wins: (M,), learning events that each unit won in the last fifth of the run.

    Returns:
        (M,), see ``organized``; nodes are linked within 2 of the sheet's mean spacings.
    """
    return organized(np.abs(weights), sheet.positions, late_wins, **_linked(sheet))


def _statistics(wiring: Wiring, weights: np.ndarray, won: np.ndarray) -> PoolStatistics:
    sheet = wiring.sheet
    return pool_statistics(np.abs(weights), sheet.positions, won, **_linked(sheet))


def _linked(sheet: Sheet) -> dict[str, Any]:
    return {"link": LINK_SPACINGS * sheet.spacing, "surface": sheet.scaffold.surface}


def _meets_all(ratio: np.ndarray, part: np.ndarray, late_wins: np.ndarray) -> np.ndarray:
    return (late_wins > 0) & (np.nan_to_num(ratio, nan=np.inf) < RADIUS_BELOW) & (part > PART_ABOVE)


def _checked(weights: np.ndarray, positions: np.ndarray, late_wins: np.ndarray) -> tuple[np.ndarray, ...]:
    positions = frozen_array("positions", positions, np.float64, (None, 2))
    weights = frozen_array("weights", weights, np.float64, (len(positions), None), low=0)
    if weights.shape[1] == 0:
        raise ConfigError("weights", f"array of shape {weights.shape}", "at least one unit")
    late_wins = frozen_array("late_wins", late_wins, np.int64, (weights.shape[1],), low=0)
    if len(positions) < 2 or not np.ptp(positions, axis=0).any():
        raise ConfigError("positions", f"{len(positions)} nodes", "at least 2 nodes at different places")
    return weights, positions, late_wins
