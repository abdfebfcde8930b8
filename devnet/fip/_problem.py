"""The problem: what shall stay, where the path shall lead, and how it is walked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet.fip._direction import Direction, PenalizedGradient
from devnet.fip._metric import Fisher, Metric
from devnet.fip._objective import Objective, Stay
from devnet.fip._step import Adam, Step
from devnet.fip._stop import StopWhen


@final
@dataclass(frozen=True, eq=False)
class Problem:
    """All that ``traverse`` needs to know beside the module and a seed.

    Attributes:
        inputs: Reference inputs ``[N, ...]``, tensor or array; a tuple of them, or a mapping from argument names, for
            modules that take several. Labels are never needed.
        objective: The secondary goal.
        metric: How far two outputs are apart.
        direction: How metric and objective make a direction.
        step: How far to go along it.
        stop: When the walk ends.
        parameters: Names of the parameters that move; None means all that require a gradient.
        counted: Names of those that count as weights for sparsity; None means the moving ones with two dimensions
            or more.
        keep: Way-points to keep, evenly spaced, first and last among them.
        probe: Reference inputs on which the functional distance of a way-point is measured.
        precision: ``torch.bfloat16`` lets the network compute outputs and gradients in it (autocast); these and the
            weights keep their type. The reference outputs are made in it too; products with the Jacobian, of which
            ``DampedNatural``, ``NullSpace`` and ``MetricSaliency`` are made, are not. None means the network's own precision. float16
            would need its loss scaled and is refused.
    """

    inputs: Any
    objective: Objective = field(default_factory=Stay)
    metric: Metric = field(default_factory=Fisher)
    direction: Direction = field(default_factory=PenalizedGradient)
    step: Step = field(default_factory=Adam)
    stop: StopWhen = field(default_factory=StopWhen)
    parameters: Sequence[str] | None = None
    counted: Sequence[str] | None = None
    keep: int = 11
    probe: int = 1024
    precision: torch.dtype | None = None

    def __post_init__(self) -> None:
        parts = {
            "objective": Objective,
            "metric": Metric,
            "direction": Direction,
            "step": Step,
            "stop": StopWhen,
        }
        for name, kind in parts.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise ConfigError(name, value, f"a {kind.__name__} of devnet.fip")
        whole("keep", self.keep, 2)
        whole("probe", self.probe)
        if self.precision not in {None, torch.bfloat16}:
            raise ConfigError("precision", str(self.precision), "torch.bfloat16 or None")
