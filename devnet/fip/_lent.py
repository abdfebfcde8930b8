"""A module whose weights are cut among processes and lent to it, one parameter at a time, while it computes.

Where the module asks for a parameter it gets one that was put together that moment, and that goes when nobody needs it
any more. What the backward pass would keep of it is only noted, and put together again when that pass comes there. A
parameter's gradient, once it is whole, goes to the processes that hold its entries and is added up in the order of the
micro-batches. So a process holds its part of the weights and, for a moment, one or two parameters.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.utils import parametrize

from devnet._core.errors import ConfigError
from devnet.fip._distributed import PIECES, Team, pieces, place
from devnet.fip._layout import Layout
from devnet.fip._shard import Shard


@final
class Lent:
    """A copy of a module that borrows its moving parameters; those that do not move, and buffers, are its own.

    Args:
        module: The module, anywhere; it is not touched.
        layout: Its moving parameters.
        mates: The processes among which these are cut.

    Attributes:
        module: The copy, on this process's device.
        shard: Which entries of the flat vector this process holds.
        weights: These entries.

    Raises:
        ConfigError: The module holds a recurrent layer of PyTorch, which keeps its parameters for itself.
    """

    def __init__(self, module: nn.Module, layout: Layout, mates: Team) -> None:
        self.shard = Shard(layout.size, mates)
        self._mates = mates
        theirs = dict(module.named_parameters())
        like = theirs[layout.names[0]]
        self.weights: Tensor = torch.empty(
            self.shard.last - self.shard.first, dtype=like.dtype, device=place()
        )
        tokens: dict[int, tuple[nn.Parameter, int]] = {}
        for name, (first, last) in zip(layout.names, layout.places, strict=True):
            source, (here, there) = theirs[name].detach(), self.shard.own(first, last)
            self.weights[here] = source.reshape(-1)[there].to(self.weights)
            # A leaf of the parameter's shape without its memory: where its gradient arrives.
            token = nn.Parameter(self.weights.new_zeros(()).expand(source.shape))
            token.register_post_accumulate_grad_hook(partial(self._arrived, first))
            tokens[id(theirs[name])] = token, first
        self.module = copy.deepcopy(module, {number: token for number, (token, _) in tokens.items()})
        self._settle({id(token): first for token, first in tokens.values()})
        self._lent: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._gradient = torch.empty(0)
        self._alone = False

    def _settle(self, firsts: dict[int, int]) -> None:
        """Put all but the lent parameters on the device, and let the module borrow those."""
        for parameter in self.module.parameters():
            if id(parameter) not in firsts:
                parameter.requires_grad_(False)
                parameter.data = parameter.data.to(self.weights.device)
        for buffer in self.module.buffers():
            buffer.data = buffer.data.to(self.weights.device)
        for owner in list(self.module.modules()):
            if isinstance(owner, nn.RNNBase):
                raise ConfigError(
                    "module", type(owner).__name__, "one without it where weights are cut among processes"
                )
            for name, parameter in list(owner.named_parameters(recurse=False, remove_duplicate=False)):
                if id(parameter) in firsts:
                    borrow = _Borrow(partial(self._lend, firsts[id(parameter)]))
                    parametrize.register_parametrization(owner, name, borrow, unsafe=True)

    def slope(
        self, count: int, scalar: Callable[[slice], Tensor], out: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the sum over micro-batches of a scalar, and this process's part of its gradient.

        Args:
            count: Number of examples.
            scalar: Called with ``slice(first, last)``; see ``Network.slope``.
            out: Vector to fill, one entry longer than the part, or None for a new one.

        Returns:
            The value, the same on every process, and the part.
        """
        out = self.weights.new_empty(len(self.weights) + 1) if out is None else out
        self._gradient, value = out[:-1].zero_(), out[-1:].zero_()
        self._alone = not self._mates.shares(count)
        if self._alone:
            return value.add_(_pulled(scalar(slice(0, count))))[0], self._gradient
        cut = pieces(count)
        for start in range(0, PIECES, self._mates.size):
            mine = _pulled(scalar(slice(*cut[start + self._mates.rank]))).to(value)
            for part in self._mates.gathered(mine.reshape(1)):
                value.add_(part)
        return value[0], self._gradient

    def saving(self) -> saved_tensors_hooks:
        """Return the context of a forward pass, in which lent parameters are noted rather than kept."""
        self._lent = {}
        return saved_tensors_hooks(self._pack, self._unpack)

    def _lend(self, first: int, token: Tensor) -> Tensor:
        """Return a parameter, put together from all parts."""
        whole: Tensor = _Lend.apply(token, partial(self._whole, first, token.shape))
        if whole.numel():
            self._lent[whole.untyped_storage().data_ptr()] = weakref.ref(whole), first
        return whole

    def _whole(self, first: int, shape: torch.Size) -> Tensor:
        return self.shard.fetch(self.weights, first, first + shape.numel()).view(shape)

    def _pack(self, tensor: Tensor) -> Tensor | _Note:
        """Return what the backward pass keeps in a tensor's place."""
        if tensor.layout is torch.strided and tensor.numel():
            storage = tensor.untyped_storage()
            held, first = self._lent.get(storage.data_ptr(), (None, 0))
            if held is not None and held() is not None:
                size = storage.nbytes() // tensor.element_size()
                return _Note(first, size, tensor.size(), tensor.stride(), int(tensor.storage_offset()))
        return tensor

    def _unpack(self, kept: Tensor | _Note) -> Tensor:
        """Return the tensor that was kept, or put together again."""
        if isinstance(kept, Tensor):
            return kept
        whole = self.shard.fetch(self.weights, kept.first, kept.first + kept.count)
        return whole.as_strided(kept.size, kept.stride, kept.offset)

    def _arrived(self, first: int, token: Tensor) -> None:
        """Take a parameter's gradient to where its entries are held, and forget it."""
        if token.grad is None:
            return
        values, token.grad = token.grad.reshape(-1), None
        if self._alone:  # all have the same
            here, there = self.shard.own(first, first + len(values))
            self._gradient[here].add_(values[there])
        else:
            self.shard.add(self._gradient, values, first)


def _pulled(scalar: Tensor) -> Tensor:
    """Send a scalar's gradient on its way, and return the scalar."""
    scalar.backward()
    return scalar.detach()


class _Note(NamedTuple):
    """Which entries of the flat vector a tensor shows, and how."""

    first: int
    count: int
    size: torch.Size
    stride: tuple[int, ...]
    offset: int


class _Lend(torch.autograd.Function):
    """A parameter in place of its token; its gradient is the token's."""

    @staticmethod
    def forward(ctx: Any, token: Tensor, whole: Callable[[], Tensor]) -> Tensor:
        """Return the parameter."""
        return whole()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return its gradient."""
        return gradients[0], None


@final
class _Borrow(nn.Module):
    """Borrows a parameter each time it is asked for."""

    def __init__(self, lend: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._lend = lend

    def forward(self, token: Tensor) -> Tensor:
        """Return the parameter that a token stands for."""
        return self._lend(token)
