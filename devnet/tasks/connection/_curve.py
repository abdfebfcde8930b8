"""A curve between two networks on which the function changes no more than it must."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
from torch import Tensor, nn

from devnet._core.checks import whole
from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip import Fisher, Layout, Network
from devnet.fip._inputs import Batch, as_inputs
from devnet.fip._place import fixed_parts, flat_weights
from devnet.tasks._examples import labels_of
from devnet.tasks._training import Training, with_weights


@final
@dataclass(frozen=True, eq=False)
class Curve:
    r"""A quadratic Bezier curve in weight space, :math:`(1-t)^2 w_0 + 2 t (1-t)\, c + t^2 w_1`.

    Attributes:
        base: The module at its start, a private copy.
        layout: The parameters that move.
        first: Weights at the start, ``[P]``.
        control: The control point c, ``[P]``.
        last: Weights at the end, ``[P]``.
        buffers: Floating-point buffers (batch-norm statistics, say) that are others at the end, by name. Along the
            curve they go straight from those of ``base`` to these.
    """

    base: nn.Module
    layout: Layout
    first: Tensor
    control: Tensor
    last: Tensor
    buffers: Mapping[str, Tensor] = field(default_factory=dict)

    def weights(self, t: float) -> Tensor:
        """Return the weights at a place on the curve, ``[P]``."""
        return _point(self.first, self.control, self.last, t)

    def module(self, t: float) -> nn.Module:
        """Load the network at a place on the curve.

        Args:
            t: From 0 (the first network) to 1 (the second).

        Returns:
            A new module.

        Raises:
            ConfigError: ``t`` is outside.
        """
        if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t <= 1:
            raise ConfigError("t", t, "a number from 0 to 1")
        loaded = with_weights(self.base, self.layout, self.weights(t))
        _shift(loaded, self.base, self.buffers, t)
        return loaded

    def scan(self, measure: Callable[[nn.Module], float], points: int = 25) -> list[float]:
        """Measure networks evenly spaced along the curve, both ends included."""
        whole("points", points, 2)
        return [measure(self.module(k / (points - 1))) for k in range(points)]


def barrier(losses: Sequence[float]) -> float:
    r"""Return how far a curve rises above its ends: :math:`\max_t L(t) - ((1-t) L(0) + t L(1))`, at least 0.

    Args:
        losses: Values evenly spaced along the curve; for an accuracy, its negative.

    Returns:
        The height.

    Raises:
        ConfigError: Fewer than two values, or one that is not finite, as where training diverged.
    """
    if len(losses) < 2 or not np.isfinite(losses).all():
        raise ConfigError("losses", losses, "finite values, at least those at both ends")
    straight = np.linspace(losses[0], losses[-1], len(losses))
    return max(0.0, float((np.asarray(losses) - straight).max()))


def connect(
    module: nn.Module,
    other: nn.Module,
    inputs: Any,
    *,
    labels: Any = None,
    steps: int = 1500,
    batch: int = 128,
    rate: float = 3e-3,
    rng: Any = None,
) -> Curve:
    r"""Connect two classifiers by a curve, without labels.

    At a random t of every step the network is pinned to the great circle between both ends' answers,
    :math:`\sqrt{q_t} = (\sin((1-t)\Omega) \sqrt{p_0} + \sin(t\Omega) \sqrt{p_1}) / \sin\Omega`, the shortest way from
    one to the other in the Fisher metric; the control point descends the Bhattacharyya distance to it (F24; curve of
    Garipov et al. 2018, anchor ours). Reorder the units of ``other`` first (``match_weights``, ``match_activations``).

    Args:
        module: The network at t = 0; it is not touched.
        other: That at t = 1, of the same architecture. Its floating-point buffers may be others; parameters that do
            not require a gradient must be those of ``module``.
        inputs: Reference inputs ``[N, ...]``.
        labels: None; or class numbers ``[N]``, whose cross-entropy is descended instead (Garipov et al. 2018): what
            the label-free curve is held against.
        steps: Mini-batch steps.
        batch: Examples a step.
        rate: First learning rate of Adam; falls to 0 along half a cosine.
        rng: Seed, generator or key.

    Returns:
        The curve.

    Raises:
        ConfigError: An argument does not fit.
        HealthError: The curve left the finite numbers.
    """
    curve, network, key = straight(module, other), Network(module), as_key(rng)
    training, control = Training(steps, batch, rate), curve.control.clone()
    x = as_inputs("inputs", inputs, control)

    def go(t: float) -> None:
        network.weights.copy_(_point(curve.first, control, curve.last, t))
        _shift(network.module, curve.base, curve.buffers, t)

    loss = _to_great_circle(network, go, x) if labels is None else _to_labels(network, labels, x)
    places = key.stream("places").uniform(0, steps)

    def slope(step: int, index: Tensor) -> Tensor:
        t = float(places[step])
        go(t)
        return loss(index, t).mul_(2.0 * t * (1.0 - t))

    training.descend(control, len(x), slope, key, name="connect")
    return replace(curve, control=control)


def _to_great_circle(
    network: Network, go: Callable[[float], None], x: Batch
) -> Callable[[Tensor, float], Tensor]:
    """Return the gradient of the Fisher divergence from the great circle; ``go`` takes the network to a place."""
    start = network.outputs(x).log_softmax(-1)
    go(1.0)
    end = network.outputs(x).log_softmax(-1)

    def slope(index: Tensor, t: float) -> Tensor:
        live = network(x.index_select(0, index))
        wanted = great_circle(start.index_select(0, index), end.index_select(0, index), t)
        return network.gradient(live, Fisher().residual(live.detach(), wanted).div_(len(index)))

    return slope


def _to_labels(network: Network, labels: Any, x: Batch) -> Callable[[Tensor, float], Tensor]:
    """Return the gradient of the cross-entropy."""
    y = labels_of(network, x, labels)

    def slope(index: Tensor, t: float) -> Tensor:
        live = network(x.index_select(0, index))
        return network.gradient(nn.functional.cross_entropy(live, y.index_select(0, index)))

    return slope


def straight(module: nn.Module, other: nn.Module) -> Curve:
    """Return the straight line between two networks.

    Args:
        module: The network at t = 0; it is not touched.
        other: That at t = 1, of the same architecture.

    Returns:
        The line, as a curve.

    Raises:
        ConfigError: The other has other parameters, or other values of some that do not move.
    """
    network = Network(module)
    first, base = network.weights.clone(), copy.deepcopy(module)
    last = flat_weights("other", other, network.layout, first)
    buffers = fixed_parts("other", other, base, network.layout)
    return Curve(base, network.layout, first, 0.5 * (first + last), last, buffers)


def great_circle(log_p: Tensor, log_q: Tensor, t: float) -> Tensor:
    """Return the logarithm of the distribution a share ``t`` along the great circle from one to another.

    Args:
        log_p: Log-probabilities, ``[..., C]``.
        log_q: Log-probabilities, same shape.
        t: From 0 to 1.

    Returns:
        Log-probabilities, up to rounding.
    """
    p, q = (0.5 * log_p).exp(), (0.5 * log_q).exp()
    angle = (p * q).sum(-1, keepdim=True).clamp(0.0, 1.0).acos().clamp_min(1e-3)
    mix = (((1.0 - t) * angle).sin() * p + (t * angle).sin() * q) / angle.sin()
    return 2.0 * mix.clamp_min(1e-18).log()


def _shift(module: nn.Module, base: nn.Module, last: Mapping[str, Tensor], t: float) -> None:
    """Set the buffers of a module to those a share ``t`` along the line from a base to the last ones."""
    live, first = dict(module.named_buffers()), dict(base.named_buffers())
    for name, value in last.items():
        live[name].copy_(first[name].lerp(value, t))


def _point(first: Tensor, control: Tensor, last: Tensor, t: float) -> Tensor:
    """Return a place on the curve."""
    return (1.0 - t) ** 2 * first + 2.0 * t * (1.0 - t) * control + t**2 * last
