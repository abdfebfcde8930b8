"""Local resilience: how fast a network breaks down as a layer or a unit of it is taken away (R20)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from devnet._core.arrays import frozen_array
from devnet.fip._metric import LocalMetric


@final
@dataclass(frozen=True, eq=False)
class Resilience:
    r"""Break-down speeds :math:`\sqrt{w'^T g\, w'}` at the start of the path :math:`w(t) = (1 - t)\, w_{cut}` (R20).

    :math:`w'` is minus the weights that are cut and 0 elsewhere; the smaller the speed, the more resilient.

    Attributes:
        layers: Speed of cutting all parameters of a layer, by name.
        units: Speed of cutting each of its units (incoming weights, bias), by name of the layer; a layer whose
            parameters differ in their first dimension has none.
    """

    layers: Mapping[str, float]
    units: Mapping[str, npt.NDArray[np.float64]]


def resilience(local: LocalMetric) -> Resilience:
    """Measure the break-down speed of every layer and unit; one product with the Jacobian for each.

    Args:
        local: The metric tensor at the undamaged network.

    Returns:
        The speeds.
    """
    layout = local.network.layout
    shapes = dict(zip(layout.names, layout.shapes, strict=True))
    owners: dict[str, list[str]] = {}
    for name in layout.names:
        owners.setdefault(name.rpartition(".")[0], []).append(name)
    layers: dict[str, float] = {}
    units: dict[str, npt.NDArray[np.float64]] = {}
    for owner, names in owners.items():
        cut = torch.zeros_like(local.weights)
        pieces, weights = layout.split(cut), layout.split(local.weights)
        for name in names:
            pieces[name].copy_(-weights[name])
        layers[owner] = local.quadratic(cut) ** 0.5
        counts = {shapes[n][0] if shapes[n] else 0 for n in names}
        if len(counts) > 1 or 0 in counts:
            continue
        speeds = np.zeros(counts.pop())
        for unit in range(len(speeds)):
            cut.zero_()
            for name in names:
                pieces[name][unit] = -weights[name][unit]
            speeds[unit] = local.quadratic(cut) ** 0.5
        units[owner] = frozen_array(f"units.{owner}", speeds, np.float64, (None,), low=0.0)
    return Resilience(MappingProxyType(layers), MappingProxyType(units))
