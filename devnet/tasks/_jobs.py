"""Ready-made jobs: each builds the problem that our experiments found to work, and walks it. No job sees a label."""

from __future__ import annotations

from typing import Any

from torch import nn

from devnet.fip import (
    Adam,
    Backtrack,
    Damage,
    DampedNatural,
    Euclidean,
    Fisher,
    MetricSaliency,
    Path,
    PenalizedGradient,
    Problem,
    Sparsity,
    StopWhen,
    traverse,
)


def sparsify(
    module: nn.Module,
    inputs: Any,
    *,
    sparsity: float,
    steps: int = 1000,
    batch: int = 128,
    rate: float = 6e-3,
    rng: Any = None,
) -> Path:
    return traverse(
        module,
        Problem(
            inputs=inputs,
            objective=Sparsity(sparsity, saliency=MetricSaliency()),
            metric=Fisher(),
            direction=PenalizedGradient(batch),
            step=Adam(rate),
            stop=StopWhen(steps=steps),
        ),
        rng=rng,
    )


def recover(
    module: nn.Module,
    inputs: Any,
    *,
    damage: Damage,
    rounds: int = 10,
    examples: int = 1024,
    rng: Any = None,
) -> Path:
    return traverse(
        module,
        Problem(
            inputs=inputs,
            objective=damage,
            metric=Euclidean(),
            direction=DampedNatural(examples=examples),
            step=Backtrack(examples=examples),
            stop=StopWhen(steps=rounds),
        ),
        rng=rng,
    )
