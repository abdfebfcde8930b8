"""Small networks and inputs that the tests of fip share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from devnet._core.random import Key


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draws(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return fixed Gaussians."""
    numbers = Key(11).stream(name).normal(0, int(torch.Size(shape).numel()))
    return torch.from_numpy(numbers).to(dtype).reshape(shape)


@pytest.fixture(name="draws")
def _draws() -> Callable[..., Tensor]:
    return draws


def make_mlp(*sizes: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return a ReLU network with fixed weights; PyTorch's generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(sizes):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
    module = nn.Sequential(*layers[:-1])
    for name, parameter in module.named_parameters():
        scale = 1.5 / parameter.shape[-1] ** 0.5 if parameter.ndim > 1 else 0.1
        parameter.data = draws(name, *parameter.shape) * scale
    return module.to(dtype)


@pytest.fixture
def mlp() -> nn.Sequential:
    return make_mlp(8, 16, 5)


@pytest.fixture(name="make_mlp")
def _make_mlp() -> Callable[..., nn.Sequential]:
    return make_mlp


@pytest.fixture
def inputs() -> Tensor:
    return draws("inputs", 200, 8)
