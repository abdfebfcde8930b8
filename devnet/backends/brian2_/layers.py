"""A layer of a stack as Brian2 objects: the law of ``dynamics.layered`` a second time, in Brian2's words.

Synapses sum the drive, carry gap junctions and learn; units integrate, adapt and keep their traces by update code. What
asks for all units at once, which Brian2 has no words for, happens in Python between the slots of a step: gain control,
the largest of u and r, who is among the k largest, and a rule in place of the layer's own, which is the law's.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np

from devnet._core.optional import require
from devnet.backends.brian2_.backend import best_target, settings
from devnet.backends.layers import Stepper
from devnet.dynamics.layered import LEAST_SPREAD, LayerState, Stage, learn_by, strongest
from devnet.sheet import Frames
from devnet.spec import LayerSpec

SLOTS = [
    "start", "depress", "total", "rescale", "thresholds", "synapses", "lengths", "gain", "gap", "drive", "groups",
    "compete", "adapt", "spread", "factor", "learn", "resets", "end",
]  # fmt: skip
"""Order of a step."""
_UNITS = ("x", "a", "c", "o")
_VARIABLES = (*_UNITS, "fired", "teaching", "y", "z", "u", "own", "q", "r", "rate", "square", "total")


class _Run:
    """A layer at one maturity as a Brian2 network."""

    def __init__(self, spec: LayerSpec, stage: Stage, layer: LayerState, learn: bool) -> None:
        b = require("brian2", extra="brian2")
        self.spec, self.stage, self.layer, self.learn = spec, stage, layer, learn
        self.dt = 1.0 * b.ms
        n, units = layer.weights.shape
        constants = {
            "tau_x": spec.tau_x, "tau_a": spec.tau_a, "tau_minus": spec.tau_minus, "c_plus": spec.c_plus,
            "strength": stage.eta * spec.depression, "wave": stage.recurrence / stage.rest, "h_plus": stage.h,
            "adapting": float(spec.form == "rate"),
        }  # fmt: skip
        self.cells = b.NeuronGroup(
            n, "s : 1\np : 1\nfresh : 1", threshold="s > 0.5", reset="", dt=self.dt, name="devnet_below"
        )
        self.units = b.NeuronGroup(
            units,
            "\n".join([f"{name} : 1" for name in _VARIABLES] + ["count : 1 (shared)", "share : 1 (shared)"]),
            clock=self.cells.clock,
            namespace=constants,
            name="devnet_layer",
        )
        depressed = learn and spec.depression > 0
        sums = "square_post = w**2 : 1 (summed)" + "\ntotal_post = w : 1 (summed)" * depressed
        self.feed = b.Synapses(
            self.cells, self.units, f"w : 1\n{sums}", on_pre="y_post += w", namespace=constants,
            clock=self.cells.clock, name="devnet_feed",
        )  # fmt: skip
        source, target = np.indices((n, units)).reshape(2, -1)
        self.feed.connect(i=source, j=target)
        self.feed.w = layer.weights.ravel()
        self.gap = b.Synapses(
            self.units,
            self.units,
            "near : 1\nfar : 1\nu_post = near*z_pre : 1 (summed)\nown_post = far*fired_pre : 1 (summed)\n"
            "q_post = near*teaching_pre : 1 (summed)",
            clock=self.cells.clock,
            name="devnet_gap",
        )
        source, target = np.nonzero((stage.spread > 0) | (stage.reach > 0))
        self.gap.connect(i=source, j=target)
        self.gap.near, self.gap.far = stage.spread[source, target], stage.reach[source, target]
        for synapses, name, slot in (
            (self.feed, "square_post", "lengths"), (self.gap, "u_post", "gap"), (self.gap, "own_post", "gap"),
            (self.gap, "q_post", "spread"), *[(self.feed, "total_post", "total")] * depressed,
        ):  # fmt: skip
            synapses.summed_updaters[name].when = slot
        self._write(learn, depressed)
        values = self.units.variables
        self.values = {name: values[name].get_value() for name in (*_VARIABLES, "count", "share")}
        below = self.cells.variables
        self.below = {name: below[name].get_value() for name in ("s", "p", "fresh")}
        for name in _UNITS:
            self.values[name][:] = getattr(layer, name)
        self.values["fired"][:] = layer.fired

    def _write(self, learn: bool, depressed: bool) -> None:
        """Write the equations, each in its slot."""
        b = require("brian2", extra="brian2")
        text = "z = y/count/sqrt(square + int(square == 0))"
        self.units.run_regularly(text, when="gain", name="devnet_filter")
        self.units.run_regularly(
            "x = x + (u + wave*own - adapting*a - x)/tau_x", when="groups", name="devnet_x"
        )
        self.units.run_regularly("a = a + h_plus*fired - a/tau_a", when="adapt", name="devnet_a")
        if learn and self.spec.rule is None:
            text = "w = w*(1 - rate_post) + rate_post*p_pre"
            self.feed.run_regularly(text, when="learn", name="devnet_w")
        if learn:
            self.units.run_regularly("c = c + c_plus*(teaching - share)", when="learn", name="devnet_c")
        if depressed:
            text = "w = w*(1 - strength*o_post*fresh_pre)"
            self.feed.run_regularly(text, when="depress", name="devnet_depress")
            self.feed.run_regularly("w = w/total_post", when="rescale", name="devnet_rescale")
            self.units.run_regularly("o = o + (r - o)/tau_minus", when="learn", name="devnet_o")
        steps = {
            "start": self._start, "gain": self._gain, "drive": self._drive, "compete": self._compete, "factor": self._factor,
            "end": self._end,
        }  # fmt: skip
        hooks = [
            b.NetworkOperation(work, clock=self.units.clock, when=slot, order=1, name=f"devnet_{slot}")
            for slot, work in steps.items()
        ]
        self.network = b.Network(self.cells, self.units, self.feed, self.gap, *hooks)
        self.network.schedule = SLOTS

    def take(self, below: Frames, fresh: Frames) -> Frames:
        """Step through the frames."""
        self.frames = iter(zip(below, fresh, strict=True))
        self.found: list[np.ndarray] = []
        self.network.run(len(below) * self.dt, namespace={})
        layer = self.layer
        layer.weights[:] = self.feed.w[:].reshape(layer.weights.shape)
        for name in _UNITS:
            getattr(layer, name)[:] = self.values[name]
        layer.fired[:] = self.values["fired"] > 0
        first = np.concatenate([[0], np.cumsum([len(cells) for cells in self.found])]).astype(np.int64)
        return Frames(first, np.concatenate(self.found))

    def _start(self) -> None:
        firing, fresh = self.firing, self.fresh = next(self.frames)
        for name, cells, value in (
            ("s", firing, 1.0),
            ("p", firing, 1 / max(1, len(firing))),
            ("fresh", fresh, 1.0),
        ):
            self.below[name][:] = 0.0
            self.below[name][cells] = value
        self.is_open = len(firing) >= self.spec.min_active
        self.values["count"][:] = max(1, len(firing))
        self.values["y"][:] = 0.0

    def _gain(self) -> None:
        z = self.values["z"]
        self.is_open &= bool(self.values["y"].any())
        above = z.max() - z.mean()
        self.flat = not above > 0
        if not self.flat:
            z[:] = (z - z.mean()) / above

    def _drive(self) -> None:
        u = self.values["u"]
        if self.flat:
            u[:] = 1.0
        u[:] = u / u.max() - self.values["c"] if self.is_open else 0.0

    def _compete(self) -> None:
        x, fired, teaching = (self.values[name] for name in ("x", "fired", "teaching"))
        spiking = self.spec.form == "spiking"
        active = x - self.values["a"] if spiking else x
        bar = max(self.spec.threshold, self.stage.share * active.max())
        best = strongest(active, self.stage.winners, bar)
        fired[:] = teaching[:] = 0.0
        fired[best] = 1.0
        teachers = best[: self.stage.teachers]
        if spiking:
            x[best] = 0.0
            drive = self.values["u"] + self.stage.recurrence / self.stage.rest * self.values["own"]
            teachers = strongest(drive, self.stage.teachers, -np.inf)
            teachers = teachers[fired[teachers] > 0]
        self.teachers = teachers
        if self.is_open and self.learn and len(teachers):
            teaching[teachers] = 1.0
            self.layer.events += 1
        self.values["share"][:] = teaching.mean()
        self.found.append(np.sort(best))

    def _factor(self) -> None:
        q, r = self.values["q"], self.values["r"]
        r[:] = q / q.max() if self.values["teaching"].any() else 0.0
        self.values["rate"][:] = self.stage.eta * np.where(r >= LEAST_SPREAD, r, 0.0)

    def _end(self) -> None:
        if self.spec.rule is None or not self.learn:
            return
        layer, weights = self.layer, self.feed.variables["w"].get_value()
        layer.weights[:] = weights.reshape(layer.weights.shape)
        f = self.values["rate"] / self.spec.eta[0]
        learn_by(self.spec.rule, layer, self.firing, self.fresh, f, self.teachers)
        weights[:] = layer.weights.ravel()


@final
class Brian2Stepper(Stepper):
    """Brian2's numpy or Cython code, float64, a network made anew for every call: an oracle, not for long runs.

    Args:
        target: ``"cython"``, ``"numpy"``, or None for the faster one that this machine has.
    """

    def __init__(self, target: str | None = None) -> None:
        self._target = target or best_target()
        self.name = "brian2" if self._target == "cython" else "brian2-numpy"

    def advance(
        self,
        spec: LayerSpec,
        stage: Stage,
        layer: LayerState,
        below: Frames,
        *,
        learn: bool,
        fresh: Frames | None = None,
    ) -> Frames:
        """Step a layer; see ``Stepper``."""
        with settings("numpy"):  # nothing to compile for what is done once
            run: Any = _Run(spec, stage, layer, learn)
        with settings(self._target):
            return run.take(below, fresh or below)
