"""The law of a layer of a stack: it relays the bump of the layer below as one of its own, and learns from it.

A cell below is in A, of size n, for ``psp`` steps from its spike on. At a step, the layer is open if n is at least
``min_active`` and some unit has a synapse from A. Then, with p_i = 1/n for i in A and W of shape (n_pre, M), each unit's weights summing to 1::

    y_j = sum_i W_ij p_i                      drive; dividing by n is feed-forward inhibition
    z_j = y_j / |W_j|                         matched filter
    z  <- (z - mean z) / (max z - mean z)     gain control over the layer; u = 1 where all are alike
    u   = H_s z;  u <- u / max u - c          gap junctions smooth the drive; H_s = exp(-d^2 / 2 s^2) up to 3 s
    x  += (u + own - x) / tau_x               own = recurrence (H_reach f) / rest - a
    f_j = 1 for the k largest x above the threshold; g_j = 1 for the k_t <= k largest of these, the teachers
    r   = (H_s g) / max(H_s g)                their depolarization spreads through the same gap junctions
    W_ij += eta r_j (p_i - W_ij)              where r_j >= 0.01: sums stay 1
    c_j += c_plus (g_j - mean g)
    a_j += h f_j - a_j / tau_a

With ``depression`` A > 0 the rule is that of spike pairs: a cell that fired up to psp steps before its unit is potentiated
as above, and one that fires after it is depressed, first of all in a step::

    W_ij <- W_ij (1 - eta A o_j)              of the cells i that fire in this very step; then sums are 1 again
    o_j += (r_j - o_j) / tau_minus            the unit's trace, last of all; r = 0 where nobody teaches

In the spiking form, after M20's units (``adaptive_leaky``), a unit is set back by its spike and its threshold rises::

    x  += (u + recurrence - x) / tau_x         a is no part of it
    f_j = 1 for the k largest x - a above the threshold; then x_j = 0
    g_j = 1 for those that fire among the k_t with the largest u; they fire in turn, and the rim would teach too

With ``competition = "soft"`` the number that fires is not k: all fire whose activation, x or x - a, is above both the
threshold and ``share`` times the largest. No more teach than before, and recurrence is still measured by a bump of k.

Closed, u = 0 and nothing is learned. Rows of H_s at the rim are not normalized: its units would win always. Fewer
teach than fire, as learning takes a stronger depolarization than a spike does: a bump of k units never lies with its
middle on the rim, and were all of them to teach, the rows next to it would learn the same field and fold.

A layer may have another rule instead (``LayerSpec.rule``). Each unit then learns by it as one that is active by
f_j = r_j eta / eta_0, eta_0 the immature rate, where r_j >= 0.01; see ``Rule.teach``. A rule of spike timing sees the
cells that fire in this very step, the others those that drive. The rule's weights have the sums that it gives them:
z does not depend on them.

s and eta follow the layer's maturity, which grows at each event by (maturity of the layer below)^patience /
mature_after: no layer settles before its input has, so all of them may learn from the first step on. s falls evenly,
not by equal ratios: a map that lies turned on its square turns straight only at widths of 0.2 to 0.35 of the side,
within some 10^4 events, so a layer stays there for two fifths of its youth.

``docs/decisions/0008`` tells why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from devnet._core.errors import ConfigError
from devnet.dynamics.plasticity import Learner, rule_of
from devnet.dynamics.plasticity.base import total
from devnet.spec import LayerSpec, RuleSpec, TemporalDifferenceSpec, TimingSpec

LEAST_SPREAD = 0.01
"""Units to which less than this share of the depolarization spreads learn nothing."""
SETTLED = 0.8
"""Maturity at which the width has come to its end."""
STAGES = 256
"""A layer's constants move in so many steps of its maturity."""
CUT = 3.0
"""Gap junctions reach so many standard deviations."""


@dataclass
class LayerState:
    """What changes in a layer.

    Attributes:
        weights: (n_pre, M), each unit's sum to 1, or what its rule makes it.
        c: (M,), conscience.
        x: (M,), drive as the unit has integrated it.
        a: (M,), adaptation.
        o: (M,), trace of the units' own depolarization.
        fired: (M,), who fired in the last step.
        events: Learning events so far.
        maturity: From 0 to 1.
        learner: The same weights and c, and what else the layer's rule changes; None where it has none.
    """

    weights: Float[np.ndarray, "n M"]
    c: Float[np.ndarray, " M"]
    x: Float[np.ndarray, " M"]
    a: Float[np.ndarray, " M"]
    o: Float[np.ndarray, " M"]
    fired: Bool[np.ndarray, " M"]
    events: int = 0
    maturity: float = 0.0
    learner: Learner | None = None

    @classmethod
    def of(
        cls,
        weights: Float[np.ndarray, "n M"],
        c: Float[np.ndarray, " M"] | None = None,
        maturity: float = 0.0,
        rule: RuleSpec | None = None,
    ) -> LayerState:
        """Return a layer at rest, by default one that has not learned yet; with a rule, at the rule's initial sums."""
        units = weights.shape[1]
        x, a, o = np.zeros((3, units))
        c, learner = np.zeros(units) if c is None else c, None
        if rule is not None and not isinstance(rule, TemporalDifferenceSpec):
            sums = weights.sum(axis=0)
            weights = weights * (total(rule, len(weights)) / np.where(sums > 0, sums, 1.0))
            learner = Learner.of(weights, c)
        return cls(weights, c, x, a, o, np.zeros(units, bool), 0, maturity, learner)


def spacings(positions: Float[np.ndarray, "M 2"], area: float) -> tuple[Float[np.ndarray, "M M"], float]:
    """Return the distances between a layer's units and the side of its sheet, both in mean spacings.

    Args:
        positions: Of its units.
        area: Of the sheet.

    Returns:
        (M, M), and the square root of the area.
    """
    spacing = (area / len(positions)) ** 0.5
    return np.linalg.norm(positions[:, None] - positions[None], axis=2) / spacing, area**0.5 / spacing


@dataclass(frozen=True)
class Stage:
    """The constants of a layer at one maturity.

    Attributes:
        spread: (M, M), H_s.
        reach: (M, M), H_reach.
        rest: What a whole bump of k units sends to its own middle through H_reach.
        winners: Most that fire: k, or all units of soft competition.
        share: Of the largest activation, above which a unit fires; 0 where the k largest do.
        teachers: k_t.
        eta: Rate of learning.
        recurrence: Its weight; grows in the second half of maturation, as adaptation does.
        h: Adaptation; of spiking units from the start.
    """

    spread: Float[np.ndarray, "M M"]
    reach: Float[np.ndarray, "M M"]
    rest: float
    winners: int
    share: float
    teachers: int
    eta: float
    recurrence: float
    h: float

    @classmethod
    def at(cls, spec: LayerSpec, distance: Float[np.ndarray, "M M"], side: float, maturity: float) -> Stage:
        """Return the constants at a maturity.

        Args:
            spec: The layer.
            distance: (M, M), between its units, in spacings.
            side: Square root of the sheet's area, in spacings.
            maturity: From 0 to 1; rounded down to a multiple of 1 / 256.

        Returns:
            Widths and rates move evenly, the width until maturity 0.8; recurrence and h grow in the second half.
        """
        units, maturity = len(distance), int(maturity * STAGES) / STAGES
        late = max(0.0, 2.0 * maturity - 1.0)
        width = _between(spec.width, min(1.0, maturity / SETTLED)) * side
        teachers, winners = (min(units, max(spec.fewest, round(share * units))) for share in spec.winners)
        soft = spec.competition == "soft"
        reach = bell(distance, spec.reach)
        return cls(
            spread=bell(distance, max(width, spec.least_width)),
            reach=reach,
            rest=float(np.sort(reach, axis=1)[:, -winners:].sum(axis=1).max()),
            winners=units if soft else winners,
            share=spec.share if soft else 0.0,
            teachers=min(teachers, winners),
            eta=_between(spec.eta, maturity),
            recurrence=spec.recurrence * late,
            h=spec.h * (late if spec.form == "rate" else 1.0),
        )


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def bell(distance: Float[np.ndarray, "M M"], sd: float) -> Float[np.ndarray, "M M"]:
    """Return exp(-d^2 / 2 sd^2) up to 3 sd, and 0 beyond."""
    return np.where(distance <= CUT * sd, np.exp(-((distance / sd) ** 2) / 2.0), 0.0)


def mature(spec: LayerSpec, events: int, maturity: float, below: float) -> float:
    """Return a layer's maturity after further events.

    Args:
        spec: The layer.
        events: How many there were.
        maturity: Before them.
        below: Maturity of the layer below; 1 for the first sheet.

    Returns:
        At most 1.
    """
    return min(1.0, maturity + events * below**spec.patience / spec.mature_after)


def pruned(weights: Float[np.ndarray, "n M"], share: float) -> Float[np.ndarray, "n M"]:
    """Return weights without synapses below a share of the unit's largest; each unit's sum to 1 again."""
    kept = np.where(weights >= share * weights.max(axis=0), weights, 0.0)
    return kept / kept.sum(axis=0)


def strongest(x: Float[np.ndarray, " M"], winners: int, threshold: float) -> Int[np.ndarray, " u"]:
    """Return the units of the largest x above a threshold, the largest first; ties go to the lowest."""
    best = np.argsort(-x, kind="stable")[:winners]
    return best[x[best] > threshold]


def layer_step(
    spec: LayerSpec,
    stage: Stage,
    layer: LayerState,
    firing: Int[np.ndarray, " k"],
    learn: bool,
    fresh: Int[np.ndarray, " k"] | None = None,
) -> None:
    """Take one step of a layer, in place: the law in plain NumPy.

    Args:
        spec: Its constants.
        stage: Those that follow its maturity.
        layer: Its state.
        firing: Who drives from below.
        learn: Whether weights and conscience change.
        fresh: Those that fire in this very step; None for all of ``firing``.
    """
    units = len(layer.c)
    if learn and spec.depression > 0:  # never beside a rule
        layer.weights[firing if fresh is None else fresh] *= 1.0 - stage.eta * spec.depression * layer.o
        layer.weights /= layer.weights.sum(axis=0)
    drive = np.zeros(units)
    y = layer.weights[firing].sum(axis=0) / max(1, len(firing))
    is_open = len(firing) >= spec.min_active and bool(y.any())
    if is_open:
        length = np.sqrt((layer.weights**2).sum(axis=0))
        z = y / np.where(length > 0, length, 1.0)
        above = z.max() - z.mean()
        u = stage.spread @ ((z - z.mean()) / above) if above > 0 else np.ones(units)
        drive = u / u.max() - layer.c
    if stage.recurrence > 0:
        drive = drive + stage.recurrence / stage.rest * (stage.reach @ layer.fired)
    drive = drive - (layer.a if spec.form == "rate" else 0.0)
    teachers = _fire(spec, stage, layer, drive)
    r, rate = np.zeros((2, units))
    if is_open and learn and len(teachers):
        teaching = np.isin(np.arange(units), teachers)
        spread = stage.spread @ teaching
        r = spread / spread.max()
        rate = stage.eta * np.where(r >= LEAST_SPREAD, r, 0.0)
        if spec.rule is None:
            layer.weights *= 1.0 - rate
            layer.weights[firing] += rate / len(firing)
        layer.c += spec.c_plus * (teaching - teaching.mean())
        layer.events += 1
    if learn and spec.depression > 0:
        layer.o += (r - layer.o) / spec.tau_minus
    if learn and spec.rule is not None:
        learn_by(spec.rule, layer, firing, firing if fresh is None else fresh, rate / spec.eta[0], teachers)


def _fire(
    spec: LayerSpec, stage: Stage, layer: LayerState, drive: Float[np.ndarray, " M"]
) -> Int[np.ndarray, " u"]:
    """Let units integrate and fire, in place; return those that teach, the first one first."""
    layer.x += (drive - layer.x) / spec.tau_x
    spiking = spec.form == "spiking"
    active = layer.x - layer.a if spiking else layer.x
    best = strongest(active, stage.winners, max(spec.threshold, stage.share * active.max()))
    layer.fired[:] = False
    layer.fired[best] = True
    layer.a += stage.h * layer.fired - layer.a / spec.tau_a
    if not spiking:
        return best[: stage.teachers]
    layer.x[best] = 0.0
    first = strongest(drive, stage.teachers, -np.inf)
    return first[layer.fired[first]]


def learn_by(
    rule: RuleSpec,
    layer: LayerState,
    firing: Int[np.ndarray, " k"],
    fresh: Int[np.ndarray, " k"],
    f: Float[np.ndarray, " M"],
    teachers: Int[np.ndarray, " u"],
) -> None:
    """Let units that are active by f learn by a rule, in place; the first teacher has won.

    Args:
        rule: The rule.
        layer: The layer, with a learner.
        firing: Who drives from below.
        fresh: Who fires below in this very step, whom rules of spike timing see.
        f: (M,), how active each unit is.
        teachers: Units that teach, the first one first.

    Raises:
        ConfigError: The rule has no form without its own competition.
    """
    teach = rule_of(rule).teach
    if teach is None or layer.learner is None:
        raise ConfigError("rule", rule.rule, "a rule whose units may compete otherwise, with Rule.teach")
    timed = isinstance(rule, TimingSpec)
    if f.any():
        layer.learner.wins[teachers[0]] += 1
    if f.any() or timed:
        teach(rule, layer.learner, fresh if timed else firing, f)
