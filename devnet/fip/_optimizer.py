"""Any optimizer of PyTorch as a step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet.fip._step import Step
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True)
class Optimizer(Step):
    """A step of any ``torch.optim`` optimizer, the direction taken for the negative gradient.

    The optimizer sees the moving parameters in their own shapes, as views of the flat vector, so that per-parameter
    rules (layer-wise rates, weight decay, orthogonalization of matrices) mean what they say.

    Attributes:
        factory: Makes the optimizer from the list of parameters: ``lambda p: torch.optim.SGD(p, lr=0.1)``.
        schedule: Factor on its learning rates as a function of the share of steps behind us, 0 to 1; None means 1.
    """

    factory: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    schedule: Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        for name in ("factory", "schedule"):
            value = getattr(self, name)
            if not callable(value) and not (name == "schedule" and value is None):
                raise ConfigError(f"step.{name}", value, "a function")

    def _made(self, walk: Walk) -> dict[str, Any]:
        """Return the optimizer and its parameters; its state is the remembered one where there is one."""
        if "optimizer" not in walk.scratch:
            parameters = [nn.Parameter(p) for p in walk.network.layout.split(walk.weights).values()]
            optimizer = self.factory(parameters)
            if not isinstance(optimizer, torch.optim.Optimizer) or isinstance(optimizer, torch.optim.LBFGS):
                raise ConfigError(
                    "step.factory",
                    type(optimizer).__name__,
                    "a function that returns a torch.optim optimizer that needs no closure",
                )
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
            if "optimizer" in walk.memory:
                optimizer.load_state_dict(walk.memory["optimizer"])
            walk.scratch["optimizer"] = {"parameters": parameters, "optimizer": optimizer}
        return walk.scratch["optimizer"]

    def take(self, walk: Walk, direction: Tensor) -> float:
        """Take one step of the optimizer."""
        made = self._made(walk)
        optimizer: torch.optim.Optimizer = made["optimizer"]
        gradient = walk.network.layout.split(direction.neg_())
        for parameter, piece in zip(made["parameters"], gradient.values(), strict=True):
            parameter.grad = piece
        if self.schedule is not None:
            factor = self.schedule(walk.progress)
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        optimizer.step()
        return 1.0

    def remember(self, walk: Walk) -> None:
        """Put the optimizer's state into the walk's memory."""
        if "optimizer" in walk.scratch:
            walk.memory["optimizer"] = copy.deepcopy(walk.scratch["optimizer"]["optimizer"].state_dict())
