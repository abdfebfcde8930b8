"""Objectives on the place in weight space: towards another network, or away from networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from devnet._core.checks import positive, within
from devnet._core.errors import ConfigError
from devnet.fip._layout import Layout
from devnet.fip._objective import Objective
from devnet.fip._walk import Walk


def flat_weights(field: str, module: nn.Module, layout: Layout, like: Tensor) -> Tensor:
    """Return another module's values of the parameters that move.

    Args:
        field: Name that an error shall show.
        module: A module with parameters of these names and shapes.
        layout: The parameters that move.
        like: A tensor of the wanted type and device.

    Returns:
        Vector ``[P]``.

    Raises:
        ConfigError: It has other parameters.
    """
    parameters = dict(module.named_parameters()) if isinstance(module, nn.Module) else {}
    held = {n: tuple(parameters[n].shape) for n in layout.names if n in parameters}
    if held != dict(zip(layout.names, layout.shapes, strict=True)):
        raise ConfigError(field, type(module).__name__, "a module with the parameters of the one that moves")
    return layout.join({n: parameters[n].detach().to(like) for n in layout.names})


def fixed_parts(field: str, module: nn.Module, base: nn.Module, layout: Layout) -> dict[str, Tensor]:
    """Return the floating-point buffers in which another module differs; refuse all else that stays and differs.

    Counters of batches (``num_batches_tracked``) mean nothing to the outputs and may differ.

    Args:
        field: Name that an error shall show.
        module: The other module.
        base: The one that moves.
        layout: Its parameters that move.

    Returns:
        Values of the other module by name, in the type and on the device of the buffers of ``base``.

    Raises:
        ConfigError: A parameter that does not move, or a buffer of whole numbers or truths, differs; or a buffer is
            absent or has another shape.
    """
    mine, theirs = (
        {n: p.detach() for n, p in m.named_parameters() if n not in layout.names} | dict(m.named_buffers())
        for m in (base, module)
    )
    moving = dict(base.named_buffers())
    found: dict[str, Tensor] = {}
    for name in sorted(mine.keys() | theirs.keys()):
        shapes = [tuple(held[name].shape) if name in held else "absent" for held in (theirs, mine)]
        if shapes[0] != shapes[1]:
            raise ConfigError(
                field, f"{name} {shapes[0]}", f"a module like the one that moves: {name} {shapes[1]}"
            )
        value = mine[name]
        other = theirs[name].to(value)
        if name.endswith("num_batches_tracked") or torch.equal(other.to_dense(), value.to_dense()):
            continue
        if name not in moving or not value.is_floating_point() or value.layout is not torch.strided:
            raise ConfigError(field, f"another {name}", f"the same values of {name}, which does not move")
        found[name] = other
    return found


@final
@dataclass(frozen=True, eq=False)
class ToWeights(Objective):
    r"""Another network: :math:`\frac12 \|w - w_1\|^2`, for paths that connect two networks (F24).

    Attributes:
        module: The network to come to, of the same architecture; see ``devnet.tasks`` for bringing the units of two
            networks into the same order first. Only weights move, so its buffers (batch-norm statistics) and its
            parameters that do not move must be those of the network that walks; ``devnet.tasks.connection`` bends
            curves that take buffers along.
        pull: Share of the way to it that every step takes beside the direction, 0 <= pull < 1. With 0 the objective
            acts through its gradient alone.
    """

    module: nn.Module
    pull: float = 0.0

    def __post_init__(self) -> None:
        within("objective.pull", self.pull, 0.0, 1.0)

    @property
    def by_gradient(self) -> bool:
        """True where nothing pulls."""
        return self.pull == 0

    def begin(self, walk: Walk) -> None:
        """Read the other network's weights."""
        field, network = "objective.module", walk.network
        walk.scratch["goal"] = flat_weights(field, self.module, network.layout, walk.weights)
        for name in fixed_parts(field, self.module, network.module, network.layout):
            fix = "copy them from the network that walks, or use devnet.tasks.connection"
            raise ConfigError(field, f"another {name}", f"the same buffers: {fix}")

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return half the squared distance and the way that is left."""
        off = walk.weights - walk.scratch["goal"]
        return 0.5 * off.dot(off), off

    def constrain(self, walk: Walk) -> None:
        """Take the share of the way."""
        if self.pull:
            walk.weights.lerp_(walk.scratch["goal"], self.pull)


@final
@dataclass(frozen=True, eq=False)
class Diversity(Objective):
    r"""Away from the start and from other networks: :math:`\sum_m \frac12 \max(0, R - \|w - w_m\|)^2` (F24, H21).

    Networks of an ensemble are way-points of such a path, or the ends of several that repel each other. Where the
    walk stands on one of the networks, every direction leads away; a random one is taken.

    Attributes:
        radius: Distance R in weight space at which a network repels no more.
        others: Networks to keep away from beside the start, of the same architecture.
    """

    radius: float
    others: Sequence[nn.Module] = ()

    def __post_init__(self) -> None:
        positive("objective.radius", self.radius)

    @property
    def by_gradient(self) -> bool:
        """True: no projection leads away."""
        return True

    def begin(self, walk: Walk) -> None:
        """Read the other networks' weights."""
        places = [flat_weights("objective.others", m, walk.network.layout, walk.weights) for m in self.others]
        noise = walk.key.stream("diversity").normal(0, len(walk.weights))
        away = torch.from_numpy(noise).to(walk.weights)
        walk.scratch["diversity"] = {"places": torch.stack([walk.start, *places]), "away": away / away.norm()}

    def value_and_grad(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Return the repulsion and its gradient."""
        held = walk.scratch["diversity"]
        gaps = walk.weights - held["places"]
        lengths = gaps.norm(dim=1, keepdim=True)
        units = torch.where(lengths > 0, gaps / lengths.clamp_min(1e-30), held["away"])
        inside = (self.radius - lengths).clamp_min(0.0)
        return 0.5 * inside.square().sum(), -(inside * units).sum(0)
