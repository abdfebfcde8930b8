"""Stops: when a walk ends, and the words for why it did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import final

from devnet._core.checks import whole, within


@final
class Stop(Enum):
    """Why a walk ended; ``help`` says it in a sentence."""

    STEPS = "steps"
    REACHED = "reached"
    LIMIT = "limit"
    STALLED = "stalled"
    PAUSED = "paused"
    CUT = "cut"

    @property
    def help(self) -> str:
        """One sentence for a reader."""
        return _HELP[self]


_HELP = {
    Stop.STEPS: "The planned number of steps was taken.",
    Stop.REACHED: "The functional distance fell to the wanted value.",
    Stop.LIMIT: "The functional distance rose above its limit; the last way-point is where that was seen.",
    Stop.STALLED: "Several steps in a row found nothing better: no multiple of the direction lowered distance or objective.",
    Stop.PAUSED: "The walk was paused; resume takes it up where it stopped.",
    Stop.CUT: "This is a part of a path that goes on.",
}


@final
@dataclass(frozen=True)
class StopWhen:
    """When a walk ends.

    Attributes:
        steps: Planned steps; schedules run over this number.
        distance_below: End once the functional distance at a way-point is at most this; None means never.
        distance_above: End once the functional distance at a way-point is above this; None means never.
        stalled: End after so many rejected steps in a row; ``DampedNatural`` needs several to find its damping.
    """

    steps: int = 1000
    distance_below: float | None = None
    distance_above: float | None = None
    stalled: int = 10

    def __post_init__(self) -> None:
        for name in ("steps", "stalled"):
            whole("stop." + name, getattr(self, name))
        for name in ("distance_below", "distance_above"):
            value = getattr(self, name)
            if value is not None:
                within("stop." + name, value, 0.0, math.inf)

    def reason(self, step: int, distance: float, rejected: int) -> Stop | None:
        """Return why a walk ends at a way-point, or None where it goes on.

        Args:
            step: Steps taken.
            distance: Functional distance there.
            rejected: Rejected steps in a row.

        Returns:
            The reason.
        """
        if self.distance_above is not None and distance > self.distance_above:
            return Stop.LIMIT
        if step > 0 and self.distance_below is not None and distance <= self.distance_below:
            return Stop.REACHED
        if rejected >= self.stalled:
            return Stop.STALLED
        return Stop.STEPS if step >= self.steps else None
