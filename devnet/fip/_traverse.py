"""The verb of this package: walk a functionally invariant path, and go on with one that was paused."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from devnet._core import progress
from devnet._core.checkpoint import Checkpoint
from devnet._core.checks import whole
from devnet._core.errors import ConfigError, ResourceError
from devnet._core.random import Key, as_key
from devnet.fip._distributed import SharedCheckpoint, Team, team
from devnet.fip._inputs import as_inputs
from devnet.fip._keeping import Keeper, digests
from devnet.fip._layout import copied
from devnet.fip._network import Network
from devnet.fip._path import Path
from devnet.fip._problem import Problem
from devnet.fip._recorder import Recorder
from devnet.fip._reference import Reference
from devnet.fip._sharded_checkpoint import ShardedCheckpoint
from devnet.fip._state import WalkState
from devnet.fip._stop import Stop
from devnet.fip._walk import Walk
from devnet.fip._watch import Callback, Watch


def traverse(
    module: nn.Module,
    problem: Problem,
    *,
    rng: Any = None,
    until: int | None = None,
    callbacks: Sequence[Callback] = (),
    labelled: tuple[Any, Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Path:
    r"""Move a network along a path on which its function stays as invariant as can be (F24).

    Approximates :math:`\min \int \langle\gamma', \gamma'\rangle_g - \beta\, \gamma' \cdot v\, dt`, v being minus the
    gradient of the objective, in discrete steps: the reference
    outputs :math:`z_0` are those of a frozen copy of the module and are cached once; every step takes the direction's
    proposal as far as the step rule lets it, then applies the objective's proximal map.

    The module is copied and never touched. Its copy runs in evaluation mode: dropout is off and batch-norm statistics
    stay as they are; a module that draws random numbers all the same is refused. Buffers, and parameters that are not
    to move, keep their values. Where the device runs out of memory, micro-batches are halved; results stay the same up
    to the rounding of sums. Where a GPU cannot hold a single example, the walk begins again on the CPU, with a warning.
    Among processes that joined with ``torchrun(sharded=True)`` the weights are cut. Give the module on the CPU; callbacks
    that ask the live one must do so in every process.

    Args:
        module: Any network that maps a tensor ``[N, ...]``, or several, to one tensor ``[N, ..., C]``.
        problem: What shall stay, where to go, and how.
        rng: Seed, generator or key (SPEC 7). One key gives one path, bit for bit, on one device and thread count.
            PyTorch's global generator is not used.
        until: Pause at the first way-point at or after this step, for ``resume`` to go on from; None means never.
        callbacks: Objects that hear of every way-point; see ``Callback``.
        labelled: Inputs and class numbers on which the live network is scored for progress and callbacks. The path
            does not depend on them.
        checkpoint: Where the walk is kept between steps, so that it goes on bit for bit if its process dies;
            ``devnet.io.Checkpoints`` is one.

    Returns:
        The path, from the module to where the walk ended or paused. A paused one is as it is: an objective that makes
        its goal exact does so at the end.

    Raises:
        ConfigError: The module, its inputs or the problem do not fit together.
        HealthError: The walk left the finite numbers.
        ResourceError: A CPU cannot hold a single example.
        InterruptedRunError: It was asked to stop; the checkpoint holds the walk.
    """
    watch, key = Watch.of(callbacks, labelled), as_key(rng)
    try:
        return _walked(module, module, problem, key, until, watch, checkpoint)
    except ResourceError as error:
        if not _on_accelerator(module) or team() is not None:
            raise
        warnings.warn(f"{error}; the walk begins again on the CPU", RuntimeWarning, stacklevel=2)
    return _walked(module, copied(module).cpu(), problem, key, until, watch, checkpoint)


def _on_accelerator(module: nn.Module) -> bool:
    """Return whether there is a CPU to fall back to."""
    return any(p.device.type != "cpu" for p in module.parameters())


def _walked(
    home: nn.Module,
    module: nn.Module,
    problem: Problem,
    key: Key,
    until: int | None,
    watch: Watch,
    checkpoint: Checkpoint | None,
) -> Path:
    """Walk from a module to the end; the path's networks are those of ``home``."""
    mates = team()
    if mates is not None and mates.sharded:
        _refuse_whole(problem, until)
    walk = begun(module, problem, key, until, mates if mates is not None and mates.sharded else None)
    record = Recorder(walk, problem.probe, watch)
    if checkpoint is not None and mates is not None:
        shard = walk.network.layout.shard
        checkpoint = (
            SharedCheckpoint(checkpoint, mates)
            if shard is None
            else ShardedCheckpoint(checkpoint, mates, shard)
        )
    keeper = Keeper(checkpoint, walk, problem, record.rows)
    rejected = keeper.restore()
    if rejected is None:
        record.keep()
        record.tell()
    stop, state = _go(walk, problem, record, rejected or 0, until, keeper)
    return record.path(copied(home), stop, state)


def _refuse_whole(problem: Problem, until: int | None) -> None:
    """Refuse what needs the whole of a vector where each process holds a part.

    Args:
        problem: The problem.
        until: Where to pause.

    Raises:
        ConfigError: Something does.
    """
    fixes = {
        "objective": "Stay, NewTask, or Sparsity of the pattern Global",
        "direction": "PenalizedGradient",
        "step": "Adam, Fixed, UnitLength, Backtrack or FunctionalBudget",
    }
    where = " where weights are cut among processes"
    for name, fix in fixes.items():
        if not getattr(problem, name).by_shards:
            raise ConfigError(name, type(getattr(problem, name)).__name__, fix + where)
    if problem.precision is not None:
        raise ConfigError("precision", str(problem.precision), "None" + where)
    if until is not None:
        raise ConfigError("until", until, f"None{where}; checkpoint= keeps such a walk")


def resume(
    path: Path,
    problem: Problem,
    *,
    until: int | None = None,
    callbacks: Sequence[Callback] = (),
    labelled: tuple[Any, Any] | None = None,
) -> Path:
    """Go on with a paused path; it ends bit for bit where it would have ended without the pause.

    Args:
        path: A path whose ``stop`` is ``Stop.PAUSED``, from ``traverse`` or loaded from a file.
        problem: The problem it was walked with.
        until: Pause again at the first way-point at or after this step; None means never.
        callbacks: As in ``traverse``.
        labelled: As in ``traverse``.

    Returns:
        The whole path, the part before the pause included.

    Raises:
        ConfigError: The path was not paused, or the problem is another one. Arrays and numbers are compared, functions
            by their names, of the stop only the planned steps; of a path from an old version's file the distance alone.
        CorruptFileError: The path's state is damaged.
        HealthError: The walk left the finite numbers.
    """
    if (mates := team()) is not None and mates.sharded:
        raise ConfigError("path", "weights cut among processes", "torchrun() without sharded=True for resume")
    if not isinstance(path, Path) or path.state is None:
        held = path.stop.value if isinstance(path, Path) else type(path).__name__
        raise ConfigError("path", held, "a path that was paused")
    walk = begun(path.base, problem, Key(path.key), until)
    if walk.network.layout != path.layout:
        raise ConfigError("problem", "other parameters", "the problem with which the path was walked")
    if other := path.state.differs(digests(walk, problem)):
        raise ConfigError(
            "problem", "another " + ", ".join(other), "the problem with which the path was walked"
        )
    rejected = path.state.restore(walk)
    torch.add(walk.start, torch.from_numpy(path.deltas[-1].copy()).to(walk.start), out=walk.weights)
    record = Recorder(walk, problem.probe, Watch.of(callbacks, labelled), path)
    last = float(path.distance[-1])
    if (
        not math.isclose(record.distance(), last, rel_tol=1e-3, abs_tol=1e-6)
        or problem.stop.steps <= walk.step
    ):
        raise ConfigError(
            "problem",
            f"distance {record.distance():g} at step {walk.step}",
            f"the problem of the path, there {last:g}",
        )
    stop, state = _go(walk, problem, record, rejected, until, Keeper(None, walk, problem, record.rows))
    return record.path(copied(path.base), stop, state)


def begun(
    module: nn.Module, problem: Problem, key: Key, until: int | None, mates: Team | None = None
) -> Walk:
    """Return a walk before its first step; its weights are cut among processes where some are given."""
    if not isinstance(problem, Problem):
        raise ConfigError("problem", type(problem).__name__, "a devnet.fip.Problem")
    if until is not None:
        whole("until", until)
    network = Network(module, problem.parameters, problem.counted, problem.precision, mates)
    walk = Walk(
        network=network,
        start=network.weights.clone(),
        reference=Reference.of(network, as_inputs("inputs", problem.inputs, network.weights), key),
        metric=problem.metric,
        objective=problem.objective,
        key=key,
        steps=problem.stop.steps,
        penalty=problem.direction.penalty,
    )
    walk.metric.check(walk.reference.outputs)
    walk.objective.begin(walk)
    if problem.objective.by_gradient and not problem.direction.penalty:
        raise ConfigError(
            "direction.penalty",
            problem.direction.penalty,
            "a penalty above 0: the objective acts by its gradient",
        )
    return walk


def _go(
    walk: Walk, problem: Problem, record: Recorder, rejected: int, until: int | None, keeper: Keeper
) -> tuple[Stop, WalkState | None]:
    """Take steps until the walk ends or pauses, keeping way-points; return why, and the state at a pause."""
    planned = problem.stop.steps
    marks = {round(planned * k / (problem.keep - 1)) for k in range(problem.keep)}
    with progress.task("traverse", planned) as tick:
        record.watch.tick = tick
        if walk.step:
            tick(walk.step)
        while True:
            keeper.offer(rejected)
            rejected = 0 if advance(walk, problem) else rejected + 1
            tick()
            if walk.step not in marks and rejected < problem.stop.stalled:
                continue
            stop = problem.stop.reason(walk.step, record.keep(), rejected)
            if stop is not None:
                break
            record.tell()
            if until is not None and walk.step >= until:
                problem.step.remember(walk)
                return Stop.PAUSED, WalkState.of(walk, rejected, digests(walk, problem))
        walk.objective.finish(walk)
        record.replace()
        record.tell()
    return stop, None


def advance(walk: Walk, problem: Problem) -> float:
    """Take one step: renew the objective, ask for a direction, move, and let the objective hold its constraint.

    Args:
        walk: The walk, changed in place.
        problem: What it is walked for.

    Returns:
        The multiple of the direction that was taken.
    """
    walk.objective.update(walk)
    direction = problem.direction.propose(walk)
    with torch.no_grad():
        size = problem.step.take(walk, direction)
        problem.direction.accepted(walk, size)
        walk.objective.constrain(walk)
    walk.step += 1
    return size
