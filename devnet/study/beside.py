"""Jobs of `devnet fip` beside their baselines: the same network, the same images, the same budget, in one table.

A budget is steps and examples a step, not seconds, so that a table can be repeated. What a method was shown stands in
the table: the baselines see labels, paths do not, but for that of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from devnet.fip import Damage
from devnet.study.networks import SECOND_RATE
from devnet.tasks import baselines, train_classifier
from devnet.tasks.baselines import Training
from devnet.tasks.baselines._pruning import PRUNING
from devnet.tasks.baselines._recovery import RECOVERY
from devnet.tasks.connection import connect, straight
from devnet.tasks.ensemble import diversify

STEPS_A_ROUND = 60
"""Steps of a baseline that cost as much as a round of recovery (measured on the demo's perceptrons)."""


@dataclass(frozen=True)
class Method:
    """A way to do a job.

    Attributes:
        name: What a table calls it.
        labels: Whose labels it sees.
        steps: Its mini-batch steps.
        run: Does the job.
    """

    name: str
    labels: str
    steps: int
    run: Callable[[], Any]


Row = dict[str, Any]


def rows_of(methods: Sequence[Method], score: Callable[[Any], Mapping[str, float]]) -> list[Row]:
    """Run methods and score what they bring.

    Args:
        methods: Ours first.
        score: From what a method brings to figures by name.

    Returns:
        A row a method: its name, labels, steps and figures.
    """
    return [{"method": m.name, "labels": m.labels, "steps": m.steps, **score(m.run())} for m in methods]


def table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    heads = [
        name.replace("_percent", ", %").replace("_points", ", points").replace("_", " ") for name in rows[0]
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pruners(module: nn.Module, x: Tensor, y: Any, sparsity: float, steps: int, rng: Any) -> list[Method]:
    """Return the baselines of sparsifying."""
    training = Training(steps, rate=PRUNING.rate)
    found = {
        "magnitude, fine-tuned": baselines.magnitude_pruning,
        "gradual magnitude": baselines.gradual_magnitude_pruning,
        "gradual Fisher": baselines.gradual_fisher_pruning,
    }
    return [
        Method(name, "all", steps, lambda f=f: f(module, x, y, sparsity=sparsity, training=training, rng=rng))
        for name, f in found.items()
    ]


def retrainers(module: nn.Module, x: Tensor, y: Any, damage: Damage, rounds: int, rng: Any) -> list[Method]:
    """Return the baselines of recovery from damage."""
    training = Training(STEPS_A_ROUND * rounds, rate=RECOVERY.rate)

    def tuned() -> nn.Module:
        return baselines.fine_tuning(module, x, y, damage=damage, training=training, rng=rng)

    return [
        Method("damaged", "none", 0, lambda: damage.apply(module)),
        Method("fine-tuning", "all", training.steps, tuned),
    ]


def second_learners(
    module: nn.Module, past: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], steps: int, rng: Any
) -> list[Method]:
    """Return the baselines of a second task: replay of the stored images with labels, and plain training.

    Args:
        module: The network that knows the first task.
        past: Stored inputs of it and their labels.
        new: Inputs of the second task and their labels.
        steps: Mini-batch steps, 64 new examples each; replay takes as many stored ones, drawn with the new.
        rng: Seed.

    Returns:
        The methods.
    """
    rule = {"steps": steps, "rate": SECOND_RATE, "rng": rng}
    share = torch.arange(len(new[0])) % len(past[0])  # as many as of the new task

    def replay() -> nn.Module:
        x, y = (torch.cat([fresh, kept[share]]) for fresh, kept in zip(new, past, strict=True))
        return train_classifier(module, x, y, batch=128, **rule)

    return [
        Method("replay", "new and stored", steps, replay),
        Method("plain training", "new", steps, lambda: train_classifier(module, *new, batch=64, **rule)),
    ]


def connections(
    ends: tuple[nn.Module, nn.Module], unmatched: nn.Module | None, x: Tensor, y: Any, steps: int, rng: Any
) -> list[Method]:
    """Return the baselines of connecting: straight lines, and a curve bent with labels.

    Args:
        ends: Both networks.
        unmatched: The second one before its units were reordered, or None where they were not.
        x: Inputs.
        y: Their labels.
        steps: Steps of bending.
        rng: Seed.

    Returns:
        The methods; each brings a curve.
    """
    found = [
        Method("straight line", "none", 0, lambda: straight(*ends)),
        Method("curve with labels", "all", steps, lambda: connect(*ends, x, labels=y, steps=steps, rng=rng)),
    ]
    if unmatched is not None:
        found.insert(
            0, Method("straight line, units as they are", "none", 0, lambda: straight(ends[0], unmatched))
        )
    return found


def collectors(module: nn.Module, x: Tensor, y: Any, count: int, steps: int, rng: Any) -> list[Method]:
    """Return the baselines of an ensemble along a path; half of whose examples cost twice, so these take 1.5 the steps.

    Args:
        module: The trained network.
        x: Inputs.
        y: Their labels.
        count: Networks to keep.
        steps: Steps from one to the next.
        rng: Seed.

    Returns:
        The methods; each brings a list of networks.
    """
    more = round(1.5 * steps)
    return [
        Method("network alone", "all", 0, lambda: [module]),
        Method(
            "one network trained on",
            "all",
            count * more,
            lambda: [train_classifier(module, x, y, steps=count * more, rate=3e-3, rng=rng)],
        ),
        Method(
            "snapshots",
            "all",
            count * more,
            lambda: diversify(module, x, y, count=count, steps=more, share=0.0, rng=rng),
        ),
    ]
