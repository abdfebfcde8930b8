"""Learning rules beside a sheet on a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from devnet.backends.torch_.sums import fold, sum_rows
from devnet.dynamics.plasticity import Learner, rule_of
from devnet.dynamics.plasticity.base import total
from devnet.spec import HebbianWTASpec, RuleSpec


class HostLearning:
    """Any rule, by its law in NumPy."""

    def __init__(self, rule: RuleSpec, learner: Learner) -> None:
        self.rule, self.learner, self.law = rule, learner, rule_of(rule).learn

    def step(self, firing: Tensor, fired: Tensor, step: int) -> None:
        """Take the learning part of a step: who fires, as a list and as flags, and the step's number."""
        self.law(self.rule, self.learner, firing.cpu().numpy(), step)

    def write_back(self) -> None:
        """Leave all as it is: the law works on the learner itself."""


class HebbianLearning:
    """Weights, thresholds, wins and peaks on the device; ``hebbian_wta.learn`` without a look from the host."""

    def __init__(self, rule: HebbianWTASpec, learner: Learner, like: dict[str, Any]) -> None:
        self.rule, self.learner = rule, learner
        n, units = learner.weights.shape
        self.weights, self.thresholds, self.peak = (
            torch.tensor(a, **like) for a in (learner.weights, learner.thresholds, learner.peak)
        )
        self.wins = torch.tensor(learner.wins, device=like["device"])
        # Numbers as tensors, because torch divides by a plain number through its reciprocal on some devices.
        self.total = torch.tensor(total(rule, n), **like)
        self.divisor = torch.tensor(rule.recruit_divisor, **like)
        self.places = torch.tensor(learner.places, **like)
        self.decay = rule.c_decay / units

    def step(self, firing: Tensor, fired: Tensor, step: int) -> None:
        """Take the learning part of a step; see ``HostLearning``."""
        rule = self.rule
        if len(firing) >= rule.min_active:
            one_bump = self._one_bump(firing)
            y = sum_rows(self.weights, firing)
            self.peak = torch.where(one_bump, torch.maximum(self.peak, y), self.peak)
            margin = y - self.thresholds
            winner = torch.argmax(margin).reshape(1)  # the first of equals
            f = (margin if rule.factor == "excess" else y)[winner]
            learns = one_bump & (f > 0)
            before = self.weights[:, winner[0]]
            after = before + rule.eta * f * fired.to(before.dtype)
            after = after * (self.total / fold(after))
            self.weights.index_copy_(1, winner, torch.where(learns, after, before)[:, None])
            fallen = self.thresholds - self.thresholds * self.decay
            rise = rule.c_plus * (f if rule.c_rise == "factor" else torch.ones_like(f))
            fallen.index_copy_(0, winner, fallen[winner] + rise)
            self.thresholds = torch.where(learns, fallen, self.thresholds)
            self.wins.index_copy_(0, winner, self.wins[winner] + learns)
        if rule.recruit_every and (step + 1) % rule.recruit_every == 0:
            rare = self.wins < rule.recruit_wins
            self.thresholds = torch.where(rare, self.peak / self.divisor, self.thresholds)

    def _one_bump(self, firing: Tensor) -> Tensor:
        """Say whether the firing cells are as close together as the rule asks."""
        limit = self.rule.max_spread
        if limit == 0:
            return torch.ones((), dtype=torch.bool, device=firing.device)
        count = self.total.new_tensor(float(len(firing)))
        places = self.places[firing]
        offsets = places - fold(places) / count
        return (fold(offsets * offsets) / count).sum() <= limit**2

    def write_back(self) -> None:
        """Copy everything to the learner."""
        for name in ("weights", "thresholds", "wins", "peak"):
            getattr(self.learner, name)[...] = getattr(self, name).cpu().numpy()
