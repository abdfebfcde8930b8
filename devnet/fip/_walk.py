"""The state of a walk: everything that objectives, directions and steps look at or move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from devnet._core.random import Key
from devnet.fip._inputs import Batch
from devnet.fip._metric import Metric
from devnet.fip._network import Network
from devnet.fip._reference import Reference

if TYPE_CHECKING:
    from devnet.fip._objective import Objective


@final
@dataclass
class Walk:
    """A network on its way. Only ``traverse`` makes one.

    Attributes:
        network: The network; ``network.weights`` is the point on the path.
        start: The weights of the module that was handed in, ``[P]``: the origin of deltas.
        reference: Inputs and cached outputs of that module.
        metric: Geometry of the outputs.
        objective: The secondary goal.
        key: Root of all randomness of this walk.
        steps: Planned number of steps.
        penalty: Multiple of the objective that the direction descends.
        step: Steps taken so far.
        mask: True where a weight may differ from zero at this moment; None while all may.
        memory: What objective, direction and step carry from one step to the next, under their own names: tensors,
            plain data, and dicts, lists and tuples of these. It is saved with a path that is to be resumed.
        scratch: What they hold only to be quick and can make again: buffers, inputs on the device, optimizers.
    """

    network: Network
    start: Tensor
    reference: Reference
    metric: Metric
    objective: Objective
    key: Key
    steps: int
    penalty: float = 0.0
    step: int = 0
    mask: Tensor | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    scratch: dict[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> Tensor:
        """The point on the path, ``[P]``; moved in place."""
        return self.network.weights

    @property
    def progress(self) -> float:
        """Share of the planned steps taken, 0 to 1."""
        return self.step / self.steps

    def distance(self, inputs: Batch, outputs: Tensor) -> float:
        """Return the functional distance: mean divergence of the live outputs from cached ones.

        Args:
            inputs: Inputs, ``[N, ...]``.
            outputs: Reference outputs for them.

        Returns:
            The mean over examples, computed in double precision, at least 0; may be infinite or NaN where the walk
            went astray.
        """
        live = self.network.outputs(inputs)
        with torch.no_grad():
            return float(self.metric.divergence(live.double(), outputs.double()).mean().clamp_min(0.0))

    def merit(self, inputs: Batch, outputs: Tensor) -> float:
        """Return what the direction descends: functional distance plus ``penalty`` times the objective.

        Args:
            inputs: Inputs, ``[N, ...]``.
            outputs: Reference outputs for them.

        Returns:
            The sum at the live weights.
        """
        distance = self.distance(inputs, outputs)
        if not self.penalty:
            return distance
        return distance + self.penalty * float(self.objective.value_and_grad(self)[0])
