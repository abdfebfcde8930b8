"""What is done to the synapses of a projection every so many steps, beside its rule of learning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from devnet.spec._base import ASSUMED, Spec, quantity


class EverySpec(Spec):
    """What all of them have; the laws stand in ``dynamics.plasticity.upkeep``."""

    every: int = quantity(1024, "steps", ASSUMED, ge=1)


class NormalizeSpec(EverySpec):
    """Synaptic normalization: the weights of each unit, or those of each cell, come to one sum."""

    effect: Literal["normalize"] = "normalize"
    of: Literal["unit", "cell"] = Field(
        default="unit", description="the synapses onto each unit, or from each cell"
    )
    by: Literal["factor", "offset"] = Field(
        default="factor",
        description="multiplied, as synaptic scaling does; or as much taken from each present synapse",
    )


class BalanceSpec(EverySpec):
    """Homeostatic thresholds: units that won more than their share since the last time win less from now on."""

    effect: Literal["balance"] = "balance"
    gain: float = quantity(1.0, "drive", ASSUMED, gt=0, description="c_j += gain (share of wins - 1 / M)")


class RewireSpec(EverySpec):
    """Structural plasticity: weak synapses go, and as many grow at other cells; a unit's number of them is kept.

    A weight of 0 is no synapse, and learning makes none.
    """

    effect: Literal["rewire"] = "rewire"
    density: float = quantity(
        0.25, "1", ASSUMED, gt=0, le=1, description="share of the cells it keeps a synapse from"
    )
    turnover: float = quantity(
        0.1, "1", ASSUMED, ge=0, lt=1, description="share of its synapses, the weakest, that goes"
    )
    newborn: float = quantity(
        0.5, "1", ASSUMED, gt=0, description="a new synapse's weight, over the mean of those that stay"
    )


UpkeepSpec = Annotated[NormalizeSpec | BalanceSpec | RewireSpec, Field(discriminator="effect")]
