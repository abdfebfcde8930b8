"""Networks by name: small standard classifiers, for studies, benchmarks and files of weights.

A file of weights holds no code. Whoever hands one to the command line says beside it which of these networks the
weights belong to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet._core.random import as_key

Shape = tuple[int, ...]
"""Shape of an image: (height, width), or (channels, height, width)."""


class AsImages(nn.Module):
    """Views examples of any shape as images ``[N, C, H, W]``."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.shape = (channels, height, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the images."""
        return x.reshape(len(x), *self.shape)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut (He et al. 2016, basic block)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified sum of both ways."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class VisionTransformer(nn.Module):
    """A small transformer encoder on patches (Dosovitskiy et al. 2021), the mean of its tokens read out."""

    def __init__(
        self, image: tuple[int, int, int], classes: int, *, patch: int = 7, wide: int = 64, depth: int = 4
    ) -> None:
        super().__init__()
        channels, height, width = image
        self.images = AsImages(*image)
        self.patches = nn.Conv2d(channels, wide, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, (height // patch) * (width // patch), wide))
        layer = nn.TransformerEncoderLayer(
            wide, 4, 2 * wide, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.readout = nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        tokens = self.patches(self.images(x)).flatten(2).transpose(1, 2)
        return self.readout(self.encoder(tokens + self.places).mean(1))


def mlp(*sizes: int) -> nn.Sequential:
    """Return linear layers of these sizes, inputs first, with ReLU between them; examples are flattened."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def small_cnn(image: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Return two convolutions with batch norm and pooling, and two linear layers."""
    channels, height, width = image
    layers: list[nn.Module] = [AsImages(*image)]
    for before, after in ((channels, 16), (16, 32)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    inner = 32 * (height // 4) * (width // 4)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inner, 64), nn.ReLU(), nn.Linear(64, classes))


def vgg_11(image: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Return VGG-11 with batch norm (Simonyan and Zisserman 2015), one linear layer behind it, as usual on 32x32."""
    layers: list[nn.Module] = [AsImages(*image)]
    before = image[0]
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for after in stage:
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        layers.append(nn.MaxPool2d(2, ceil_mode=True))  # the same at 32x32; 28x28 fits too
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def resnet_18(image: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Return ResNet-18 for small images: a 3x3 stem without pooling (He et al. 2016, as usual on CIFAR-10)."""
    layers: list[nn.Module] = [
        AsImages(*image),
        nn.Conv2d(image[0], 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    before = 64
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [ResidualBlock(before, after, stride), ResidualBlock(after, after, 1)]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def _pixels(image: tuple[int, int, int]) -> int:
    return image[0] * image[1] * image[2]


MODELS: dict[str, Callable[[tuple[int, int, int], int], nn.Module]] = {
    "lenet-300-100": lambda image, classes: mlp(_pixels(image), 300, 100, classes),
    "small-cnn": small_cnn,
    "vgg-11": vgg_11,
    "resnet-18": resnet_18,
    "vit-small": VisionTransformer,
}
"""Networks by name; beside them ``mlp:784-100-100-10``, any sizes, pixels first."""


def build(name: str, image_shape: Shape, classes: int, *, rng: Any = None) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: One of ``MODELS``, or ``mlp:`` and sizes with dashes between them.
        image_shape: (H, W) or (C, H, W).
        classes: Number of outputs.
        rng: Seed, generator or key of the weights. PyTorch's generator is left as it was.

    Returns:
        The network; it takes images ``[N, ...]`` and returns logits ``[N, classes]``.

    Raises:
        ConfigError: An unknown name, or sizes that do not fit the images.
    """
    if len(image_shape) not in {2, 3}:
        raise ConfigError("image_shape", image_shape, "(H, W) or (C, H, W)")
    channels = 1 if len(image_shape) == 2 else image_shape[0]
    image = (channels, image_shape[-2], image_shape[-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(as_key(rng).child("weights").value % 2**63)
        if name.startswith("mlp:"):
            return mlp(*_sizes(name, _pixels(image), classes))
        if name not in MODELS:
            raise ConfigError("factory", name, f"one of {', '.join(MODELS)} or mlp:SIZES (784-100-10, say)")
        return MODELS[name](image, classes)


def _sizes(name: str, pixels: int, classes: int) -> list[int]:
    text = name.removeprefix("mlp:")
    sizes = (
        [int(part) for part in text.split("-")] if re.fullmatch(r"[1-9]\d{0,6}(-[1-9]\d{0,6})+", text) else []
    )
    if len(sizes) < 2 or sizes[0] != pixels or sizes[-1] < classes:
        raise ConfigError("factory", name, f"mlp:{pixels}-...-{classes}, sizes with dashes between them")
    return sizes
