"""The PyTorch modules: a masked pooling layer, and the network that samples images, pools and reads out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError
from devnet._core.random import Key, as_key
from devnet.sheet import Sheet
from devnet.sheet.sampling import difference_matrix, pool_matrix, sampling_taps

CHUNK = 4096


@final
class PoolingLayer(nn.Module):
    """Weighted sums over fixed receptive fields: ``y = x (W * mask)``, (N, n) -> (N, M).

    Attributes:
        weight: Parameter (n, M), a unit's weights summing to 1, or their magnitudes where they have signs. Frozen at first; ``requires_grad_()`` frees it.
        mask: Buffer (n, M), which cells belong to a unit's receptive field. Outside it a weight has no effect and
            no gradient, so a weight that is 0 there stays exactly 0.
    """

    weight: nn.Parameter
    mask: Tensor

    def __init__(self, weight: Float[Tensor, "n M"], mask: Bool[Tensor, "n M"]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight * mask, requires_grad=False)
        self.register_buffer("mask", mask)

    @property
    def masked_weight(self) -> Float[Tensor, "n M"]:
        """The weights that act."""
        return self.weight * self.mask

    def forward(self, x: Float[Tensor, "N n"]) -> Float[Tensor, "N M"]:
        """Pool values at the cells."""
        return x @ self.masked_weight

    def extra_repr(self) -> str:
        """Return sizes for the printed module."""
        cells, units = self.mask.shape
        return f"cells={cells}, units={units}, connections={int(self.mask.sum())}"


@final
class GrownNetwork(nn.Module):
    """A grown sheet's pools as a network: sampler of images, pools, scaling of features, read-out.

    Without ``image_shape`` the input is (N, n), a value a cell; with it, images (N, H, W), (N, 1, H, W) or (N, H W).
    Sampling and pooling are folded into one (H W, M) product, of which only the connections are computed.

    Attributes:
        image_shape: (H, W), or None.
        rectified: Units answer with max(0, sum), as units with signed weights do.
        hidden: Sizes of the read-out's hidden layers.
        classes: Number of outputs, or None where the pools are the output.
        key: Key of the read-out's initial weights.
        pool: The pools.
        readout: Linear layers with ReLU between them, or nothing.
        node_positions: Buffer (n, 2), places of the cells.
        unit_positions: Buffer (M, 2), centers of the pools: means of their cells' places by magnitude of weight.
        feature_mean: Buffer (M,), taken from each feature before the read-out; 0 until ``fit_scaling``.
        feature_scale: Buffer (M,), by which it is then divided; 1 until ``fit_scaling``.
        sample_pixel: Buffer (n, 4), pixels from which a cell takes its value, or None.
        sample_weight: Buffer (n, 4), and with which weights, or None.
    """

    node_positions: Tensor
    unit_positions: Tensor
    feature_mean: Tensor
    feature_scale: Tensor
    sample_pixel: Tensor | None
    sample_weight: Tensor | None
    _cell: Tensor
    _unit: Tensor
    _place: Tensor
    _tap: Tensor

    def __init__(
        self,
        weight: Float[np.ndarray, "n M"],
        mask: Bool[np.ndarray, "n M"],
        node_positions: Float[np.ndarray, "n 2"],
        unit_positions: Float[np.ndarray, "M 2"],
        *,
        image_shape: tuple[int, int] | None,
        taps: tuple[Int[np.ndarray, "n 4"], Float[np.ndarray, "n 4"]] | None,
        rectified: bool,
        hidden: Sequence[int],
        classes: int | None,
        rng: Any,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()

        def real(array: np.ndarray) -> Tensor:
            return torch.tensor(array, dtype=dtype)

        units = weight.shape[1]
        self.image_shape = image_shape
        self.rectified = rectified
        self.hidden = tuple(hidden)
        self.classes = classes
        self.key = as_key(rng)
        self.pool = PoolingLayer(real(weight), torch.tensor(mask, dtype=torch.bool))
        self.register_buffer("node_positions", real(node_positions))
        self.register_buffer("unit_positions", real(unit_positions))
        self.register_buffer("feature_mean", torch.zeros(units, dtype=dtype))
        self.register_buffer("feature_scale", torch.ones(units, dtype=dtype))
        self.register_buffer(
            "sample_pixel", None if taps is None else torch.tensor(taps[0], dtype=torch.int64)
        )
        self.register_buffer("sample_weight", None if taps is None else real(taps[1]))
        self.readout = _readout(units, self.hidden, classes, self.key, dtype)
        _index_connections(self)
        self.register_load_state_dict_post_hook(_index_connections)

    @classmethod
    def from_weights(
        cls,
        sheet: Sheet,
        weights: Float[np.ndarray, "n M"],
        *,
        rectified: bool = False,
        image_shape: tuple[int, int] | None = None,
        hidden: Sequence[int] = (),
        classes: int | None = None,
        rng: Any = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Build a network from any weights: wired, hand-made or random.

        Args:
            sheet: Where the cells are.
            weights: (n, M), at least 0; they become pools as ``sheet.sampling.pool_matrix`` says. Rectified units:
                of either sign; scaled as ``sheet.sampling.difference_matrix`` says.
            rectified: Units answer with max(0, sum).
            image_shape: (H, W) of images that are sampled at the cells, or None.
            hidden: Sizes of the read-out's hidden layers (ReLU); none: a linear read-out.
            classes: Number of outputs of the read-out; None: the pools are the output.
            rng: Seed of the read-out's initial weights, as ``as_key`` takes it.
            dtype: Floating-point type; None means float32.

        Returns:
            The network.

        Raises:
            ConfigError: A wrong shape, size or type; no unit or a unit without weights; hidden layers without classes.
        """
        weights = frozen_array(
            "weights", weights, np.float64, (sheet.n, None), **({} if rectified else {"low": 0})
        )
        if not weights.shape[1] or not weights.any(axis=0).all():
            raise ConfigError(
                "weights",
                "no unit, or a unit without any weight",
                "at least one weight other than 0 for each unit",
            )
        hidden = tuple(hidden)
        for name, sizes in (("hidden", hidden), ("classes", () if classes is None else (classes,))):
            if not all(
                isinstance(size, Integral) and not isinstance(size, bool) and size >= 1 for size in sizes
            ):
                raise ConfigError(
                    name, hidden if name == "hidden" else classes, "whole numbers of at least 1"
                )
        if hidden and classes is None:
            raise ConfigError("hidden", hidden, "no hidden layers, or a number of classes")
        dtype = torch.float32 if dtype is None else dtype
        if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise ConfigError("dtype", dtype, "a floating-point type of torch")
        matrix = difference_matrix(weights) if rectified else pool_matrix(weights)
        shape = None
        taps = None
        if image_shape is not None:
            taps = sampling_taps(sheet, image_shape)
            shape = (int(image_shape[0]), int(image_shape[1]))
        return cls(
            matrix,
            matrix != 0,
            sheet.positions,
            np.abs(matrix).T @ sheet.positions,
            rectified=rectified,
            image_shape=shape,
            taps=taps,
            hidden=tuple(int(size) for size in hidden),
            classes=None if classes is None else int(classes),
            rng=rng,
            dtype=dtype,
        )

    @property
    def image_matrix(self) -> Float[Tensor, "HW M"]:
        """Sampler times pools: the weight of each pixel in each unit.

        Raises:
            ConfigError: The network takes no images.
        """
        if self.image_shape is None:
            raise ConfigError("image_shape", None, "a network that was built with an image shape")
        pixels, units = math.prod(self.image_shape), self.pool.mask.shape[1]
        share = self.pool.weight[self._cell, self._unit, None] * self._tap
        return (
            share.new_zeros(pixels * units).index_add(0, self._place, share.reshape(-1)).view(pixels, units)
        )

    def features(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N M"]:
        """Return what the units answer, unscaled: ``sheet.sampling``'s ``pool_features`` or ``rectified_features``.

        Args:
            x: Values at the cells (N, n), or images.

        Returns:
            (N, M).

        Raises:
            ConfigError: The input has another shape.
        """
        if self.image_shape is None:
            if x.ndim != 2 or x.shape[1] != self.pool.mask.shape[0]:
                raise ConfigError("x", f"tensor of shape {tuple(x.shape)}", f"(N, {self.pool.mask.shape[0]})")
            return self._answer(self.pool(x))
        height, width = self.image_shape
        if tuple(x.shape[1:]) not in ((height, width), (1, height, width), (height * width,)):
            allowed = f"images (N, {height}, {width}), (N, 1, {height}, {width}) or (N, {height * width})"
            raise ConfigError("x", f"tensor of shape {tuple(x.shape)}", allowed)
        return self._answer(x.flatten(1) @ self.image_matrix)

    def _answer(self, pooled: Float[Tensor, "N M"]) -> Float[Tensor, "N M"]:
        return torch.relu(pooled) if self.rectified else pooled

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N out"]:
        """Return the read-out's outputs (logits), or the scaled features where there is no read-out."""
        return self.readout((self.features(x) - self.feature_mean) / self.feature_scale)

    @torch.no_grad()
    def fit_scaling(self, x: Any) -> Self:
        """Set ``feature_mean`` and ``feature_scale`` so that each feature has mean 0 and standard deviation 1 on x.

        Args:
            x: Examples ``[N, ...]``, a tensor or array; a feature that is constant over them keeps the scale 1.

        Returns:
            The module itself.

        Raises:
            ConfigError: No example, or the input has another shape.
        """
        if len(x) == 0:
            raise ConfigError("x", "no example", "at least one example")
        examples = (x if isinstance(x, Tensor) else torch.from_numpy(np.array(x))).to(self.feature_mean)
        features = torch.cat([self.features(part) for part in examples.split(CHUNK)]).double()
        spread = features.std(dim=0, correction=0)
        # What rounding leaves of a constant feature is no spread.
        constant = spread <= 1e-6 * features.abs().amax(dim=0)
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(torch.where(constant, torch.ones_like(spread), spread))
        return self


def _index_connections(network: GrownNetwork, _keys: object = None) -> None:
    """List the connections: cell and unit of each, and its four entries in the product with the sampler.

    The lists follow from the mask and the sampler and are not saved.
    """
    cell, unit = network.pool.mask.nonzero(as_tuple=True)
    lists = {"_cell": cell, "_unit": unit}
    if network.sample_pixel is not None and network.sample_weight is not None:
        place = network.sample_pixel[cell] * network.pool.mask.shape[1] + unit[:, None]
        lists |= {"_place": place.reshape(-1), "_tap": network.sample_weight[cell]}
    for name, value in lists.items():
        network.register_buffer(name, value, persistent=False)


def _readout(
    units: int, hidden: tuple[int, ...], classes: int | None, key: Key, dtype: torch.dtype
) -> nn.Sequential:
    """Build linear layers: weights uniform in +-sqrt(gain 3 / inputs), gain 2 before a ReLU, else 1; biases 0."""
    layers: list[nn.Module] = []
    widths = (units, *hidden, classes) if classes is not None else ()
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        last = number == len(widths) - 2
        # Not initialized by torch, which would draw from its global generator.
        layer = nn.Linear(before, after, dtype=dtype, device="meta").to_empty(device="cpu")
        bound = math.sqrt((3 if last else 6) / before)
        draws = key.stream("readout.weight").uniform(number, before * after)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy((2 * draws - 1) * bound).view(after, before))
            nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.ReLU()]
    return nn.Sequential(*layers)
