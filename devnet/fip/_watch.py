"""Watching a walk: what a way-point tells, and whoever wants to hear it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, final, runtime_checkable

from torch import nn

from devnet._core import progress
from devnet._core.errors import ConfigError
from devnet._core.optional import require
from devnet.fip._inputs import as_inputs
from devnet.fip._network import Network
from devnet.fip._reference import as_labels


@final
@dataclass(frozen=True)
class WayPoint:
    """The numbers of a way-point, while the walk goes on.

    Attributes:
        step: Steps taken.
        steps: Steps planned.
        distance: Functional distance from the start.
        objective: Value of the secondary goal.
        weight_distance: Distance from the start in weight space.
        sparsity: Share of the counted weights that is zero.
        accuracy: Share of the labelled examples that the live network gets right; None where there are none.
    """

    step: int
    steps: int
    distance: float
    objective: float
    weight_distance: float
    sparsity: float
    accuracy: float | None = None

    def __str__(self) -> str:
        right = "" if self.accuracy is None else f", accuracy {100 * self.accuracy:.1f} %"
        return f"distance {self.distance:.3g}, objective {self.objective:.3g}{right}"


@runtime_checkable
class Callback(Protocol):
    """Hears of every way-point; any object with this method will do."""

    def waypoint(self, point: WayPoint, module: nn.Module) -> None:
        """Take notice of a way-point.

        Args:
            point: Its numbers.
            module: The live network in evaluation mode: to be asked, not to be changed.
        """
        ...


@final
class TensorBoard:
    """Writes the numbers of every way-point as scalars for TensorBoard (``pip install 'devnet[tensorboard]'``).

    Args:
        folder: Where TensorBoard's event files go.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
    """

    def __init__(self, folder: str) -> None:
        require("tensorboard", extra="tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(folder)

    def waypoint(self, point: WayPoint, module: nn.Module) -> None:
        """Write the scalars."""
        for name in ("distance", "objective", "weight_distance", "sparsity", "accuracy"):
            value = getattr(point, name)
            if value is not None:
                self._writer.add_scalar(f"path/{name}", value, point.step)
        self._writer.flush()


@final
@dataclass(eq=False)
class Watch:
    """Who hears of way-points, and the labelled examples on which the live network is scored for them."""

    callbacks: tuple[Callback, ...] = ()
    labelled: tuple[Any, Any] | None = None
    tick: progress.Tick | None = None

    @staticmethod
    def of(callbacks: Sequence[Callback], labelled: tuple[Any, Any] | None) -> Watch:
        """Check callbacks and return who watches.

        Args:
            callbacks: Objects with the method of ``Callback``.
            labelled: Inputs and class numbers, or None.

        Returns:
            The watch.

        Raises:
            ConfigError: An object has no such method.
        """
        for callback in callbacks:
            if not isinstance(callback, Callback):
                held = type(callback).__name__
                raise ConfigError("callbacks", held, "objects with a method waypoint(point, module)")
        return Watch(tuple(callbacks), labelled)

    def tell(self, point: WayPoint, network: Network) -> None:
        """Score the network, then tell everybody."""
        if self.labelled is not None:
            x = as_inputs("labelled.inputs", self.labelled[0], network.weights)
            y = as_labels("labelled.labels", self.labelled[1], x)
            right = network.outputs(x).argmax(-1) == y
            point = replace(point, accuracy=float(right.float().mean()))
        if self.tick is not None:
            self.tick(0, str(point))
        for callback in self.callbacks:
            callback.waypoint(point, network.module)
