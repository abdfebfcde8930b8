"""Damage: units or weights are cut and held at zero; the undamaged weights may move (R20)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.fip._checks import within
from devnet.fip._layout import Layout
from devnet.fip._objective import Objective, off_mask_energy, zero_off_mask
from devnet.fip._walk import Walk

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@final
@dataclass(frozen=True)
class Damage(Objective):
    """Weights that are cut and stay at zero.

    As an objective it is a hard constraint: the path starts from the damaged network and never leaves the plane of
    networks with this damage.

    Attributes:
        intact: For each damaged parameter, a bool array of its shape that is False where it is cut.
    """

    intact: Mapping[str, npt.NDArray[np.bool_]]

    def __post_init__(self) -> None:
        if not self.intact:
            raise ConfigError("damage", "nothing", "at least one parameter with a mask")
        frozen = {}
        for name, mask in self.intact.items():
            array = np.array(mask)
            if array.dtype != np.bool_:
                raise ConfigError(
                    f"damage.{name}", f"array of {array.dtype}", "a bool array, False where cut"
                )
            array.flags.writeable = False
            frozen[name] = array
        object.__setattr__(self, "intact", MappingProxyType(frozen))

    @staticmethod
    def units(
        module: nn.Module, fraction: float, rng: Any = None, *, layers: Sequence[str] | None = None
    ) -> Damage:
        """Cut a share of the hidden units (output channels, in a convolution) of each layer, drawn at random.

        A cut unit loses its incoming weights and its bias, which silences it wherever the activation is 0 at 0
        (ReLU, tanh, GELU); in the next layer of a plain chain its outgoing weights are cut too.

        Args:
            module: The undamaged network.
            fraction: Share of the units of each layer, 0 <= fraction < 1; rounded to whole units.
            rng: Seed, generator or key.
            layers: Names of the linear or convolutional layers to damage; None means all but the last one.
                Layers whose weights require no gradient are passed over.

        Returns:
            The damage.

        Raises:
            ConfigError: Bad share, unknown layer, or a module without a hidden layer.
        """
        within("fraction", fraction, 0.0, 1.0)
        found = {n: m for n, m in module.named_modules() if isinstance(m, _LAYERS) and m.weight.requires_grad}
        names = list(found)
        hit = names[:-1] if layers is None else list(layers)
        unknown = [n for n in hit if n not in found]
        if unknown or not hit:
            raise ConfigError("layers", unknown or hit, "linear or convolutional layers among " + str(names))
        intact: dict[str, npt.NDArray[np.bool_]] = {}
        stream = as_key(rng).stream("damaged units")
        for number, name in enumerate(names):
            if name not in hit:
                continue
            layer = found[name]
            units = layer.weight.shape[0]
            alive = np.ones(units, dtype=np.bool_)
            alive[stream.permutation(number, units)[: round(fraction * units)]] = False
            _cut(intact, f"{name}.weight", layer.weight, alive, axis=0)
            if layer.bias is not None:
                _cut(intact, f"{name}.bias", layer.bias, alive, axis=0)
            following = found[names[number + 1]] if number + 1 < len(names) else None
            if following is not None and following.weight.shape[1] == units:
                _cut(intact, f"{names[number + 1]}.weight", following.weight, alive, axis=1)
        return Damage(intact)

    @staticmethod
    def weights(module: nn.Module, fraction: float, rng: Any = None) -> Damage:
        """Cut a share of the weights of every parameter with at least two dimensions, drawn at random.

        Args:
            module: The undamaged network.
            fraction: Share of the entries of each parameter, 0 <= fraction < 1; rounded to whole entries.
            rng: Seed, generator or key.

        Returns:
            The damage.

        Raises:
            ConfigError: Bad share, or a module without such a parameter.
        """
        within("fraction", fraction, 0.0, 1.0)
        stream = as_key(rng).stream("damaged weights")
        intact = {}
        for number, (name, parameter) in enumerate(module.named_parameters()):
            if parameter.ndim >= 2:
                alive = np.ones(parameter.numel(), dtype=np.bool_)
                alive[stream.permutation(number, alive.size)[: round(fraction * alive.size)]] = False
                intact[name] = alive.reshape(parameter.shape)
        return Damage(intact)

    def apply(self, module: nn.Module) -> nn.Module:
        """Return a damaged copy of a module.

        Args:
            module: The undamaged network; it is not touched.

        Returns:
            The copy, its cut weights exactly zero.

        Raises:
            ConfigError: The damage does not fit the module.
        """
        damaged = copy.deepcopy(module)
        parameters = dict(damaged.named_parameters())
        self._check({n: tuple(p.shape) for n, p in parameters.items()}, "the module's parameters")
        with torch.no_grad():
            for name, mask in self.intact.items():
                parameters[name].masked_fill_(~torch.from_numpy(mask.copy()).to(parameters[name].device), 0.0)
        return damaged

    def _check(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Refuse damage to parameters that are not there or have another shape."""
        for name, mask in self.intact.items():
            if shapes.get(name) != mask.shape:
                raise ConfigError("damage", f"{name} {mask.shape}", f"names and shapes of {what}")

    def mask(self, layout: Layout) -> Tensor:
        """Return the flat mask of a layout.

        Args:
            layout: The parameters that move; all damaged ones must be among them.

        Returns:
            Bool vector ``[P]``, False where cut.

        Raises:
            ConfigError: The damage does not fit the layout.
        """
        shapes = dict(zip(layout.names, layout.shapes, strict=True))
        self._check(shapes, "the parameters that move")
        masks = {
            n: torch.from_numpy(np.array(self.intact[n]))
            if n in self.intact
            else torch.ones(s, dtype=torch.bool)
            for n, s in shapes.items()
        }
        return layout.join(masks)

    def begin(self, walk: Walk) -> None:
        """Cut the weights: the walk starts from the damaged network."""
        walk.mask = self.mask(walk.network.layout).to(walk.weights.device)
        zero_off_mask(walk.weights, walk.mask)

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return half the squared norm of the cut weights, which is 0 all along the path, and its gradient."""
        return off_mask_energy(walk.weights, walk.mask)

    def constrain(self, walk: Walk) -> None:
        """Hold the cut weights at zero."""
        if walk.mask is not None:
            zero_off_mask(walk.weights, walk.mask)


def _cut(
    intact: dict[str, Any], name: str, parameter: Tensor, alive: npt.NDArray[np.bool_], axis: int
) -> None:
    """Mark rows (axis 0) or columns (axis 1) of a parameter as cut, beside what is marked already."""
    mask = intact.setdefault(name, np.ones(tuple(parameter.shape), dtype=np.bool_))
    shape = [1] * mask.ndim
    shape[axis] = -1
    mask &= alive.reshape(shape)
