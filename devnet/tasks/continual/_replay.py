"""Methods that replay stored examples: by label, by output, along the metric."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, nll_loss

from devnet._core.checks import whole, within
from devnet._core.errors import ConfigError
from devnet.fip import Euclidean, Spectrum
from devnet.tasks.continual._loop import Learner, Method


class Replaying(Method):
    """A loss of the new examples and one of the stored ones."""

    @abstractmethod
    def fresh(self, learner: Learner, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of the new examples of this step."""

    @abstractmethod
    def past(self, learner: Learner) -> Tensor | None:
        """Return the loss of the stored examples of this step, or None while there are none."""

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the sum."""
        loss, past = self.fresh(learner, x, y), self.past(learner)
        return learner.network.gradient(loss if past is None else loss + past)


@final
@dataclass(frozen=True)
class Replay(Replaying):
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

    def fresh(self, learner: Learner, x: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return cross_entropy(learner.network(x), y)

    def past(self, learner: Learner) -> Tensor | None:
        """Return the weighted distance to recorded outputs and labels, each on examples of its own."""
        loss = None
        for factor, stream in ((self.outputs, "outputs"), (self.labels, "labels")):
            stored = learner.replay(stream) if factor else None
            if stored is None:
                continue
            live = learner.network(learner.recalled(stored, stream))
            if stream == "outputs":
                part = factor * mse_loss(live, learner.outputs[stored])
            else:
                part = factor * cross_entropy(live, learner.labels[stored])
            loss = part if loss is None else loss + part
        return loss


@final
@dataclass(frozen=True)
class InvariantReplay(Replaying):
    r"""Stay near the way-point at which an input was stored, and read all classes out evenly (F24, ours).

    .. math:: CE_\pi(new) + \frac{\alpha}{C} \|z - z_{stored}\|^2 + \beta\, CE_\pi(stored, y)
              + \gamma\, CE_\pi(stored, \hat y)

    :math:`z_{stored}` is what the network answered when an input was stored: the functional distance in the Euclidean
    metric from that way-point. :math:`CE_\pi` adds :math:`\log \pi_c` to the logits, :math:`\pi` being the share of a
    class in the joint batch (Ren et al. 2020), so that the many examples of the new classes do not raise their logits.

    Attributes:
        outputs: alpha.
        labels: beta; 0 uses no label of a stored example.
        answers: gamma, on the class :math:`\hat y` that the network itself gave an example when it was stored; takes
            the place of labels where there are none.
    """

    outputs: float = 0.3
    labels: float = 1.0
    answers: float = 0.0

    def __post_init__(self) -> None:
        within("method.outputs", self.outputs, 0.0, math.inf)
        within("method.labels", self.labels, 0.0, math.inf)
        within("method.answers", self.answers, 0.0, math.inf)

    def start(self, learner: Learner, inputs: Tensor) -> None:
        """Ask what the fresh stored examples are to the network, and count the classes."""
        memory, count = learner.memory, learner.outputs.shape[-1]
        known = learner.labels.bincount(minlength=count) > 0  # the classes, not which example is of which
        answers = memory.get("answers", learner.labels[:0])
        fresh = learner.outputs[len(answers) :].masked_fill(~known, -math.inf).argmax(-1)
        memory["answers"] = torch.cat([answers, fresh])
        new = learner.answers.bincount(minlength=count).to(learner.network.weights)
        old = memory["answers"].bincount(minlength=count).to(new)
        share = new / new.sum()
        if len(learner.stored):
            share = 0.5 * share + 0.5 * old / old.sum()
        memory["even"] = share.clamp_min(1e-6).log()

    def fresh(self, learner: Learner, x: Tensor, y: Tensor) -> Tensor:
        """Return the balanced cross-entropy."""
        return cross_entropy(learner.network(x) + learner.memory["even"], y)

    def past(self, learner: Learner) -> Tensor | None:
        """Return the distance from recorded outputs and what is asked of balanced logits, on the same examples."""
        stored = learner.replay()
        if stored is None:
            return None
        live = learner.network(learner.recalled(stored))
        loss = self.outputs * mse_loss(live, learner.outputs[stored])
        even = (live + learner.memory["even"]).log_softmax(-1)
        for factor, told in ((self.labels, learner.labels), (self.answers, learner.memory["answers"])):
            if factor:
                loss = loss + factor * nll_loss(even, told[stored])
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

    replay: Replaying = Replay()
    count: int = 50
    damping: float = 1.0
    examples: int = 60
    refresh: int = 50
    enough: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.replay, Replaying):
            raise ConfigError("method.replay", type(self.replay).__name__, "Replay or InvariantReplay")
        for name in ("count", "examples", "refresh", "enough"):
            whole("method." + name, getattr(self, name))
        within("method.damping", self.damping, 0.0, math.inf)

    def start(self, learner: Learner, inputs: Tensor) -> None:
        """Count the tasks behind."""
        learner.memory["tasks"] = learner.memory.get("tasks", -1) + 1
        self.replay.start(learner, inputs)

    def gradient(self, learner: Learner, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the projected gradient and that of the past."""
        network, behind = learner.network, learner.memory["tasks"]
        if not behind or len(learner.stored) >= self.enough * behind:
            return self.replay.gradient(learner, index, x, y)
        g = network.gradient(self.replay.fresh(learner, x, y))
        if learner.step % self.refresh == 0:
            order = learner.key.stream("metric").permutation(learner.step, len(learner.stored))
            some = learner.stored[torch.from_numpy(order[: self.examples]).to(g.device)]
            learner.memory["spectrum"] = Spectrum.exact(Euclidean().at(network, some), self.count)
        g = learner.memory["spectrum"].less(g, self.damping)
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
