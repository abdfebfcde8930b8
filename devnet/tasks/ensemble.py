"""Ensembles: networks along one path that read the labels, and the independent ones they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from devnet._core.checks import positive, whole, within
from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import Network
from devnet.fip._inputs import as_inputs, call
from devnet.fip._reference import as_labels
from devnet.fip._running import evaluating
from devnet.tasks._examples import classified, labels_of, one_tensor
from devnet.tasks._training import Training, with_weights

_PROBABILITIES = "rows [N, C] of numbers from 0 to 1 with sum 1, the softmax of logits; no NaN"


def diversify(
    module: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    count: int = 10,
    steps: int = 250,
    batch: int = 128,
    rate: float = 3e-3,
    radius: float = 0.1,
    share: float = 0.5,
    bounds: tuple[float, float] | None = None,
    rng: Any = None,
) -> list[nn.Module]:
    r"""Collect networks along a path that leaves a trained one in cycles and sees worst-case neighbours of its inputs.

    A share of each mini-batch is moved by :math:`r\, \mathrm{sign} \nabla_x CE` of the live network (Goodfellow et
    al. 2015), the secondary objective of F24's robust ensembles; every cycle starts at the full rate, which drives the
    network off, and ends at 0, where it is kept (Huang et al. 2017). With share 0 this is the snapshot ensemble.

    Args:
        module: The trained network; it is not touched.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        count: Networks to keep.
        steps: Mini-batch steps from one to the next.
        batch: Examples a step.
        rate: Learning rate of Adam at the start of a cycle; falls to 0 along half a cosine.
        radius: Largest change r of an entry of an input.
        share: Share of a mini-batch that is changed, 0 <= share <= 1. A changed example costs twice.
        bounds: Smallest and largest value that an entry of an input may take, or None.
        rng: Seed, generator or key.

    Returns:
        The networks.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The weights left the finite numbers.
    """
    whole("count", count)
    positive("radius", radius)
    within("share", share, 0.0, 1.0 + 1e-9)
    network, key = Network(module), as_key(rng)
    x = one_tensor("inputs", inputs, network.weights)
    if not x.is_floating_point():
        raise ConfigError("inputs", str(x.dtype), "floating-point numbers")
    y = labels_of(network, x, labels)
    training, changed = Training(steps, batch, rate), round(share * min(batch, len(x)))

    def slope(step: int, index: Tensor) -> Tensor:
        seen, wanted = x.index_select(0, index), y.index_select(0, index)
        if changed:
            worst = perturbed(network.module, seen[:changed], wanted[:changed], radius, bounds=bounds)
            seen = torch.cat([worst, seen[changed:]])
        return network.gradient(cross_entropy(network(seen), wanted))

    members = []
    for number in range(count):
        training.descend(network.weights, len(x), slope, key.child("cycle", number), name="diversify")
        members.append(with_weights(module, network.layout, network.weights))
    return members


def perturbed(
    module: nn.Module | Sequence[nn.Module],
    inputs: Tensor,
    labels: Tensor,
    radius: float,
    *,
    steps: int = 1,
    bounds: tuple[float, float] | None = None,
) -> Tensor:
    r"""Return inputs moved within a box of side 2r so that the cross-entropy rises: FGSM, or PGD with more steps.

    Step length is r for one step (Goodfellow et al. 2015), else 2.5 r / steps (Madry et al. 2018, no random start).

    Args:
        module: A classifier, or several whose mean probabilities are attacked.
        inputs: ``[N, ...]``.
        labels: Class numbers ``[N]``.
        radius: Largest change r of an entry.
        steps: Gradient steps.
        bounds: Smallest and largest value that an entry may take, or None.

    Returns:
        The changed inputs, in the modules' mode.
    """
    length = radius if steps == 1 else 2.5 * radius / steps
    moved = inputs.detach().clone()
    for _ in range(steps):
        moved.requires_grad_()
        with torch.enable_grad():
            if isinstance(module, nn.Module):
                loss = cross_entropy(call(module, moved), labels, reduction="sum")
            else:
                mean = torch.stack([call(m, moved).log_softmax(-1) for m in module]).logsumexp(0)
                loss = cross_entropy(mean, labels, reduction="sum")
            slope = torch.autograd.grad(loss, moved)[0]
        moved = moved.detach() + length * slope.sign()
        moved = torch.minimum(torch.maximum(moved, inputs - radius), inputs + radius)
        if bounds is not None:
            moved = moved.clamp(*bounds)
    return moved


def mean_probabilities(members: Sequence[nn.Module], inputs: Any) -> Tensor:
    """Return the mean of the members' softmax outputs.

    Args:
        members: Classifiers; they run in evaluation mode, and all their parts are left in the mode they had.
        inputs: ``[N, ...]``.

    Returns:
        ``[N, C]``.

    Raises:
        ConfigError: No member, or bad inputs.
    """
    if not members:
        raise ConfigError("members", 0, "at least one classifier")
    like = next(members[0].parameters(), torch.zeros(0))
    x = as_inputs("inputs", inputs, like.detach())
    total = torch.zeros(())
    for member in members:
        with evaluating(member), torch.no_grad():
            parts = [call(member, x[a : a + 2048]).softmax(-1) for a in range(0, len(x), 2048)]
        total = total + torch.cat(parts)
    return total / len(members)


def calibration_error(probabilities: Any, labels: Any, *, bins: int = 15) -> float:
    r"""Return the expected calibration error :math:`\sum_b \frac{n_b}{N} |acc_b - conf_b|` (Guo et al. 2017).

    Args:
        probabilities: ``[N, C]``.
        labels: Class numbers ``[N]``.
        bins: Bins of equal width on the confidence.

    Returns:
        From 0 to 1.

    Raises:
        ConfigError: Labels do not fit, or rows that are no probabilities: logits, say, or NaN.
    """
    whole("bins", bins)
    p = torch.as_tensor(probabilities)
    if p.ndim != 2 or not bool((p >= 0).all()) or not bool(((p.double().sum(1) - 1.0).abs() < 0.01).all()):
        raise ConfigError("probabilities", f"{p.dtype} {tuple(p.shape)}", _PROBABILITIES)
    y = as_labels("labels", labels, p)
    classified(p, y)
    confidence, answer = p.double().max(-1)
    right = (answer == y).double().numpy()
    place = np.minimum((confidence.numpy() * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence.numpy() - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))
