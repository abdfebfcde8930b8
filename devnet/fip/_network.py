"""A private, frozen-mode copy of a module whose moving parameters are views into one flat vector."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.func import functional_call

from devnet._core.errors import ConfigError, ResourceError
from devnet.fip._distributed import PIECES, Team, team
from devnet.fip._inputs import Batch, arguments, call
from devnet.fip._layout import Layout, copied, layout_of
from devnet.fip._lent import Lent

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
T = TypeVar("T")
CHUNK = 2048  # examples a forward pass without gradient takes at once


def seeded(outputs: Tensor, seed: Tensor) -> Tensor:
    """Return the scalar whose gradient is ``J^T seed``.

    The gradient of a scalar is asked for rather than one with ``grad_outputs``, for which PyTorch first loads a
    library of symbols (half a second in every process).

    Args:
        outputs: A differentiable tensor.
        seed: A tensor of its shape.

    Returns:
        Their inner product.
    """
    return torch.dot(outputs.reshape(-1), seed.reshape(-1))


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether PyTorch failed for want of memory; its allocator on the CPU has no type for that."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


@contextmanager
def _in_parts() -> Generator[None]:
    """Say what helps where memory ends: processes that put parameters together cannot halve a micro-batch alone."""
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise ResourceError(f"a micro-batch does not fit; take fewer examples a step: {error}") from error


@contextmanager
def _one_way() -> Generator[None]:
    """Let attention compute alike with and without a gradient: its fast path masks tokens in another way."""
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def _refuse_unsteady(module: nn.Module) -> None:
    """Refuse modules whose outputs in evaluation mode depend on more than weights, buffers and the example.

    Args:
        module: A copy that was put into evaluation mode.

    Raises:
        ConfigError: A part stays in training mode, or normalizes by the statistics of the batch.
    """
    for name, part in module.named_modules():
        if part.training:
            raise ConfigError("module", f"{name} in training mode", "a module whose parts all obey eval()")
        if isinstance(part, BATCH_NORMS) and part.running_mean is None:
            raise ConfigError(
                "module",
                f"{name} without running statistics",
                "batch normalization that tracks its statistics",
            )


class Network:
    """The network that walks: a deep copy of the user's module in evaluation mode.

    Evaluation mode is the stated policy: dropout is off, batch-norm statistics are those of the module and stay as
    they are (``recalibrate`` measures them anew, beside a path). A module that draws numbers, normalizes by the batch
    or changes its buffers all the same is refused. Buffers and parameters that do not move are those of the copy; the
    user's module is never touched.

    Attributes:
        module: The copy.
        layout: Its moving parameters.
        weights: The flat vector they are views of, ``[P]``.
        precision: Type in which autocast lets the module compute outputs and gradients, or None for its own. These
            and the weights keep their type; products with the Jacobian are computed in it.
        micro_batch: Examples that are known not to be too many for a forward and backward pass.

    Given processes among which its weights are cut, a process holds its part of the vector, and ``module`` borrows
    parameters while it computes (see ``Lent``): all processes must ask it together. Of what follows, only calls,
    ``outputs`` and ``slope`` work there.
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: Sequence[str] | None = None,
        counted: Sequence[str] | None = None,
        precision: torch.dtype | None = None,
        mates: Team | None = None,
    ) -> None:
        if not isinstance(module, nn.Module):
            raise ConfigError("module", type(module).__name__, "a torch.nn.Module")
        self.layout: Layout = layout_of(module, parameters, counted)
        self.micro_batch: int = sys.maxsize
        self.precision = precision
        self._moving: list[Tensor] = []
        self._lent = None if mates is None else Lent(module, self.layout, mates)
        self.module = (copied(module) if self._lent is None else self._lent.module).eval()
        _refuse_unsteady(self.module)
        if self._lent is not None:
            self.layout, self.weights = replace(self.layout, shard=self._lent.shard), self._lent.weights
            return
        mine = dict(self.module.named_parameters())
        self.weights = self.layout.join({n: p.detach() for n, p in mine.items()})
        views = self.layout.split(self.weights)
        for name, parameter in mine.items():
            moves = name in views
            parameter.requires_grad_(moves)
            if moves:
                parameter.data = views[name]
                self._moving.append(parameter)

    def __call__(self, inputs: Batch) -> Tensor:
        """Return the outputs at the present weights, ``[N, ..., C]``."""
        device, kind = self.weights.device.type, self.precision
        with (
            _one_way(),
            torch.autocast(device, dtype=kind, enabled=kind is not None),
            nullcontext() if self._lent is None else self._lent.saving(),
        ):
            outputs = call(self.module, inputs)
        return outputs if kind is None else outputs.to(self.weights.dtype)

    def outputs(self, inputs: Batch) -> Tensor:
        """Return the outputs at the present weights without a graph, in chunks.

        Args:
            inputs: ``[N, ...]``.

        Returns:
            ``[N, ..., C]``.

        Raises:
            ConfigError: The module returns something else.
        """

        def part(rows: slice) -> Tensor:
            with torch.no_grad():
                given = self(inputs[rows])
            if not isinstance(given, Tensor) or given.ndim < 2 or len(given) != len(inputs[rows]):
                held = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
                raise ConfigError("module", held, "a module whose output is one tensor [N, ..., C]")
            return given

        return self.joined(len(inputs), part, CHUNK)

    def function(self, inputs: Batch) -> Callable[[Tensor], Tensor]:
        """Return the outputs on fixed inputs as a pure function of the flat weights (for torch.func).

        It is made for derivatives, which autocast does not take twice, and computes in the network's own precision.
        """

        def outputs(flat: Tensor) -> Tensor:
            with _one_way():
                return functional_call(self.module, self.layout.split(flat), *arguments(inputs))

        return outputs

    def parts(
        self, count: int, run: Callable[[slice], T], most: int = sys.maxsize, first: int = 0
    ) -> list[T]:
        """Run over consecutive examples, all at once where memory lets it.

        Where the device runs out of memory, the micro-batch is halved, for good, and the run begins again.

        Args:
            count: Number of examples.
            run: Called with ``slice(first, last)``.
            most: Examples at once that are not to be exceeded anyway.
            first: Number of the first example.

        Returns:
            What the runs returned, in order.

        Raises:
            ResourceError: A single example does not fit.
            RuntimeError: The module failed otherwise.
        """
        while True:
            size = min(count, most, self.micro_batch)
            try:
                last = first + count
                return [run(slice(a, min(a + size, last))) for a in range(first, last, size)]
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                if size == 1:
                    raise ResourceError(f"a single example does not fit into memory: {error}") from error
            # Outside of the handler: what the failed run held is free by now.
            self.micro_batch = -(-size // 2)
            if self.weights.is_cuda:
                torch.cuda.empty_cache()

    def joined(self, count: int, run: Callable[[slice], Tensor], most: int = sys.maxsize) -> Tensor:
        """Return what a run returns for all examples, a row an example; shared with a team; see ``parts``."""

        def piece(first: int, last: int) -> Tensor:
            if self._lent is None:
                return torch.cat(self.parts(last - first, run, most, first))
            # Parameters are put together in each run: as many on every process.
            runs = math.ceil(math.ceil(count / PIECES) / most)
            ends = [first + (last - first) * k // runs for k in range(runs + 1)]
            with _in_parts():
                return torch.cat([run(slice(a, b)) for a, b in pairwise(ends)])

        mates = team()
        return piece(0, count) if mates is None or not mates.shares(count) else mates.joined(count, piece)

    def summed(
        self, count: int, run: Callable[[slice, Tensor | None], Tensor], out: Tensor | None = None
    ) -> Tensor:
        """Return the sum over micro-batches of what a run returns; shared with a team; see ``parts``.

        Args:
            count: Number of examples.
            run: Called with ``slice(first, last)`` and a vector to fill, or None for a new one.
            out: Vector for the sum, or None.

        Returns:
            The sum.
        """

        def piece(first: int, last: int, out: Tensor | None) -> Tensor:
            total: list[Tensor] = []

            def part(rows: slice) -> Tensor:
                if rows.start == first:
                    total[:] = [run(rows, out)]
                else:
                    total[0].add_(run(rows, None))
                return total[0]

            return self.parts(last - first, part, first=first)[-1]

        mates = team()
        if mates is None or not mates.shares(count):
            return piece(0, count, out)
        return mates.summed(count, piece, out)

    def slope(
        self, count: int, scalar: Callable[[slice], Tensor], out: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the sum over micro-batches of a differentiable scalar, and its gradient; shared with a team.

        Args:
            count: Number of examples.
            scalar: Called with ``slice(first, last)``; returns a scalar that depends on outputs of ``self``.
            out: Vector to fill, one entry longer than the weights, or None for a new one.

        Returns:
            Scalar, and vector ``[P]``; parts of ``out``.
        """

        def part(rows: slice, out: Tensor | None) -> Tensor:
            with torch.enable_grad():
                value = scalar(rows)
            # One vector: both are summed alike.
            return torch.cat([*self._pulled(value), value.detach().reshape(1).to(self.weights)], out=out)

        if self._lent is not None:
            with torch.enable_grad(), _in_parts():
                return self._lent.slope(count, scalar, out)
        both = self.summed(count, part, out)
        return both[-1], both[:-1]

    def gradient(self, outputs: Tensor, seed: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Return ``J^T seed``: a gradient with respect to the flat weights.

        Args:
            outputs: A scalar loss, or outputs of ``self(inputs)``.
            seed: Derivative with respect to the outputs, of their shape; None for a scalar.
            out: Vector to fill, or None for a new one.

        Returns:
            Vector ``[P]``; zero where the outputs do not depend on a weight.
        """
        return torch.cat(self._pulled(outputs if seed is None else seeded(outputs, seed)), out=out)

    def _pulled(self, scalar: Tensor) -> list[Tensor]:
        """Return the gradient of a scalar, a vector a parameter."""
        pieces = torch.autograd.grad(scalar, self._moving, allow_unused=True, materialize_grads=True)
        return [g.reshape(-1) for g in pieces]
