"""What a learning rule is, what it changes, and the competition of the units, which all rules share.

At a step in which at least ``min_active`` cells fire, with s their 0/1 vector, y = W^T s and the unit
k = argmax(y - c) wins (ties go to the lowest). What the winner then does is the rule's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.spec import RuleSpec


@dataclass
class Learner:
    """What learning changes.

    Attributes:
        weights: (n, M), from cells to units.
        thresholds: (M,), c.
        wins: (M,), events won.
        peak: (M,), largest drive y so far.
        pre: (2, n), traces of the cells' spikes, fast and slow, for rules that have them.
        post: (2, M), traces of the units' spikes, fast and slow.
    """

    weights: Float[np.ndarray, "n M"]
    thresholds: Float[np.ndarray, " M"]
    wins: Int[np.ndarray, " M"]
    peak: Float[np.ndarray, " M"]
    pre: Float[np.ndarray, "2 n"]
    post: Float[np.ndarray, "2 M"]

    @classmethod
    def of(cls, weights: Float[np.ndarray, "n M"], thresholds: Float[np.ndarray, " M"]) -> Learner:
        """Return a learner that has not seen anything yet."""
        n, units = weights.shape
        wins = np.zeros(units, np.int64)
        return cls(weights, thresholds, wins, np.zeros(units), np.zeros((2, n)), np.zeros((2, units)))


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        name: As a spec's ``rule`` names it.
        number: Its place among the built-in rules, by which the compiled backend dispatches; 9 for all others.
        constants: ``(spec, n, units) -> r``: what ``kernel`` needs, behind the seven of ``shared_constants``.
        learn: The law: ``(spec, learner, firing, step)``, in place, in plain NumPy.
        kernel: The same for one cell and unit at a time, in the subset of Python that numba compiles:
            ``(firing, winner, drive, drives, scale, stored_sum, weights, thresholds, pre, post, r) -> won``.
    """

    name: str
    number: int
    constants: Callable[[Any, int, int], Float[np.ndarray, " k"]]
    learn: Callable[[Any, Learner, Int[np.ndarray, " k"], int], None]
    kernel: Callable[..., Any]


SHARED = 8
"""Number of constants that every rule has in front of its own."""


def shared_constants(spec: RuleSpec, n: int) -> list[float]:
    """Return (total, min_active, recruit_every, recruit_wins, recruit_divisor, c_plus, c_decay, uses traces)."""
    return [
        total(spec, n),
        spec.min_active,
        spec.recruit_every,
        spec.recruit_wins,
        spec.recruit_divisor,
        spec.c_plus,
        spec.c_decay,
        0.0,
    ]


def total(spec: RuleSpec, n: int) -> float:
    """Return the sum at which each unit's weights start, and are kept where the rule keeps one."""
    return spec.weight if spec.norm == "sum" else spec.weight * n


def start(spec: RuleSpec, n: int, units: int, key: Key) -> Learner:
    """Draw unordered all-to-all weights and thresholds.

    Args:
        spec: The rule.
        n: Number of cells.
        units: Number of units M.
        key: Key of the draws; a unit's do not depend on how many units there are.

    Returns:
        w ~ N(1, weight_cv^2), negative draws set to 0, each unit rescaled; c ~ N(c_mean, c_sd^2).
    """
    draws = key.stream("weights")
    columns = [1 + spec.weight_cv * draws.normal(j, n).astype(np.float64) for j in range(units)]
    weights = np.maximum(np.stack(columns, axis=1), 0)
    weights *= total(spec, n) / weights.sum(axis=0)
    normal = key.stream("thresholds").normal(0, units).astype(np.float64)
    return Learner.of(weights, spec.c_mean + spec.c_sd * normal)


def compete(spec: RuleSpec, learner: Learner, firing: Int[np.ndarray, " k"]) -> tuple[int, float] | None:
    """Return the winner and its drive y, or None where too few cells fire; keep the largest drives."""
    if len(firing) < spec.min_active:
        return None
    y = learner.weights[firing].sum(axis=0)
    np.maximum(learner.peak, y, out=learner.peak)
    k = int(np.argmax(y - learner.thresholds))
    return k, float(y[k])


def won(spec: RuleSpec, learner: Learner, k: int, rise: float) -> None:
    """Let all thresholds decay and the winner's rise: c_j <- c_j (1 - c_decay / M), c_k <- c_k + c_plus rise."""
    learner.thresholds -= learner.thresholds * (spec.c_decay / len(learner.wins))
    learner.thresholds[k] += spec.c_plus * rise
    learner.wins[k] += 1


def recruit(spec: RuleSpec, learner: Learner, step: int) -> None:
    """Every ``recruit_every`` steps give units with few wins the threshold peak / ``recruit_divisor`` (G19)."""
    if spec.recruit_every and (step + 1) % spec.recruit_every == 0:
        rare = learner.wins < spec.recruit_wins
        learner.thresholds[rare] = learner.peak[rare] / spec.recruit_divisor


_RULES: dict[str, Rule] = {}


def register(rule: Rule) -> Rule:
    """Make a rule known under its name, so that specs can ask for it.

    Args:
        rule: The rule; a later one of the same name takes its place.

    Returns:
        The rule.
    """
    _RULES[rule.name] = rule
    return rule


def rule_of(spec: RuleSpec) -> Rule:
    """Return the rule that a spec names.

    Args:
        spec: A spec of a built-in rule or of a registered one.

    Returns:
        The rule.

    Raises:
        ConfigError: No such rule is registered.
    """
    if spec.rule not in _RULES:
        raise ConfigError("rule", spec.rule, f"one of {', '.join(sorted(_RULES))}, or register the rule")
    return _RULES[spec.rule]
