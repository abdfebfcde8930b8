"""Methods of continual learning that replay nothing, and the one that only asks stored examples for leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from devnet._core.checks import positive, whole
from devnet.fip import Fisher
from devnet.tasks._examples import spread
from devnet.tasks.continual._loop import Learner, Method


@final
@dataclass(frozen=True)
class Naive(Method):
    """Cross-entropy of the new task alone."""

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the cross-entropy."""
        return learner.network.gradient(cross_entropy(learner.network(x), y))


@final
@dataclass(frozen=True)
class EWC(Method):
    r"""Elastic weight consolidation: :math:`+ \frac{\lambda}{2} \sum_t F_t (w - w_t)^2` (Kirkpatrick et al. 2017).

    Attributes:
        strength: lambda.
        examples: Inputs that estimate the diagonal F of the Fisher metric after a task, evenly spaced over it.
    """

    strength: float = 100.0
    examples: int = 500

    def __post_init__(self) -> None:
        positive("method.strength", self.strength)
        whole("method.examples", self.examples)

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of cross-entropy and springs."""
        g = learner.network.gradient(cross_entropy(learner.network(x), y))
        if "stiffness" in learner.memory:
            spring = learner.memory["stiffness"] * learner.network.weights - learner.memory["moment"]
            g.add_(spring, alpha=self.strength)
        return g

    def finish(self, learner: Learner, inputs: Tensor) -> None:
        """Add the springs of a task."""
        local = Fisher().at(learner.network, spread(inputs, self.examples))
        stiffness = local.diagonal(local.signs(learner.key.stream("signs"), probes=4))
        for name, value in (("stiffness", stiffness), ("moment", stiffness * learner.network.weights)):
            learner.memory[name] = value + learner.memory.get(name, 0.0)


@final
@dataclass(frozen=True)
class LwF(Method):
    """Learning without forgetting: distil the previous network's answers to the new inputs (Li and Hoiem 2016).

    Attributes:
        strength: Weight of the distillation.
        temperature: Of both softmaxes.
    """

    strength: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        positive("method.strength", self.strength)
        positive("method.temperature", self.temperature)

    def start(self, learner: Learner, inputs: Tensor) -> None:
        """Ask the network for its answers before it learns."""
        learner.memory["teacher"] = learner.network.outputs(inputs) if len(learner.stored) else None

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of cross-entropy and distillation."""
        live = learner.network(x)
        loss = cross_entropy(live, y)
        if learner.memory["teacher"] is not None:
            t = self.temperature
            wanted = (learner.memory["teacher"].index_select(0, index) / t).softmax(-1)
            distance = kl_div((live / t).log_softmax(-1), wanted, reduction="batchmean")
            loss = loss + self.strength * t**2 * distance
        return learner.network.gradient(loss)


@final
@dataclass(frozen=True)
class AGEM(Method):
    """Averaged gradient episodic memory: no step that raises the loss of stored examples (Chaudhry et al. 2019)."""

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient, projected where it opposes that of the stored examples."""
        network, stored = learner.network, learner.replay()
        g = network.gradient(cross_entropy(network(x), y))
        if stored is None:
            return g
        old = network.gradient(cross_entropy(network(learner.recalled(stored)), learner.labels[stored]))
        share = g.dot(old) / old.dot(old).clamp_min(1e-30)
        return g.sub_(share.clamp_max(0.0) * old)
