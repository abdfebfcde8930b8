"""What is done to a learner every so many steps, whatever its rule: normalization, balanced thresholds, rewiring.

Each is a function of arrays, so that it serves any projection; ``tend`` applies those that a rule's ``upkeep`` names.
Backends stop at these steps and hand the learner over, so that all of them do the same.

=========  =================================================================================================
normalize  w_ij <- w_ij T / sum_i w_ij, or the present ones less the same amount each, clipped at 0, until the sum is T:
           of each unit (T what its weights started at) or of each cell (T the mean over the cells)
balance    c_j <- c_j + gain (wins_j / wins - 1 / M), wins counted since the last time
rewire     a unit keeps its (1 - turnover) K strongest synapses and grows others to K = density n, at cells drawn
           evenly among those without, each newborn times the mean of those kept; its sum stays
=========  =================================================================================================

Miller & MacKay 1994 compare the two ways to normalize; Butz, Woergoetter & van Ooyen 2009 review rewiring.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from devnet._core.random import Key, Stream
from devnet.dynamics.plasticity.base import Learner, total
from devnet.spec import BalanceSpec, CompetitionSpec, NormalizeSpec, RewireSpec, RuleSpec


def normalized(
    weights: Float[np.ndarray, "n M"], by: str, target: float, *, axis: int = 0
) -> Float[np.ndarray, "n M"]:
    """Return weights whose sums along an axis are ``target``, as far as there is anything to sum.

    Args:
        weights: At least 0.
        by: ``"factor"`` or ``"offset"``: what is 0 stays 0.
        target: T, above 0.
        axis: 0 for the synapses of each unit, 1 for those of each cell.

    Returns:
        The weights.
    """
    sums = weights.sum(axis=axis, keepdims=True)
    if by == "factor":
        return weights * np.where(sums > 0, target / np.where(sums > 0, sums, 1.0), 1.0)
    found = np.moveaxis(weights, axis, 0).copy()
    for column in found.reshape(len(found), -1).T:
        present = column > 0
        if present.any():
            column[present] = _onto_simplex(column[present], target)
    return np.moveaxis(found, 0, axis)


def _onto_simplex(values: Float[np.ndarray, " k"], target: float) -> Float[np.ndarray, " k"]:
    """Take the same from each value, those below 0 set to 0, until they sum to the target."""
    largest = np.sort(values)[::-1]
    excess = (np.cumsum(largest) - target) / np.arange(1, len(values) + 1)
    return np.maximum(values - excess[np.flatnonzero(largest > excess)[-1]], 0.0)


def balanced(
    thresholds: Float[np.ndarray, " M"], wins: Int[np.ndarray, " M"], gain: float
) -> Float[np.ndarray, " M"]:
    """Return thresholds moved by how much more than its share each unit won."""
    count = wins.sum()
    return thresholds + gain * (wins / count - 1 / len(wins)) if count else thresholds


def rewired(
    weights: Float[np.ndarray, "n M"], spec: RewireSpec, draws: Stream, step: int
) -> Float[np.ndarray, "n M"]:
    """Return weights after a turnover of synapses.

    Args:
        weights: At least 0; 0 is no synapse.
        spec: Density, turnover, weight of a new synapse.
        draws: Where new synapses grow.
        step: Number of the step, below 2^32.

    Returns:
        Weights of which K = max(1, round(density n)) a unit are above 0; sums as before. Where a unit has more, as at
        the start, the weakest go first.
    """
    n, units = weights.shape
    count = max(1, round(spec.density * n))
    stay = max(1, count - round(spec.turnover * count))
    found = np.zeros_like(weights)
    for j in range(units):
        strongest = np.argsort(-weights[:, j], kind="stable")[:stay]
        strongest = strongest[weights[strongest, j] > 0]
        if not len(strongest):
            continue
        found[strongest, j] = weights[strongest, j]
        order = np.argsort(draws.uniform(step, n, j), kind="stable")
        free = order[found[order, j] == 0][: count - len(strongest)]
        found[free, j] = spec.newborn * weights[strongest, j].mean()
        found[:, j] *= weights[:, j].sum() / found[:, j].sum()
    return found


def tend(rule: RuleSpec, learner: Learner, done: int, key: Key) -> None:
    """Apply, in place, the upkeep that is due.

    Args:
        rule: The rule.
        learner: What changes.
        done: Steps done.
        key: Key of the run.
    """
    if not isinstance(rule, CompetitionSpec):
        return
    for name, part in rule.upkeep.items():
        if done % part.every:
            continue
        if isinstance(part, NormalizeSpec):
            axis = 0 if part.of == "unit" else 1
            target = total(rule, len(learner.weights)) if axis == 0 else learner.weights.sum(axis=1).mean()
            learner.weights[:] = normalized(learner.weights, part.by, target, axis=axis)
        elif isinstance(part, BalanceSpec):
            learner.thresholds[:] = balanced(learner.thresholds, learner.wins - learner.counted, part.gain)
            learner.counted[:] = learner.wins
        else:
            draws = key.child("upkeep", name).stream("rewire")
            learner.weights[:] = rewired(learner.weights, part, draws, done)


def pieces(rule: RuleSpec | None, begin: int, steps: int) -> Iterator[int]:
    """Cut a run so that upkeep is due at the ends of its pieces only.

    Args:
        rule: The rule, or None.
        begin: Steps done before it.
        steps: Its length.

    Yields:
        Lengths.
    """
    end = begin + steps
    periods = [part.every for part in rule.upkeep.values()] if isinstance(rule, CompetitionSpec) else []
    while begin < end:
        cut = min([end, *((begin // every + 1) * every for every in periods)])
        yield cut - begin
        begin = cut
