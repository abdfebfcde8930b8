"""Stored images are few: seen each time a little turned, shifted, scaled and sheared, they stand for more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from devnet._core.checks import whole, within
from devnet._core.errors import ConfigError
from devnet._core.random import Stream


@final
@dataclass(frozen=True)
class Affine:
    r"""A random affine map of every image, each of its numbers uniform within plus or minus its bound.

    :math:`x \mapsto s\,(R(\alpha) + h\, e_1 e_2^T)\, x + b`, bilinear, 0 outside of the image; so 0 should be the
    ground of the images.

    Attributes:
        shape: Height and width of the images; inputs are ``[N, H, W]``, ``[N, C, H, W]`` or flattened ones.
        turn: Bound of the angle, degrees.
        shift: Bound of the shift b in either direction, pixels.
        scale: Bound of s - 1.
        shear: Bound of h.
    """

    shape: tuple[int, int] = (28, 28)
    turn: float = 10.0
    shift: float = 2.0
    scale: float = 0.1
    shear: float = 0.1

    def __post_init__(self) -> None:
        for side in self.shape:
            whole("augment.shape", side)
        within("augment.turn", self.turn, 0.0, 180.0)
        within("augment.shift", self.shift, 0.0, min(self.shape))
        for name in ("scale", "shear"):
            within("augment." + name, getattr(self, name), 0.0, 1.0)

    def check(self, field: str, inputs: Tensor) -> None:
        """Refuse inputs that are not images of this shape.

        Args:
            field: Name that the error shall show.
            inputs: ``[N, ...]``.

        Raises:
            ConfigError: They are not.
        """
        if inputs[0].numel() % math.prod(self.shape) or not inputs.is_floating_point():
            raise ConfigError(field, tuple(inputs.shape), f"images of {self.shape}")

    def __call__(self, inputs: Tensor, stream: Stream, step: int) -> Tensor:
        """Return changed copies.

        Args:
            inputs: Images ``[N, ...]``.
            stream: Where the numbers come from.
            step: Which of its draws.

        Returns:
            As many images of the same shape.
        """
        count, (height, width) = len(inputs), self.shape
        drawn = (
            torch.from_numpy(stream.uniform(step, 5 * count)).to(inputs).view(5, count).mul_(2.0).sub_(1.0)
        )
        angle = drawn[0] * math.radians(self.turn)
        size, shear = 1.0 + self.scale * drawn[1], self.shear * drawn[2]
        maps = inputs.new_empty(count, 2, 3)
        maps[:, 0, 0] = maps[:, 1, 1] = angle.cos() * size
        maps[:, 0, 1] = (
            (shear - angle.sin()) * size * (height / width)
        )  # the grid goes from -1 to 1 on either side
        maps[:, 1, 0] = angle.sin() * size * (width / height)
        maps[:, 0, 2] = drawn[3] * (2.0 * self.shift / width)
        maps[:, 1, 2] = drawn[4] * (2.0 * self.shift / height)
        images = inputs.reshape(count, -1, height, width)
        grid = affine_grid(maps, list(images.shape), align_corners=False)
        return grid_sample(images, grid, align_corners=False).view_as(inputs)
