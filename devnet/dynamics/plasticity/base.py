"""What a learning rule is, what it changes, and the competition of the units, which all rules share.

At a step in which enough cells fire, and not too far apart, with s their 0/1 vector, y = W^T s and the unit
k = argmax(y - c) wins (ties go to the lowest). What the winner then does is the rule's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from devnet._core.random import Key
from devnet._core.registry import Registry
from devnet.spec import (
    BCMSpec,
    HebbianWTASpec,
    KWinnersSpec,
    OjaSpec,
    PairSTDPSpec,
    RuleSpec,
    TemporalDifferenceSpec,
    TripletSTDPSpec,
)

PoolSpec = HebbianWTASpec | KWinnersSpec | PairSTDPSpec | TripletSTDPSpec | OjaSpec | BCMSpec


@dataclass
class Learner:
    """What learning changes.

    Attributes:
        weights: (n, M), from cells to units.
        thresholds: (M,), c.
        wins: (M,), events won.
        peak: (M,), largest drive y so far.
        pre: (rows, n), what a rule remembers of the cells: traces of their spikes, fast and slow, or frames.
        post: (2, M), traces of the units' spikes, fast and slow; or, in the first row, what else a rule keeps of a unit.
        places: (n, d), places of the cells in space in units of r_o, for the gate on spread.
        counted: (M,), wins that thresholds have been balanced for.
    """

    weights: Float[np.ndarray, "n M"]
    thresholds: Float[np.ndarray, " M"]
    wins: Int[np.ndarray, " M"]
    peak: Float[np.ndarray, " M"]
    pre: Float[np.ndarray, "rows n"]
    post: Float[np.ndarray, "2 M"]
    places: Float[np.ndarray, "n d"]
    counted: Int[np.ndarray, " M"]

    @classmethod
    def of(
        cls,
        weights: Float[np.ndarray, "n M"],
        thresholds: Float[np.ndarray, " M"],
        places: Float[np.ndarray, "n d"] | None = None,
    ) -> Learner:
        """Return a learner that has not seen anything yet; without places, all cells at one."""
        n, units = weights.shape
        return cls(
            weights=weights,
            thresholds=thresholds,
            wins=np.zeros(units, np.int64),
            peak=np.zeros(units),
            pre=np.zeros((2, n)),
            post=np.zeros((2, units)),
            places=np.zeros((n, 2)) if places is None else places,
            counted=np.zeros(units, np.int64),
        )


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        name: As a spec's ``rule`` names it.
        number: Its place among the built-in rules, by which the compiled backend dispatches; 9 for all others, whose
            kernels are compiled anew in each process.
        constants: ``(spec, n, units) -> r``: what ``kernel`` needs, behind the ``shared_constants``.
        learn: The law: ``(spec, learner, firing, step)``, in place, in plain NumPy.
        kernel: The same for one cell and unit at a time, in the subset of Python that numba compiles:
            ``(firing, winner, drive, drives, scale, stored_sum, weights, thresholds, pre, post, r) -> won``. The
            units of ``temporal_difference`` do not compete by who fires now, and its kernel has other arguments.
        teach: The law without its competition, ``(spec, learner, firing, f)``, in place: unit j learns as one that is
            active by f_j >= 0. With it a rule serves any projection whose units compete otherwise, as those of a
            layer of a stack do. None where there is no such form.
    """

    name: str
    number: int
    constants: Callable[[Any, int, int], Float[np.ndarray, " k"]]
    learn: Callable[[Any, Learner, Int[np.ndarray, " k"], int], None]
    kernel: Callable[..., Any]
    teach: Callable[[Any, Learner, Int[np.ndarray, " k"], Float[np.ndarray, " M"]], None] | None = None


SHARED = 9
"""Number of constants that every rule has in front of its own."""


def shared_constants(spec: PoolSpec, n: int) -> list[float]:
    """Return (total, min_active, recruit_every, recruit_wins, recruit_divisor, c_plus, c_decay, max_spread, afresh).

    The last says that the rule changes weights otherwise than by scale, so that drives are summed afresh.
    """
    return [
        total(spec, n),
        spec.min_active,
        spec.recruit_every,
        spec.recruit_wins,
        spec.recruit_divisor,
        spec.c_plus,
        spec.c_decay,
        spec.max_spread,
        0.0,
    ]


def total(spec: PoolSpec, n: int) -> float:
    """Return the sum at which each unit's weights start, and are kept where the rule keeps one."""
    return spec.weight if spec.norm == "sum" else spec.weight * n


def start(
    spec: RuleSpec,
    places: Float[np.ndarray, "n d"],
    units: int,
    key: Key,
    weights: Float[np.ndarray, "n M"] | None = None,
) -> Learner:
    """Draw unordered all-to-all weights and thresholds.

    Args:
        spec: The rule.
        places: (n, d), places of the cells in space in units of r_o.
        units: Number of units M.
        key: Key of the draws; a unit's do not depend on how many units there are.
        weights: (n, M), weights to go on from instead; each unit needs one above 0.

    Returns:
        w ~ N(1, weight_cv^2), negative draws set to 0, each unit rescaled; c ~ N(c_mean, c_sd^2). Weights with signs:
        w ~ N(0, 1), each unit at length 1; c = 0.
    """
    n = len(places)
    if isinstance(spec, TemporalDifferenceSpec):
        columns = [key.stream("weights").normal(j, n).astype(np.float64) for j in range(units)]
        first = np.stack(columns, axis=1) if weights is None else weights
        learner = Learner.of(first / np.sqrt((first**2).sum(axis=0)), np.zeros(units), places)
        learner.pre = np.zeros((spec.memory, n))
        return learner
    if weights is not None:
        first = weights
    else:
        draws = key.stream("weights")
        columns = [1 + spec.weight_cv * draws.normal(j, n).astype(np.float64) for j in range(units)]
        first = np.maximum(np.stack(columns, axis=1), 0)
    first = first * (total(spec, n) / first.sum(axis=0))
    normal = key.stream("thresholds").normal(0, units).astype(np.float64)
    return Learner.of(first, spec.c_mean + spec.c_sd * normal, places)


def is_open(spec: RuleSpec, learner: Learner, firing: Int[np.ndarray, " k"]) -> bool:
    """Say whether a step teaches.

    One bump has an rms radius of about half an r_o; two bumps at once, which are rare, would teach one unit two places.

    Args:
        spec: The rule.
        learner: Knows the cells' places.
        firing: Cells that fire in this step.

    Returns:
        Whether at least ``min_active`` cells fire and, where ``max_spread`` is set, within that many r_o.
    """
    if len(firing) < spec.min_active:
        return False
    limit = spec.max_spread**2
    return limit == 0 or bool(np.var(learner.places[firing], axis=0).sum() <= limit)


def compete(spec: PoolSpec, learner: Learner, firing: Int[np.ndarray, " k"]) -> tuple[int, float] | None:
    """Return the winner and its drive y, or None where learning is gated; keep the largest drives."""
    if not is_open(spec, learner, firing):
        return None
    drive = learner.weights[firing].sum(axis=0)
    np.maximum(learner.peak, drive, out=learner.peak)
    k = int(np.argmax(drive - learner.thresholds))
    return k, float(drive[k])


def connected(
    spec: PoolSpec, learner: Learner, firing: Int[np.ndarray, " k"], k: int
) -> Int[np.ndarray, " k"]:
    """Return the firing cells that have a synapse on unit k: all of them, unless the rule's upkeep rewires."""
    return firing[learner.weights[firing, k] > 0] if spec.structural else firing


def only(units: Any, f: Any, count: int) -> Float[np.ndarray, " M"]:
    """Return f for some of ``count`` units, and 0 for all others."""
    found = np.zeros(count)
    found[units] = f
    return found


def won(spec: RuleSpec, learner: Learner, k: int, rise: float) -> None:
    """Let all thresholds decay and the winner's rise: c_j <- c_j (1 - c_decay / M), c_k <- c_k + c_plus rise."""
    learner.thresholds -= learner.thresholds * (spec.c_decay / len(learner.wins))
    learner.thresholds[k] += spec.c_plus * rise
    learner.wins[k] += 1


def recruit(spec: PoolSpec, learner: Learner, step: int) -> None:
    """Every ``recruit_every`` steps give units with few wins the threshold peak / ``recruit_divisor`` (G19)."""
    if spec.recruit_every and (step + 1) % spec.recruit_every == 0:
        rare = learner.wins < spec.recruit_wins
        learner.thresholds[rare] = learner.peak[rare] / spec.recruit_divisor


_RULES: Registry[Rule] = Registry("rule")
register = _RULES.register


def rule_of(spec: RuleSpec) -> Rule:
    """Return the rule that a spec names; a ``ConfigError`` where none of that name is registered."""
    return _RULES.of(spec.rule)
