"""The rules by which waves wire pools: a winner's competition, and what is learned."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from devnet.spec._base import ASSUMED, G19, M20, Name, Spec, quantity, refuse
from devnet.spec._upkeep import RewireSpec, UpkeepSpec

PFISTER = "assumed; as we remember Pfister & Gerstner 2006, table 4, not checked"


class PlasticSpec(Spec):
    """What is learned: weights of at least 0 whose sum may be kept, or weights of both signs.

    Attributes:
        signed: Whether weights have signs; a unit then starts as N(0, 1) at length 1.
    """

    signed: ClassVar[bool] = False


class CompetitionSpec(PlasticSpec):
    """What every rule of pools has: initial weights, thresholds, recruitment. Defaults are G19's.

    The two gates, ``min_active`` and ``max_spread``, are ours; their defaults keep them open. G19 learns whenever
    a node fires, which is ``min_active`` = 1.
    """

    weight: float = quantity(2.5, "drive", G19, gt=0, description="the value at which the norm is kept")
    weight_cv: float = quantity(
        0.056, "1", G19, ge=0, lt=0.2, description="initial w ~ N(1, cv^2), then rescaled"
    )
    c_mean: float = quantity(70.0, "drive", G19)
    c_sd: float = quantity(2.0, "drive", G19, ge=0, description="initial c ~ N(c_mean, c_sd^2)")
    c_plus: float = quantity(
        0.005, "1", G19, ge=0, description="rise of the winner's threshold, in units of f'"
    )
    c_decay: float = quantity(
        0.0, "1/events", G19, ge=0, lt=1, description="c_j -= c_j c_decay / M at each event"
    )
    recruit_every: int = quantity(1000, "steps", G19, ge=0, description="0: never")
    recruit_wins: int = quantity(200, "wins", G19, ge=0)
    recruit_divisor: float = quantity(
        5.0, "1", G19, gt=0, description="a rare winner gets c = (largest y so far)/it"
    )
    min_active: int = quantity(1, "nodes", G19, ge=1, description="learn only when so many nodes fire")
    max_spread: float = quantity(
        0.0,
        "r_o",
        ASSUMED,
        ge=0,
        description="learn only when the firing nodes' rms radius is at most this; 0: always",
    )
    upkeep: dict[Name, UpkeepSpec] = Field(
        default={}, description="what is done every so many steps, in the order in which it stands"
    )

    @property
    def structural(self) -> bool:
        """Whether a weight of 0 is no synapse, so that learning leaves it at 0."""
        return any(isinstance(part, RewireSpec) for part in self.upkeep.values())


class HebbianWTASpec(CompetitionSpec):
    """Winner-take-all Hebbian learning with constant total weight a unit.

    y = W^T s; k = argmax(y - c); w_k += eta f s; c_k += c_plus f'; then w_k is rescaled to its norm. Defaults are
    G19's.
    """

    rule: Literal["hebbian_wta"] = "hebbian_wta"
    norm: Literal["mean", "sum"] = Field(
        default="mean", description="a unit's mean weight (G19) or its sum (ours) is kept"
    )
    eta: float = quantity(0.1, "1", G19, gt=0)
    factor: Literal["excess", "drive"] = Field(
        default="excess",
        description="f = max(0, y - c), nothing learned at 0 (G19); or f = y, the raw drive (ours)",
    )
    c_rise: Literal["factor", "constant"] = Field(
        default="factor", description="f' = f (G19), or f' = 1 (ours)"
    )


class KWinnersSpec(CompetitionSpec):
    """The k units that are driven most learn, by their rates or their spikes. Defaults are those of M20's LGN."""

    rule: Literal["k_winners"] = "k_winners"
    norm: Literal["mean", "sum"] = Field(
        default="mean", description="a unit's mean weight or its sum is kept"
    )
    winners: int = quantity(1, "units", M20, ge=1, description="k; 40 in M20's V1")
    sharpness: float = quantity(4.0, "1", M20, ge=0, description="p of y <- (y / max y)^p y")
    post: Literal["rate", "spike"] = Field(
        default="rate", description="a unit learns by y, or by 1: M20's modified STDP"
    )
    eta: float = quantity(0.1, "1", M20, gt=0)
    recruit_every: int = quantity(0, "steps", M20, ge=0, description="0: never")


class TimingSpec(CompetitionSpec):
    """What the rules of spike timing share. The time constants are as we remember them, not checked."""

    norm: Literal["mean", "sum", "none"] = Field(
        default="mean", description="a unit's mean weight or its sum is kept, or neither"
    )
    tau_plus: float = quantity(16.8, "steps", PFISTER, gt=0)
    tau_minus: float = quantity(33.7, "steps", PFISTER, gt=0)
    w_max: float = quantity(100.0, "drive", ASSUMED, gt=0)
    bounds: Literal["hard", "soft", "mixed"] = Field(
        default="hard",
        description="additive, clipped to [0, w_max]; multiplicative: a_plus times (w_max - w), a_minus times w; or "
        "additive upwards and multiplicative downwards",
    )
    pairing: Literal["all", "nearest"] = Field(
        default="all", description="all pairs of spikes add up, or only those of nearest neighbors"
    )


class PairSTDPSpec(TimingSpec):
    """Spike-timing-dependent plasticity of pairs, with traces (Bi & Poo 1998)."""

    rule: Literal["pair_stdp"] = "pair_stdp"
    a_plus: float = quantity(0.01, "drive", ASSUMED, ge=0)
    a_minus: float = quantity(0.005, "drive", ASSUMED, ge=0)


class TripletSTDPSpec(TimingSpec):
    """Triplet rule of Pfister & Gerstner 2006.

    The defaults are meant to be those of their full model for visual cortex, and were written down from memory: check
    them against table 4 before relying on them.
    """

    rule: Literal["triplet_stdp"] = "triplet_stdp"
    a2_plus: float = quantity(5e-10, "drive", PFISTER, ge=0)
    a2_minus: float = quantity(7e-3, "drive", PFISTER, ge=0)
    a3_plus: float = quantity(6.2e-3, "drive", PFISTER, ge=0)
    a3_minus: float = quantity(2.3e-4, "drive", PFISTER, ge=0)
    tau_x: float = quantity(101.0, "steps", PFISTER, gt=0)
    tau_y: float = quantity(125.0, "steps", PFISTER, gt=0)


class RateSpec(CompetitionSpec):
    """What the rules for rate forms share: who learns, and from which start. All numbers are ours."""

    norm: Literal["mean", "sum"] = Field(default="sum", description="what the initial weights are scaled by")
    weight: float = quantity(1.0, "drive", ASSUMED, gt=0, description="the value of that norm at the start")
    c_mean: float = quantity(0.0, "drive", ASSUMED)
    c_sd: float = quantity(0.0, "drive", ASSUMED, ge=0)
    c_plus: float = quantity(0.0, "drive", ASSUMED, ge=0, description="rise of the winner's threshold")
    recruit_every: int = quantity(0, "steps", ASSUMED, ge=0, description="0: never")
    learners: Literal["winner", "all"] = Field(
        default="winner", description="the winner alone learns, or every unit from its own rate"
    )


class OjaSpec(RateSpec):
    """Oja's rule: Hebbian learning whose weights come to length 1 by themselves."""

    rule: Literal["oja"] = "oja"
    eta: float = quantity(0.02, "1", ASSUMED, gt=0, lt=1)


class BCMSpec(RateSpec):
    """The rule of Bienenstock, Cooper & Munro: a threshold of learning that slides with the unit's mean square rate."""

    rule: Literal["bcm"] = "bcm"
    eta: float = quantity(0.01, "1", ASSUMED, gt=0, lt=1)
    tau_theta: float = quantity(50.0, "events", ASSUMED, ge=1)
    w_max: float = quantity(10.0, "1", ASSUMED, gt=0, description="weights stay in [0, w_max]")


class TemporalDifferenceSpec(PlasticSpec):
    """Units that learn how waves move, by differences in time of what fires; all ours.

    The law stands in ``dynamics.plasticity.temporal_difference``.
    """

    signed: ClassVar[bool] = True
    rule: Literal["temporal_difference"] = "temporal_difference"
    order: Literal["first", "second", "both"] = Field(
        default="first",
        description="leading less trailing edge; front and back less middle, and the reverse; all three in turn",
    )
    every: int = quantity(2, "steps", ASSUMED, ge=1, description="steps from frame to frame")
    delay: int = quantity(8, "steps", ASSUMED, ge=1, le=10_000, description="a multiple of ``every``")
    eta: float = quantity(0.4, "1", ASSUMED, gt=0, le=1, description="rate of a unit that has not won yet")
    eta_end: float = quantity(0.04, "1", ASSUMED, gt=0, le=1, description="rate after many wins")
    eta_wins: float = quantity(100.0, "wins", ASSUMED, gt=0, description="wins in which it falls by e")
    c_plus: float = quantity(0.03, "1", ASSUMED, ge=0, description="rise of the winner's threshold")
    c_decay: float = quantity(0.05, "1/events", ASSUMED, ge=0, lt=1, description="c_j -= c_j c_decay / M")
    min_active: int = quantity(8, "nodes", ASSUMED, ge=1, description="learn only when so many nodes fire")
    max_spread: float = quantity(
        0.0, "r_o", ASSUMED, ge=0, description="as in the rules of pools: largest rms radius; 0: any"
    )

    @property
    def memory(self) -> int:
        """Frames that must be remembered, the present one included."""
        return 2 * self.delay // self.every + 1

    @model_validator(mode="after")
    def _whole_frames(self) -> Self:
        if self.delay % self.every:
            raise refuse("rule", [(("delay",), self.delay, f"a multiple of every, which is {self.every}")])
        return self


def or_own(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Let a spec of a user's own class through; everything else must be a built-in part.

    Args:
        value: What stands in the field.
        handler: What reads a built-in part.

    Returns:
        The spec.
    """
    return value if isinstance(value, Spec) else handler(value)


RuleSpec = Annotated[
    Annotated[
        HebbianWTASpec
        | KWinnersSpec
        | PairSTDPSpec
        | TripletSTDPSpec
        | OjaSpec
        | BCMSpec
        | TemporalDifferenceSpec,
        Field(discriminator="rule"),
    ],
    WrapValidator(or_own),
]
