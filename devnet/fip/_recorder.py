"""Way-points, kept and told while a walk goes on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from torch import nn

from devnet._core.errors import HealthError
from devnet.fip._distributed import team
from devnet.fip._path import SERIES, Path, as_delta
from devnet.fip._state import WalkState
from devnet.fip._stop import Stop
from devnet.fip._walk import Walk
from devnet.fip._watch import Watch, WayPoint


@final
class Recorder:
    """Keeps way-points while a walk goes on."""

    def __init__(self, walk: Walk, probe: int, watch: Watch, before: Path | None = None) -> None:
        self._walk = walk
        self.watch = watch
        self._counted = walk.network.layout.counted_mask(walk.weights.device)
        self._probe = walk.reference.draw("probe", 0, probe)
        self.rows: dict[str, list[Any]] = {
            n: [] if before is None else list(getattr(before, n)) for n in ("steps", "deltas", *SERIES)
        }

    def distance(self) -> float:
        """Return the functional distance of the live weights."""
        return self._walk.distance(*self._probe)

    def keep(self) -> float:
        """Keep the live weights as a way-point and return their functional distance."""
        walk, layout = self._walk, self._walk.network.layout
        delta = walk.weights - walk.start
        # A way-point is start + delta as the machine rounds it. The walk goes on from exactly there, so that a
        # network loaded from the path is the network that was walked through. -0.0 becomes +0.0 on the way.
        torch.add(walk.start, delta, out=walk.weights)
        distance = self.distance()
        if (mates := team()) is not None:
            mates.agree(f"step {walk.step}", as_delta(delta) if layout.shard is None else distance)
        if not math.isfinite(distance):
            fix = "take smaller steps (a lower rate, more damping)"
            if walk.step == 0:
                fix = "outputs are not finite where the objective lets the path start: damage or noise too large"
            raise HealthError(f"step {walk.step}: the functional distance is {distance}; {fix}")
        counted = sum(n for n, c in zip(layout.sizes, layout.counted, strict=True) if c)
        for name, value in {
            "steps": walk.step,
            "deltas": as_delta(delta),
            "distance": distance,
            "objective": float(walk.objective.value_and_grad(walk)[0]),
            "weight_distance": float(layout.norm(delta)),
            "sparsity": layout.count((walk.weights == 0) & self._counted) / counted,
        }.items():
            self.rows[name].append(value)
        return distance

    def tell(self) -> None:
        """Tell the newest way-point to all who watch."""
        walk, numbers = self._walk, {name: self.rows[name][-1] for name in SERIES}
        self.watch.tell(WayPoint(walk.step, walk.steps, **numbers), walk.network)

    def replace(self) -> float:
        """Keep the live weights in place of the last way-point."""
        for column in self.rows.values():
            column.pop()
        return self.keep()

    def path(self, module: nn.Module, stop: Stop, state: WalkState | None) -> Path:
        """Return what was kept as a path from a module, which it takes over."""
        rows, walk = self.rows, self._walk
        deltas, layout = rows["deltas"], walk.network.layout
        if (shard := layout.shard) is not None:
            deltas = [shard.fetch(torch.tensor(row), 0, layout.size).numpy() for row in deltas]
        return Path(
            base=module,
            layout=replace(layout, shard=None),
            steps=np.array(rows["steps"], dtype=np.int64),
            deltas=np.stack(deltas),
            **{name: np.array(rows[name]) for name in SERIES},
            stop=stop,
            key=walk.key.value,
            state=state,
        )
