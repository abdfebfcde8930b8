"""Methods of continual learning: the field's, and replay with projection in the metric (F24)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, mse_loss

from devnet.fip import Euclidean, Fisher, Spectrum
from devnet.fip._checks import positive, whole, within
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
        examples: Inputs that estimate the diagonal F of the Fisher metric after a task.
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
        some = inputs[: self.examples]
        local = Fisher().at(learner.network, some)
        words = learner.key.stream("signs").words(0, 4 * local.outputs.numel())
        signs = torch.from_numpy((words >> 31).astype("int8")).to(local.outputs) * 2.0 - 1.0
        stiffness = local.diagonal(signs.view(4, *local.outputs.shape))
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
        old = network.gradient(cross_entropy(network(learner.stored[stored]), learner.labels[stored]))
        share = g.dot(old) / old.dot(old).clamp_min(1e-30)
        return g.sub_(share.clamp_max(0.0) * old)


@final
@dataclass(frozen=True)
class Replay(Method):
    r"""Replay of stored examples, by label and by recorded output.

    :math:`CE(new) + \alpha\, MSE(z, z_{stored}) + \beta\, CE(stored)`, MSE being the mean over classes. ER is
    ``Replay(0, 1)`` (Chaudhry et al. 2019), DER ``Replay(1, 0)``, DER++ ``Replay(0.5, 0.5)`` (Buzzega et al. 2020).

    Attributes:
        outputs: alpha.
        labels: beta; 0 uses no label of the past.
    """

    outputs: float = 0.5
    labels: float = 0.5

    def __post_init__(self) -> None:
        within("method.outputs", self.outputs, 0.0, math.inf)
        within("method.labels", self.labels, 0.0, math.inf)

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the sum."""
        loss = cross_entropy(learner.network(x), y)
        past = self.past(learner)
        return learner.network.gradient(loss if past is None else loss + past)

    def past(self, learner: Learner) -> Tensor | None:
        """Return the loss of the stored examples of this step, or None while there are none."""
        loss = None
        for factor, stream in ((self.outputs, "outputs"), (self.labels, "labels")):
            stored = learner.replay(stream) if factor else None
            if stored is None:
                continue
            live = learner.network(learner.stored[stored])
            if stream == "outputs":
                part = factor * mse_loss(live, learner.outputs[stored])
            else:
                part = factor * cross_entropy(live, learner.labels[stored])
            loss = part if loss is None else loss + part
        return loss


@final
@dataclass(frozen=True)
class ProjectedReplay(Method):
    r"""Replay, and the new task's gradient less what moves the stored outputs (F24; damping and switch are ours).

    With the leading eigenvectors of :math:`J^T J` on stored inputs,
    :math:`\big(1 - \sum_k \frac{e_k}{e_k + \mu} v_k v_k^T\big) \nabla CE(new) + \nabla past`.

    Attributes:
        replay: How stored examples are replayed.
        count: Eigenvectors to project off.
        damping: mu in units of the largest eigenvalue; on a validation split of MNIST 1 beats 0.3 (3 seeds).
        examples: Stored inputs that make the metric.
        refresh: Steps between two spectra.
        enough: Stored examples a task from which on replay alone is better and nothing is projected.
    """

    replay: Replay = Replay()
    count: int = 50
    damping: float = 1.0
    examples: int = 60
    refresh: int = 50
    enough: int = 100

    def __post_init__(self) -> None:
        for name in ("count", "examples", "refresh", "enough"):
            whole("method." + name, getattr(self, name))
        within("method.damping", self.damping, 0.0, math.inf)

    def start(self, learner: Learner, inputs: Tensor) -> None:
        """Count the tasks behind."""
        learner.memory["tasks"] = learner.memory.get("tasks", -1) + 1

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the projected gradient and that of the past."""
        network, behind = learner.network, learner.memory["tasks"]
        if not behind or len(learner.stored) >= self.enough * behind:
            return self.replay.gradient(learner, index, x, y)
        g = network.gradient(cross_entropy(network(x), y))
        if learner.step % self.refresh == 0:
            order = learner.key.stream("metric").permutation(learner.step, len(learner.stored))
            some = learner.stored[torch.from_numpy(order[: self.examples]).to(g.device)]
            found = Spectrum.exact(Euclidean().at(network, some), self.count)
            e = found.values[: len(found.vectors)]
            shares = (e / (e + self.damping * e[:1].sum())).to(g)
            learner.memory["projection"] = found.vectors, shares
        vectors, shares = learner.memory["projection"]
        g.sub_(vectors.T @ (shares * (vectors @ g)))
        past = self.replay.past(learner)
        return g if past is None else g.add_(network.gradient(past))


def er() -> Replay:
    """Return experience replay."""
    return Replay(0.0, 1.0)


def der() -> Replay:
    """Return dark experience replay: recorded outputs, no labels."""
    return Replay(1.0, 0.0)


def der_plus_plus() -> Replay:
    """Return dark experience replay with labels."""
    return Replay(0.5, 0.5)
