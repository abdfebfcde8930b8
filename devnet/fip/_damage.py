"""Damage: units, channels or weights are cut and held at zero, or noise is added; the rest may move (R20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from devnet._core.checks import positive, within
from devnet._core.errors import ConfigError
from devnet._core.random import Stream, as_key
from devnet.fip._layout import CONVOLUTIONS, LAYERS, Layout, copied, joined, share
from devnet.fip._network import BATCH_NORMS
from devnet.fip._objective import Objective, off_mask_energy
from devnet.fip._walk import Walk


@final
@dataclass(frozen=True)
class Damage(Objective):
    """Weights that are cut and stay at zero, or noise that hits weights once.

    As an objective a cut is a hard constraint: the path starts from the damaged network and never leaves the plane
    of networks with this damage. Noise sets where the path starts and holds nothing.

    Attributes:
        intact: For each damaged parameter, a bool array of its shape that is False where it is cut.
        noise_added: For each parameter hit by noise, what is added to it.
    """

    intact: Mapping[str, npt.NDArray[np.bool_]]
    noise_added: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.intact and not self.noise_added:
            raise ConfigError("damage", "nothing", "at least one parameter with a mask or noise")
        for what, kind, words in (
            ("intact", np.bool_, "a bool array, False where cut"),
            ("noise_added", np.float32, "a float32 array"),
        ):
            frozen = {}
            for name, given in getattr(self, what).items():
                array = np.array(given)
                if array.dtype != kind:
                    raise ConfigError(f"damage.{name}", f"array of {array.dtype}", words)
                if not np.isfinite(array).all():
                    raise ConfigError(f"damage.{name}", "noise with NaN or infinity", "finite numbers")
                array.flags.writeable = False
                frozen[name] = array
            object.__setattr__(self, what, MappingProxyType(frozen))

    @staticmethod
    def units(
        module: nn.Module, fraction: float, rng: Any = None, *, layers: Sequence[str] | None = None
    ) -> Damage:
        """Cut a share of the hidden units (output channels, in a convolution) of each layer, drawn at random.

        A cut unit loses its incoming weights and its bias, and scale and shift of a batch normalization that comes
        right after the layer, which silences it wherever the activation is 0 at 0 (ReLU, tanh, GELU); in the next layer
        of a plain chain its outgoing weights are cut too.

        Args:
            module: The undamaged network.
            fraction: Share of the units of each layer, 0 <= fraction < 1; rounded to whole units, of which a layer
                keeps at least one.
            rng: Seed, generator or key.
            layers: Names of the linear or convolutional layers to damage; None means all but the last one.
                Layers whose weights require no gradient, or are computed from other parameters, are passed over.

        Returns:
            The damage.

        Raises:
            ConfigError: Bad share, unknown layer, or a module without a hidden layer.
        """
        within("fraction", fraction, 0.0, 1.0)
        found = {n: m for n, m in module.named_modules() if isinstance(m, LAYERS) and _moves(m)}
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
            alive = _alive(stream, number, len(found[name].weight), fraction)
            _silence(intact, module, name, alive)
            following = found[names[number + 1]] if number + 1 < len(names) else None
            if following is not None and following.weight.shape[1] == len(alive):
                _cut(intact, f"{names[number + 1]}.weight", following.weight, alive, axis=1)
        return Damage(intact)

    @staticmethod
    def weights(module: nn.Module, fraction: float, rng: Any = None) -> Damage:
        """Cut a share of the weights of every parameter with at least two dimensions, drawn at random.

        Args:
            module: The undamaged network.
            fraction: Share of the entries of each parameter, 0 <= fraction < 1; rounded to whole entries, of which a
                parameter keeps at least one.
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
                alive = _alive(stream, number, parameter.numel(), fraction)
                intact[name] = alive.reshape(parameter.shape)
        return Damage(intact)

    @staticmethod
    def channels(
        module: nn.Module, fraction: float, rng: Any = None, *, layers: Sequence[str] | None = None
    ) -> Damage:
        """Cut a share of the output channels of each convolution, drawn at random.

        A cut channel loses its kernel, its bias, and scale and shift of a batch normalization that comes right after
        the convolution, so that it is exactly 0 there.

        Args:
            module: The undamaged network.
            fraction: Share of the channels of each convolution, 0 <= fraction < 1; rounded to whole channels, of
                which a convolution keeps at least one.
            rng: Seed, generator or key.
            layers: Names of the convolutions to damage; None means all whose kernels require a gradient.

        Returns:
            The damage.

        Raises:
            ConfigError: Bad share, unknown convolution, or a module without one.
        """
        within("fraction", fraction, 0.0, 1.0)
        modules = list(module.named_modules())
        known = [n for n, m in modules if isinstance(m, CONVOLUTIONS) and _moves(m)]
        hit = known if layers is None else list(layers)
        unknown = [n for n in hit if n not in known]
        if unknown or not hit:
            raise ConfigError("layers", unknown or hit, f"convolutions among {known}")
        intact: dict[str, npt.NDArray[np.bool_]] = {}
        stream = as_key(rng).stream("damaged channels")
        for number, (name, layer) in enumerate(modules):
            if name not in hit:
                continue
            alive = _alive(stream, number, len(layer.get_parameter("weight")), fraction)
            _silence(intact, module, name, alive)
        return Damage(intact)

    @staticmethod
    def noise(module: nn.Module, scale: float, rng: Any = None) -> Damage:
        """Add Gaussian noise to every parameter with at least two dimensions.

        Args:
            module: The undamaged network.
            scale: Standard deviation of the noise, in units of the parameter's root mean square; above 0.
            rng: Seed, generator or key.

        Returns:
            The damage. It is hit once, at the start of a path; all weights may move afterwards.

        Raises:
            ConfigError: Bad scale, or a module without such a parameter.
        """
        positive("scale", scale)
        stream = as_key(rng).stream("noise")
        noise = {}
        for number, (name, parameter) in enumerate(module.named_parameters()):
            if parameter.ndim >= 2:
                size = np.float32(scale * float(parameter.detach().double().square().mean().sqrt()))
                noise[name] = size * stream.normal(number, parameter.numel()).reshape(parameter.shape)
        return Damage({}, noise)

    def apply(self, module: nn.Module) -> nn.Module:
        """Return a damaged copy of a module.

        Args:
            module: The undamaged network; it is not touched.

        Returns:
            The copy, its cut weights exactly zero.

        Raises:
            ConfigError: The damage does not fit the module.
        """
        damaged = copied(module)
        parameters = dict(damaged.named_parameters())
        self._check({n: tuple(p.shape) for n, p in parameters.items()}, "the module's parameters")
        with torch.no_grad():
            for name, noise in self.noise_added.items():
                parameters[name].add_(torch.from_numpy(noise.copy()).to(parameters[name]))
            for name, mask in self.intact.items():
                parameters[name].masked_fill_(~torch.from_numpy(mask.copy()).to(parameters[name].device), 0.0)
        return damaged

    def _check(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Refuse damage to parameters that are not there or have another shape."""
        for name, array in (*self.intact.items(), *self.noise_added.items()):
            if shapes.get(name) != array.shape:
                raise ConfigError("damage", f"{name} {array.shape}", f"names and shapes of {what}")

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
        """Add the noise, cut the weights: the walk starts from the damaged network."""
        mask = self.mask(walk.network.layout).to(walk.weights.device)
        views = walk.network.layout.split(walk.weights)
        for name, noise in self.noise_added.items():
            views[name].add_(torch.from_numpy(noise.copy()).to(walk.weights))
        if self.intact:
            walk.mask = mask
            walk.scratch["kept"] = mask.to(walk.weights)  # numbers multiply twenty times as fast as truths
            walk.weights.mul_(walk.scratch["kept"])

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return half the squared norm of the cut weights, which is 0 all along the path, and its gradient."""
        return off_mask_energy(walk, walk.mask)

    def constrain(self, walk: Walk) -> None:
        """Hold the cut weights at zero."""
        self.hold(walk)

    def hold(self, walk: Walk) -> None:
        """Set the cut weights to zero."""
        if "kept" in walk.scratch:
            walk.weights.mul_(walk.scratch["kept"])


def _moves(layer: nn.Module) -> bool:
    """Return whether a layer's weight is a parameter of its own that requires a gradient."""
    weight = dict(layer.named_parameters(recurse=False)).get("weight")
    return weight is not None and weight.requires_grad


def _alive(stream: Stream, number: int, count: int, fraction: float) -> npt.NDArray[np.bool_]:
    """Draw which of some things are left."""
    alive = np.ones(count, dtype=np.bool_)
    alive[stream.permutation(number, count)[: share(fraction, count)]] = False
    return alive


def _silence(intact: dict[str, Any], module: nn.Module, name: str, alive: npt.NDArray[np.bool_]) -> None:
    """Mark units of a layer as cut, and scale and shift of a batch normalization that comes right after it."""
    modules = list(module.named_modules())
    place = [n for n, _ in modules].index(name)
    norms = [
        (n, m)
        for n, m in modules[place + 1 : place + 2]
        if isinstance(m, BATCH_NORMS) and m.num_features == len(alive)
    ]
    for owner, part in [modules[place], *norms]:
        for kind, parameter in part.named_parameters(recurse=False):
            _cut(intact, joined(owner, kind), parameter, alive, axis=0)


def _cut(
    intact: dict[str, Any], name: str, parameter: Tensor, alive: npt.NDArray[np.bool_], axis: int
) -> None:
    """Mark rows (axis 0) or columns (axis 1) of a parameter as cut, beside what is marked already."""
    mask = intact.setdefault(name, np.ones(tuple(parameter.shape), dtype=np.bool_))
    shape = [1] * mask.ndim
    shape[axis] = -1
    mask &= alive.reshape(shape)
