"""Ready-made jobs: each builds the problem that our experiments found to work, and walks it. No job sees a label."""

from __future__ import annotations

from typing import Any

from torch import nn

from devnet._core.checkpoint import Checkpoint
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
    checkpoint: Checkpoint | None = None,
) -> Path:
    """Make a share of a network's weights exactly zero while its outputs stay as they were, without labels.

    An annealed plane of growing sparsity chosen by what each weight means for the outputs, soft contraction onto it,
    and Adam on four times the Bhattacharyya distance to the cached outputs (F24; schedule and saliency are ours).

    Args:
        module: The dense network; it is not touched.
        inputs: Reference inputs ``[N, ...]``, tensor or array.
        sparsity: Share of the weights (parameters with two dimensions or more) that shall be zero, 0 <= sparsity < 1.
        steps: Mini-batch steps.
        batch: Examples a step.
        rate: First learning rate of Adam; falls to 0 along half a cosine.
        rng: Seed, generator or key.
        checkpoint: As in ``traverse``.

    Returns:
        The path; ``path.module()`` is the sparse network.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
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
        checkpoint=checkpoint,
    )


def recover(
    module: nn.Module,
    inputs: Any,
    *,
    damage: Damage,
    rounds: int = 20,
    keep: int = 11,
    examples: int = 1024,
    rng: Any = None,
    checkpoint: Checkpoint | None = None,
) -> Path:
    """Let what a damage left of a network do again what the whole did, without labels (R20).

    Damped Gauss-Newton rounds on the undamaged weights in the Euclidean metric of the outputs (logits), with
    Levenberg-Marquardt control. The way-points keep the distance to the *undamaged* network.

    Args:
        module: The network before the damage; it is not touched.
        inputs: Reference inputs ``[N, ...]``, tensor or array.
        damage: What is cut, and stays cut.
        rounds: Gauss-Newton rounds, each 15 products with the metric.
        keep: Way-points to keep, evenly spaced.
        examples: Reference inputs a round.
        rng: Seed, generator or key.
        checkpoint: As in ``traverse``.

    Returns:
        The path, from the damaged network on; ``path.module()`` is the recovered one.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    return traverse(
        module,
        Problem(
            inputs=inputs,
            objective=damage,
            metric=Euclidean(),
            direction=DampedNatural(examples=examples),
            step=Backtrack(examples=examples),
            stop=StopWhen(steps=rounds),
            keep=keep,
        ),
        rng=rng,
        checkpoint=checkpoint,
    )
