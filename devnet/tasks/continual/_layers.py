"""Methods that remember earlier tasks layer by layer: a subspace (GPM), or the metric in Kronecker form (FIP)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from devnet._core.checks import positive, whole
from devnet._core.errors import ConfigError
from devnet.fip import Fisher, Metric, Network
from devnet.fip._network import seeded
from devnet.tasks._examples import spread
from devnet.tasks.continual._loop import Learner, Method
from devnet.tasks.continual._replay import InvariantReplay, Replaying


def linear_layers(network: Network) -> dict[str, nn.Linear]:
    """Find the linear layers that move; all that moves must belong to one of them.

    Args:
        network: The network.

    Returns:
        The layers by name.

    Raises:
        ConfigError: Something else moves.
    """
    found = {
        n: m
        for n, m in network.module.named_modules()
        if isinstance(m, nn.Linear) and f"{n}.weight" in network.layout.names
    }
    held = {f"{n}.{kind}" for n in found for kind in ("weight", "bias")}
    other = sorted(set(network.layout.names) - held)
    if other:
        why = "a module all of whose moving parameters are weights of linear layers, or biases beside them"
        raise ConfigError("module", other[0], why)
    return found


def _matrices(network: Network, vector: Tensor) -> Iterator[tuple[str, list[Tensor], Tensor]]:
    """Yield of a flat vector each layer's name, its pieces (views) and them as one matrix ``[out, in + 1]``."""
    pieces = network.layout.split(vector)
    for name in linear_layers(network):
        held = [pieces[f"{name}.{kind}"] for kind in ("weight", "bias") if f"{name}.{kind}" in pieces]
        yield name, held, torch.cat([p if p.ndim == 2 else p[:, None] for p in held], dim=1)


def _put(pieces: list[Tensor], matrix: Tensor) -> None:
    """Write a layer's matrix back into the pieces it was made of."""
    pieces[0].copy_(matrix[:, : pieces[0].shape[1]])
    if len(pieces) > 1:
        pieces[1].copy_(matrix[:, -1])


def _answers(network: Network, inputs: Tensor) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Return the outputs, with their graph, and each layer's inputs (a one for the bias behind) and outputs."""
    calls: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name, layer in linear_layers(network).items():

        def keep(_: nn.Module, given: tuple[Tensor], out: Tensor, name: str = name) -> None:
            seen = given[0].detach()
            one = [seen.new_ones(len(seen), 1)] if f"{name}.bias" in network.layout.names else []
            calls[name] = torch.cat([seen, *one], dim=1), out

        handles.append(layer.register_forward_hook(keep))
    try:
        return network(inputs), calls
    finally:
        for handle in handles:
            handle.remove()


@final
@dataclass(frozen=True)
class GPM(Method):
    r"""Gradient projection memory (Saha, Garg and Roy 2021).

    After a task the leading left singular vectors of each layer's inputs, less what the basis M already spans, join
    it until it holds a share of their energy; later gradients lose their part in it: :math:`g - g M M^T`.

    Attributes:
        energy: Share of the energy that the basis shall hold of the first layer's inputs, and of those behind.
        examples: Inputs of a task that are looked at, evenly spaced over it; none is stored.
    """

    energy: tuple[float, float] = (0.95, 0.99)
    examples: int = 300

    def __post_init__(self) -> None:
        for share in self.energy:
            if not 0 < share < 1:
                raise ConfigError("method.energy", share, "a share between 0 and 1")
        whole("method.examples", self.examples)

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the new task outside of the basis."""
        g = learner.network.gradient(cross_entropy(learner.network(x), y))
        bases = learner.memory.get("bases", {})
        if bases:
            for name, pieces, matrix in _matrices(learner.network, g):
                basis = bases[name]
                _put(pieces, matrix - (matrix @ basis) @ basis.T)
        return g

    def finish(self, learner: Learner, inputs: Tensor) -> None:
        """Let the bases grow."""
        bases = learner.memory.setdefault("bases", {})
        with torch.no_grad():
            calls = _answers(learner.network, spread(inputs, self.examples))[1]
        for number, (name, (seen, _)) in enumerate(calls.items()):
            basis = bases.get(name, seen.new_zeros(seen.shape[1], 0))
            rest = seen.T - basis @ (basis.T @ seen.T)
            vectors, values, _ = torch.linalg.svd(rest, full_matrices=False)
            # What is left outside with 0, 1, 2 ... further vectors.
            outside = rest.square().sum() - torch.cat([values.new_zeros(1), values.square().cumsum(0)])
            enough = (1.0 - self.energy[min(number, 1)]) * seen.square().sum()
            count = int((outside > enough).sum())
            bases[name] = torch.linalg.qr(torch.cat([basis, vectors[:, :count]], dim=1)).Q


@final
@dataclass(frozen=True)
class MetricAnchor(Method):
    r"""Replay, and every displacement from the start of the path shortened where the metric is large (F24, ours).

    The path minimizes :math:`L(w) + \frac{\lambda}{2} (w - w_0)^T g\, (w - w_0)` with the metric of all earlier tasks
    in Kronecker form, for each layer :math:`g \approx \big(\sum_t A_t\big) \otimes \frac1T \sum_t G_t`, A the second
    moment of its inputs and G that of the pulled-back factors of H at its outputs (Martens and Grosse 2015; Ritter
    et al. 2018). Every k steps of rate r the quadratic term's proximal map is applied in the eigenbases, exactly:
    coefficients are divided by :math:`1 + r k \lambda\, a_i g_j`. So it costs little and cannot diverge.

    Attributes:
        replay: How stored examples are replayed.
        strength: lambda.
        metric: Geometry of the outputs, H.
        every: Steps between two proximal maps, k.
        examples: Inputs of a task that make its part of the metric, evenly spaced over it; none is stored.
    """

    replay: Replaying = field(default_factory=InvariantReplay)
    strength: float = 1.0
    metric: Metric = field(default_factory=Fisher)
    every: int = 10
    examples: int = 1000

    def __post_init__(self) -> None:
        if not isinstance(self.replay, Replaying):
            raise ConfigError("method.replay", type(self.replay).__name__, "Replay or InvariantReplay")
        positive("method.strength", self.strength)
        for name in ("every", "examples"):
            whole("method." + name, getattr(self, name))

    def start(self, learner: Learner, inputs: Tensor) -> None:
        """Remember where the path starts."""
        self.replay.start(learner, inputs)
        learner.memory["anchor"] = learner.network.weights.clone()

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of new and stored examples."""
        return self.replay.gradient(learner, index, x, y)

    def settle(self, learner: Learner) -> None:
        """Apply the proximal map every k steps."""
        if "factors" not in learner.memory or (learner.step + 1) % self.every:
            return
        network, anchor = learner.network, learner.memory["anchor"]
        moved = network.weights - anchor
        for name, pieces, matrix in _matrices(network, moved):
            inner, outer, stiff = self._stiffness(learner, name)
            _put(pieces, outer @ ((outer.T @ matrix @ inner) / (1.0 + learner.rate * stiff)) @ inner.T)
        torch.add(anchor, moved, out=network.weights)

    def _stiffness(self, learner: Learner, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return both eigenbases of a layer and k lambda times the metric's eigenvalues in them; made once a task."""
        made = learner.memory["bases"]
        if name not in made:
            (a, inner), (g, outer) = (torch.linalg.eigh(m) for m in learner.memory["factors"][name])
            strength = self.strength * self.every / learner.memory["tasks"]
            made[name] = inner, outer, strength * g.clamp_min(0.0)[:, None] * a.clamp_min(0.0)
        return made[name]

    def finish(self, learner: Learner, inputs: Tensor) -> None:
        """Add the metric of a task."""
        some = spread(inputs, self.examples)
        live, calls = _answers(learner.network, some)
        factors, wide = learner.memory.setdefault("factors", {}), self.metric.factors * live.shape[-1]
        pulled = {name: out.new_zeros(out.shape[1], out.shape[1]) for name, (_, out) in calls.items()}
        for column in range(wide):
            unit = live.new_zeros(len(live), wide)
            unit[:, column] = 1.0
            seed = self.metric.factor_mv(live.detach(), unit)
            outs = [out for _, out in calls.values()]
            for name, d in zip(
                calls, torch.autograd.grad(seeded(live, seed), outs, retain_graph=True), strict=True
            ):
                pulled[name] += d.T @ d / len(live)
        for name, (seen, _) in calls.items():
            fresh = (seen.T @ seen / len(seen), pulled[name])
            factors[name] = (
                tuple(a + b for a, b in zip(factors[name], fresh, strict=True)) if name in factors else fresh
            )
        learner.memory["tasks"] = learner.memory.get("tasks", 0) + 1
        learner.memory["bases"] = {}
