"""The parts of a model: scaffold, growth, dynamics, learning, and what is done with the grown network.

Keys G19, M20, ... name the works listed in the model's ``CITATION.bib``. A source ``assumed`` marks a number that is
ours.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WrapValidator, model_validator

from devnet.spec._base import ASSUMED, G19, INT_MAX, M20, Name, Spec, Wrong, printable_line, quantity, refuse
from devnet.spec._rules import HebbianWTASpec, RuleSpec, or_own
from devnet.spec._scaffold import ScaffoldSpec, with_region
from devnet.spec._stack import StackSpec

Count = Annotated[int, Field(ge=1, le=INT_MAX)]
Share = Annotated[float, Field(gt=0, lt=1)]
Line = Annotated[str, AfterValidator(printable_line)]
TAKEN = re.compile(r"stack|wiring|noise|grown|step0|pools\d+", re.IGNORECASE)
"""What a run calls its own files and rows beside the learnings: no learning may be called so."""


class GrowthSpec(Spec):
    """Division, emission and migration rules of G19, section "growth"."""

    max_cells: int = quantity(
        100_000, "cells", ASSUMED, ge=1, description="growth stops with an error beyond it"
    )
    max_sweeps: int = quantity(2_000, "sweeps", ASSUMED, ge=1)
    hayflick: int = quantity(40, "divisions", G19, ge=0)
    timer: int = quantity(25, "sweeps", G19, ge=1)
    crowd_radius: float = quantity(1.0, "length", G19, gt=0)
    divide_below: int = quantity(
        3, "cells", G19, ge=1, description="most cells, itself included, within the radius"
    )
    daughter_min: float = quantity(1.0, "length", G19, gt=0)
    daughter_spread: float = quantity(1.0, "length", G19, ge=0)
    daughter_tries: int = quantity(51, "tries", G19, ge=1)
    daughter_below: int = quantity(
        11, "cells", G19, ge=0, description="most cells around the daughter's spot"
    )
    emit_probability: float = quantity(0.4, "1", G19, ge=0, le=1)
    rise: float = quantity(0.005, "length per sweep", G19, gt=0)
    height: float = quantity(0.8, "length", G19, gt=0)
    scattered: int = quantity(
        0, "cells", ASSUMED, ge=0, description="so many cells placed uniformly at random, none grown; 0: grow"
    )


class CouplingSpec(Spec):
    """Lateral coupling S_ij = a_i [D < r_i] - a_o [D > r_o] exp(-D / decay), S_ii = 0."""

    r_i: float = quantity(2.0, "length", G19, ge=0)
    r_o: float = quantity(6.0, "length", G19, ge=0)
    a_i: float = quantity(5.0, "drive", G19, ge=0)
    a_o: float = quantity(2.0, "drive", G19, ge=0)
    decay: float = quantity(10.0, "length", G19, gt=0)
    length_unit: Literal["sheet", "spacing"] = Field(
        default="sheet",
        description="lengths count in the sheet's own unit, or in its mean spacing 1/sqrt(density)",
    )

    @model_validator(mode="after")
    def _rings_in_order(self) -> Self:
        if self.r_o < self.r_i:
            raise refuse("coupling", [(("r_o",), self.r_o, f"at least r_i, which is {self.r_i}")])
        return self


def _coupling(source: str, length_unit: str, **lengths_and_strengths: float) -> CouplingSpec:
    """Build a form's default coupling, all of one source."""
    numbers = {name: {"value": value, "source": source} for name, value in lengths_and_strengths.items()}
    return CouplingSpec.model_validate({**numbers, "length_unit": length_unit})


class IzhikevichSpec(Spec):
    """G19 form: Izhikevich units, 1 ms step, current spikes of the same step."""

    form: Literal["izhikevich"] = "izhikevich"
    coupling: CouplingSpec = CouplingSpec()
    a: float = quantity(0.02, "1/ms", G19, gt=0)
    b: float = quantity(0.2, "1", G19)
    c: float = quantity(-65.0, "mV", G19)
    c_spread: float = quantity(15.0, "mV", G19, ge=0, description="c = c + c_spread U^2, U uniform per node")
    d: float = quantity(8.0, "mV", G19)
    d_spread: float = quantity(6.0, "mV", G19, ge=0)
    d_profile: Literal["random", "center"] = Field(
        default="center",
        description="d - d_spread U^2, or d - d_spread exp(-distance to the sheet's center / d_length)",
    )
    d_length: float = quantity(10.0, "length", G19, gt=0)
    v_peak: float = quantity(30.0, "mV", G19)
    v_start: float = quantity(-65.0, "mV", G19)
    noise: float = quantity(3.0, "drive", G19, ge=0)


class AdaptiveLeakySpec(Spec):
    """M20 form: leaky units with an adaptive threshold."""

    form: Literal["adaptive_leaky"] = "adaptive_leaky"
    coupling: CouplingSpec = _coupling(M20, "sheet", r_i=2, r_o=5, a_i=16, a_o=3, decay=10)
    tau_v: float = quantity(2.0, "time", M20, gt=0)
    tau_theta: float = quantity(60.0, "time", M20, gt=0)
    theta_plus: float = quantity(9.0, "drive/time", M20, ge=0)
    v_threshold: float = quantity(1.0, "drive", M20)
    reset: float = quantity(
        0.1, "drive", M20, ge=0, description="reset = reset N(0,1)^2, drawn once per node"
    )
    noise: float = quantity(3.0, "drive", M20, ge=0, description="held for one time unit")
    dt: float = quantity(0.1, "time", M20, gt=0, le=1)
    integrator: Literal["rk4", "euler"] = "rk4"
    drive: Literal["per_time", "per_tau"] = Field(
        default="per_time", description="dv/dt = -v/tau + I, or tau dv/dt = -v + I (second published variant)"
    )

    @model_validator(mode="after")
    def _whole_substeps(self) -> Self:
        if abs(1.0 / self.dt - round(1.0 / self.dt)) > 1e-9:
            raise refuse("dynamics", [(("dt",), self.dt, "a step that divides one time unit: 1/k, k whole")])
        return self


class RateMapSpec(Spec):
    """Rate-like map, ours: a leaky drive against a threshold that jumps when the node fires and relaxes after."""

    form: Literal["rate_map"] = "rate_map"
    coupling: CouplingSpec = _coupling(ASSUMED, "spacing", r_i=3, r_o=6, a_i=5, a_o=2, decay=10)
    tau_x: float = quantity(5.0, "steps", ASSUMED, ge=1)
    tau_v: float = quantity(300.0, "steps", ASSUMED, ge=1)
    v_rest: float = quantity(1.0, "drive", ASSUMED)
    h: float = quantity(3.0, "drive", ASSUMED, ge=0)
    h_rim: float = quantity(
        0.0, "1", ASSUMED, ge=0, description="h_i = h (1 + h_rim (distance to the center / half side)^2)"
    )
    noise: float = quantity(1.0, "drive", ASSUMED, ge=0)


DynamicsSpec = Annotated[
    Annotated[IzhikevichSpec | AdaptiveLeakySpec | RateMapSpec, Field(discriminator="form")],
    WrapValidator(or_own),
]


class LearningSpec(Spec):
    """Which waves wire the pools, by which rule, for how long."""

    dynamics: str = Field(description="name of one of the model's dynamics")
    rule: RuleSpec = HebbianWTASpec()
    steps: int = quantity(20_000, "steps", ASSUMED, ge=1)
    units: int | None = quantity(
        None, "units", ASSUMED, ge=1, le=INT_MAX, description="none: the sheet's layer-II units"
    )


class ReadoutSpec(Spec):
    """Linear read-out of images through pools, beside hand-made, random-disc and random-scattered pools."""

    data: Literal["digits", "mnist", "fashion-mnist", "cifar10"] = "digits"
    learning: str = Field(
        default="", description="name of the learning that wires these pools; empty: the model's first"
    )
    units_small: tuple[Count, ...] = quantity((16, 36), "units", ASSUMED, description="pools on 8x8 images")
    units_large: tuple[Count, ...] = quantity(
        (49, 100), "units", ASSUMED, description="pools on larger images"
    )
    validation_share: float = quantity(0.2, "1", ASSUMED, gt=0, lt=1)
    train_images: int = quantity(
        10_000, "images", ASSUMED, ge=100, description="at most so many, drawn per seed"
    )


class PathSpec(Spec):
    """The functionally invariant paths of the demo: a small perceptron behind grown pools."""

    units: int = quantity(36, "units", ASSUMED, ge=1, description="grown pools in front of the perceptron")
    hidden: int = quantity(100, "units", ASSUMED, ge=2)
    sparsity: tuple[Share, ...] = quantity(
        (0.90, 0.95), "1", ASSUMED, description="shares of weights taken away"
    )
    cut: float = quantity(0.5, "1", ASSUMED, gt=0, lt=1, description="share of hidden units lost")


class StudySpec(Spec):
    """How often the run is repeated with other seeds."""

    seeds: int = quantity(5, "seeds", ASSUMED, ge=1, description="sheets grown, wired and read out")
    path_seeds: int = quantity(10, "seeds", ASSUMED, ge=1, description="perceptrons taken along paths")
    wave_steps: int = quantity(
        2_000, "steps", ASSUMED, ge=1, description="steps of activity recorded per form"
    )


class ModelSpec(Spec):
    """A whole model: from scaffold to study. One TOML file."""

    name: Line = Field(min_length=1)
    title: Line = ""
    cites: tuple[str, ...] = ()
    scaffold: Annotated[ScaffoldSpec, WrapValidator(with_region)]
    growth: GrowthSpec = GrowthSpec()
    dynamics: dict[Name, DynamicsSpec] = Field(min_length=1)
    learning: dict[Name, LearningSpec] = Field(default_factory=dict)
    stack: StackSpec | None = None
    readout: ReadoutSpec = ReadoutSpec()
    path: PathSpec = PathSpec()
    study: StudySpec = StudySpec()

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known = ", ".join(repr(name) for name in self.dynamics)
        wrong: list[Wrong] = []
        for name, part in self.learning.items():
            if part.dynamics not in self.dynamics:
                wrong.append((("learning", name, "dynamics"), part.dynamics, f"one of {known}"))
            if TAKEN.fullmatch(name):
                wrong.append((("learning", name), name, "another name: a run calls files of its own so"))
        if self.readout.learning and self.readout.learning not in self.learning:
            learnings = ", ".join(repr(name) for name in self.learning) or "none: the model has no learning"
            wrong.append((("readout", "learning"), self.readout.learning, f"one of {learnings}"))
        if self.stack is not None and self.stack.dynamics and self.stack.dynamics not in self.dynamics:
            wrong.append((("stack", "dynamics"), self.stack.dynamics, f"one of {known}"))
        if self.stack is not None and self.scaffold.sphere_radius:
            told = "0 beside a [stack]: its layers measure distances on the plane"
            wrong.append((("scaffold", "sphere_radius"), self.scaffold.sphere_radius, told))
        if wrong:
            raise refuse("model", wrong)
        return self
