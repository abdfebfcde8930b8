"""A stack: sheets above the first one, each wired by the waves of the sheet below it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from devnet.spec._base import ASSUMED, Name, Spec, Wrong, quantity, refuse
from devnet.spec._rules import CompetitionSpec, RuleSpec

SHEET = "sheet"
"""What ``below`` calls the first sheet."""


Width = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1)]


class LayerSpec(Spec):
    """One sheet of a stack: its units, how they compete and learn, and how they mature. All numbers are ours.

    Units lie evenly over the scaffold; their lengths count in mean spacings of the layer. Width and rate are
    given as ``(immature, mature)`` and move from the first to the second as the layer matures.
    """

    units: int = quantity(256, "units", ASSUMED, ge=4, le=100_000)
    emitted: bool = Field(
        default=False,
        description="its units are those that the layer below it emits as it grows (G19): above the first sheet its own "
        "layer-II units; units then tells how many there were",
    )
    below: str = Field(
        default="",
        description='name of the layer that feeds it, or "sheet"; empty: the one before. Layers fed by one are branches',
    )
    form: Literal["rate", "spiking"] = Field(
        default="rate",
        description="a winner fires at every step; or units spike as M20's do: set back to 0, their threshold raised by h, "
        "which comes back with tau_a",
    )
    start: Literal["unordered", "arbor"] = Field(
        default="unordered",
        description="all-to-all at random, or Gaussian arbors around the unit's own place",
    )
    arbor: float = quantity(0.4, "side", ASSUMED, gt=0, description="sd of an arbor, in sqrt(sheet's area)")
    width: tuple[Width, Width] = quantity(
        (0.35, 0.0375),
        "side",
        ASSUMED,
        min_length=2,
        max_length=2,
        description="sd s of the gap-junction coupling, in sqrt(sheet's area)",
    )
    least_width: float = quantity(0.5, "spacing", ASSUMED, gt=0, description="s is never below it")
    winners: tuple[Share, Share] = quantity(
        (0.02, 0.04),
        "1",
        ASSUMED,
        min_length=2,
        max_length=2,
        description="shares of units that teach, and that fire, at once",
    )
    fewest: int = quantity(2, "units", ASSUMED, ge=1, description="but at least so many each")
    competition: Literal["k_winners", "soft"] = Field(
        default="k_winners",
        description="the k most active units fire; or soft: all that are above a share of the most active one's activation, "
        "so that the size of a bump follows the drive, and winners says who teaches alone",
    )
    share: float = quantity(0.7, "1", ASSUMED, gt=0, lt=1, description="that share, of soft competition")
    eta: tuple[Rate, Rate] = quantity((0.01, 0.001), "1", ASSUMED, min_length=2, max_length=2)
    c_plus: float = quantity(
        2e-4, "1", ASSUMED, ge=0, description="c_j += c_plus (g_j - mean g), g those that teach"
    )
    tau_x: float = quantity(2.0, "steps", ASSUMED, ge=1)
    threshold: float = quantity(0.3, "drive", ASSUMED, gt=0, description="a unit fires above it")
    min_active: int = quantity(2, "cells", ASSUMED, ge=1, description="open to the layer below from so many")
    psp: int = quantity(
        1,
        "steps",
        ASSUMED,
        ge=1,
        description="for which a spike below drives; more for cells that spike and reset",
    )
    max_spread: float = quantity(
        2.0,
        "disc",
        ASSUMED,
        ge=0,
        description="and only while their rms radius is at most that of a disc of as many cells, times this; 0: always",
    )
    mature_after: int = quantity(
        160_000, "events", ASSUMED, ge=1, description="events after which it is mature, if the layer below is"
    )
    patience: float = quantity(
        10.0,
        "1",
        ASSUMED,
        ge=0,
        description="maturity u grows by (u of the layer below)^patience / mature_after",
    )
    prune: float = quantity(
        0.1, "1", ASSUMED, ge=0, lt=1, description="synapses below it times the unit's largest are taken away"
    )
    depression: float = quantity(
        0.0, "1", ASSUMED, ge=0, le=1, description="of synapses whose cell fires after the unit; 0: none"
    )
    tau_minus: float = quantity(20.0, "steps", ASSUMED, ge=1, description="within so many steps")
    rule: RuleSpec | None = Field(
        default=None,
        description="a rule in place of the layer's own: its rates, time constants, bounds, norm and upkeep hold, "
        "while the layer's competition and conscience stay; its rates fall as eta does, and prune and depression rest",
    )
    recurrence: float = quantity(
        0.0, "drive", ASSUMED, ge=0, description="excitation of a whole bump of the layer on its own middle"
    )
    reach: float = quantity(2.0, "spacing", ASSUMED, gt=0, description="sd of that excitation")
    h: float = quantity(
        0.0,
        "drive",
        ASSUMED,
        ge=0,
        description="a_j += h when it fires; a lowers the drive, or raises the threshold",
    )
    tau_a: float = quantity(50.0, "steps", ASSUMED, ge=1, description="and a decays with it")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        wrong: list[Wrong] = []
        if self.winners[0] > self.winners[1]:
            told = "at most as many that teach as fire: the first at most the second"
            wrong.append((("winners",), self.winners, told))
        if self.rule is not None:
            if not isinstance(self.rule, CompetitionSpec):
                wrong.append((("rule",), self.rule.rule, "a rule of pools: weights of a layer have no signs"))
            if self.depression > 0:
                wrong.append((("depression",), self.depression, "0 beside a rule, which may have its own"))
            if self.eta[0] <= 0:
                wrong.append((("eta",), self.eta, "above 0 at first beside a rule, whose rates follow it"))
        if wrong:
            raise refuse("layer", wrong)
        return self


class StackSpec(Spec):
    """Layers above the first sheet, from below."""

    dynamics: str = Field(
        default="", description="name of the first sheet's dynamics; empty: the model's first"
    )
    steps: int = quantity(600_000, "steps", ASSUMED, ge=1)
    layers: dict[Name, LayerSpec] = Field(
        min_length=1, max_length=64, description="from below, in the order in which they stand"
    )

    @model_validator(mode="after")
    def _fed_from_below(self) -> Self:
        wrong: list[Wrong] = []
        known = [SHEET]
        for name, layer in self.layers.items():
            if name == SHEET:
                wrong.append((("layers", name), name, "another name: this is what the first sheet is called"))
            elif layer.below not in ("", *known):
                told = f"one that stands before it: {', '.join(known)}"
                wrong.append((("layers", name, "below"), layer.below, told))
            known.append(name)
        if wrong:
            raise refuse("stack", wrong)
        return self

    @property
    def feeding(self) -> tuple[int, ...]:
        """Number of the layer that feeds each layer, from layer 2 on; 1 is the first sheet."""
        numbers = {name: number for number, name in enumerate([SHEET, *self.layers], start=1)}
        return tuple(
            numbers[layer.below] if layer.below else numbers[name] - 1 for name, layer in self.layers.items()
        )
