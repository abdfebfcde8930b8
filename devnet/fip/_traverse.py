"""The one verb of this package: walk a functionally invariant path."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from devnet._core import progress
from devnet._core.errors import ConfigError, HealthError
from devnet._core.random import as_key
from devnet.fip._network import Network
from devnet.fip._path import Path
from devnet.fip._problem import Problem
from devnet.fip._reference import Reference, as_inputs
from devnet.fip._stop import Stop
from devnet.fip._walk import Walk


class _Recorder:
    """Keeps way-points while a walk goes on."""

    def __init__(self, walk: Walk, probe: int) -> None:
        self._walk = walk
        self._counted = walk.network.layout.counted_mask(walk.weights.device)
        self._probe = walk.reference.draw("probe", 0, probe)
        self.rows: dict[str, list[Any]] = {
            n: [] for n in ("steps", "deltas", "distance", "objective", "weight_distance", "sparsity")
        }

    def keep(self) -> float:
        """Keep the live weights as a way-point and return their functional distance."""
        walk = self._walk
        delta = walk.weights - walk.start
        # A way-point is start + delta as the machine rounds it. The walk goes on from exactly there, so that a
        # network loaded from the path is the network that was walked through. -0.0 becomes +0.0 on the way.
        torch.add(walk.start, delta, out=walk.weights)
        distance = walk.distance(*self._probe)
        if not math.isfinite(distance):
            raise HealthError(
                f"step {walk.step}: the functional distance is {distance}; take smaller steps (a lower rate, more damping)"
            )
        weights = walk.weights[self._counted]
        for name, value in {
            "steps": walk.step,
            "deltas": (delta if delta.element_size() >= 4 else delta.float()).cpu().numpy(),
            "distance": distance,
            "objective": float(walk.objective.value_and_grad(walk)[0]),
            "weight_distance": float(delta.norm()),
            "sparsity": float((weights == 0).sum()) / len(weights),
        }.items():
            self.rows[name].append(value)
        return distance

    def replace(self) -> float:
        """Keep the live weights in place of the last way-point."""
        for column in self.rows.values():
            column.pop()
        return self.keep()


def traverse(module: nn.Module, problem: Problem, *, rng: Any = None) -> Path:
    r"""Move a network along a path on which its function stays as invariant as can be (F24).

    Approximates :math:`\min \int \langle\gamma', \gamma'\rangle_g + O(\gamma)\, dt` in discrete steps: the reference
    outputs :math:`z_0` are those of a frozen copy of the module and are cached once; every step takes the direction's
    proposal as far as the step rule lets it, then applies the objective's proximal map.

    The module is copied and never touched. Its copy runs in evaluation mode: dropout is off and batch-norm statistics
    stay as they are; a module that draws random numbers all the same is refused. Buffers, and parameters that are not
    to move, keep their values.

    Args:
        module: Any network that maps one tensor ``[N, ...]`` to one tensor ``[N, ..., C]``.
        problem: What shall stay, where to go, and how.
        rng: Seed, generator or key (SPEC 7). One key gives one path, bit for bit, on one device and thread count.
            PyTorch's global generator is not used.

    Returns:
        The path, from the module to where the walk ended.

    Raises:
        ConfigError: The module, its inputs or the problem do not fit together.
        HealthError: The walk left the finite numbers.
    """
    if not isinstance(problem, Problem):
        raise ConfigError("problem", type(problem).__name__, "a devnet.fip.Problem")
    key = as_key(rng)
    network = Network(module, problem.parameters, problem.counted)
    reference = Reference.of(network, as_inputs("inputs", problem.inputs, network.weights), key)
    walk = Walk(
        network=network,
        start=network.weights.clone(),
        reference=reference,
        metric=problem.metric,
        objective=problem.objective,
        key=key,
        steps=problem.stop.steps,
    )
    walk.objective.begin(walk)
    record = _Recorder(walk, problem.probe)
    stop = _go(walk, problem, record)
    rows = record.rows
    return Path(
        base=copy.deepcopy(module),
        layout=network.layout,
        steps=np.array(rows["steps"], dtype=np.int64),
        deltas=np.stack(rows["deltas"]),
        distance=np.array(rows["distance"]),
        objective=np.array(rows["objective"]),
        weight_distance=np.array(rows["weight_distance"]),
        sparsity=np.array(rows["sparsity"]),
        stop=stop,
        key=key.value,
    )


def _go(walk: Walk, problem: Problem, record: _Recorder) -> Stop:
    """Take steps until the walk ends, keeping way-points, and return why it ended."""
    planned = problem.stop.steps
    marks = {round(planned * k / (problem.keep - 1)) for k in range(problem.keep)}
    rejected = 0
    record.keep()
    with progress.task("traverse", planned) as tick:
        while True:
            walk.objective.update(walk)
            direction = problem.direction.propose(walk)
            size = _move(walk, problem, direction)
            rejected = 0 if size else rejected + 1
            walk.step += 1
            tick()
            if walk.step not in marks and rejected < problem.stop.stalled:
                continue
            stop = problem.stop.reason(walk.step, record.keep(), rejected)
            if stop is not None:
                break
    walk.objective.finish(walk)
    record.replace()
    return stop


def _move(walk: Walk, problem: Problem, direction: Tensor) -> float:
    """Take one step and let the objective hold its constraint; return the multiple that was taken."""
    with torch.no_grad():
        size = problem.step.take(walk, direction)
        problem.direction.accepted(walk, size)
        walk.objective.constrain(walk)
    return size
