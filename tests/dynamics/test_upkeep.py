"""Normalization, balanced thresholds and rewiring: what they keep, on arrays and in runs of every backend."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics.plasticity import Learner, start, stdp, upkeep
from devnet.organization import organize, replay
from devnet.sheet import Sheet
from devnet.spec import (
    BalanceSpec,
    BCMSpec,
    HebbianWTASpec,
    LearningSpec,
    ModelSpec,
    NormalizeSpec,
    OjaSpec,
    PairSTDPSpec,
    RateMapSpec,
    RewireSpec,
    RuleSpec,
    dump_model,
    load_model,
    parse_model,
)
from devnet.spec._base import build
from devnet.waves import simulate

RNG = np.random.default_rng(0)
WEIGHTS = RNG.random((30, 5)) * (RNG.random((30, 5)) < 0.6)
DRAWS = as_key(0).stream("rewire")


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("by", ["factor", "offset"])
def test_sums_come_to_the_target_and_no_synapse_is_born(by: str, axis: int) -> None:
    found = upkeep.normalized(WEIGHTS, by, 2.0, axis=axis)
    any_there = WEIGHTS.sum(axis=axis) > 0
    assert found.sum(axis=axis)[any_there] == pytest.approx(2.0)
    assert (found[WEIGHTS == 0] == 0).all()
    assert (found >= 0).all()


def test_an_offset_takes_the_same_from_each_that_stays() -> None:
    found = upkeep.normalized(WEIGHTS, "offset", 2.0)
    for before, after in zip(WEIGHTS.T, found.T, strict=True):
        taken = (before - after)[after > 0]
        assert np.ptp(taken) < 1e-12
        assert (before[after == 0] <= taken[0] + 1e-12).all()
    factor = upkeep.normalized(WEIGHTS, "factor", 2.0)
    assert np.ptp((factor / np.where(WEIGHTS > 0, WEIGHTS, 1.0))[WEIGHTS[:, 0] > 0, 0]) < 1e-12


def test_thresholds_rise_by_the_excess_of_wins() -> None:
    found = upkeep.balanced(np.array([1.0, 1.0]), np.array([3, 1]), 2.0)
    assert found.tolist() == [1.5, 0.5]
    assert upkeep.balanced(np.ones(2), np.zeros(2, int), 2.0).tolist() == [1.0, 1.0]


def test_rewiring_keeps_the_number_the_sum_and_the_strongest() -> None:
    spec = RewireSpec(density=0.4, turnover=0.25, newborn=0.5)
    dense = RNG.random((30, 5)) + 0.1
    first = upkeep.rewired(dense, spec, DRAWS, 0)
    assert ((first > 0).sum(axis=0) == 12).all()
    assert first.sum(axis=0) == pytest.approx(dense.sum(axis=0))
    then = upkeep.rewired(first, spec, DRAWS, 1)
    assert ((then > 0).sum(axis=0) == 12).all()
    for j in range(5):
        strongest = np.argsort(-first[:, j])[:9]
        assert (then[strongest, j] > 0).all()
        gone = (first[:, j] > 0) & (then[:, j] == 0)
        born = (first[:, j] == 0) & (then[:, j] > 0)
        assert gone.sum() == born.sum() <= 3
    assert not np.array_equal(then > 0, first > 0)
    assert np.array_equal(then, upkeep.rewired(first, spec, DRAWS, 1))


def test_new_synapses_grow_everywhere() -> None:
    spec, found = RewireSpec(density=0.2, turnover=0.5), np.zeros((30, 1))
    first = upkeep.rewired(WEIGHTS[:, :1] + 0.1, spec, DRAWS, 0)
    for step in range(400):
        found += upkeep.rewired(first, spec, DRAWS, step) > 0
    free = found[found[:, 0] < 400, 0]
    assert free == pytest.approx(np.full(27, 400 * 3 / 27), abs=30)


def test_a_rewired_projection_learns_no_synapse_by_itself() -> None:
    rule = PairSTDPSpec(norm="none", upkeep={"wiring": RewireSpec()})
    learner = Learner.of(np.array([[1.0], [0.0]]), np.zeros(1))
    both = np.array([0, 1])
    stdp.apply(rule, learner, both, np.array([0]))
    assert learner.weights[0, 0] > 1
    assert learner.weights[1, 0] == 0


UPKEEP = {
    "wiring": RewireSpec(every=60, density=0.3),
    "sum": NormalizeSpec(every=30),
    "wins": BalanceSpec(every=20, gain=0.02),
}
SHARED = {
    "norm": "sum",
    "weight": 1,
    "c_mean": 0.0,
    "c_sd": 0.01,
    "c_plus": 0.03,
    "min_active": 5,
    "upkeep": UPKEEP,
}
RULES: dict[str, RuleSpec] = {
    "hebbian": HebbianWTASpec(eta=0.05, factor="drive", **SHARED),
    "hebbian, cells": HebbianWTASpec(
        eta=0.05, factor="drive", **SHARED | {"upkeep": UPKEEP | {"sum": NormalizeSpec(of="cell", every=30)}}
    ),
    "pair": PairSTDPSpec(a_plus=0.002, a_minus=0.001, pairing="nearest", bounds="mixed", w_max=1.0, **SHARED),
    "oja": OjaSpec(**SHARED),
    "bcm": BCMSpec(learners="all", **SHARED),
}


def run(sheet: Sheet, rule: RuleSpec, backend: str, parts: tuple[int, ...] = (200,)) -> Learner:
    model = SheetModel.build(sheet, RateMapSpec(), as_key(1))
    state = State.initial(model, start(rule, model.coupling.places, 6, as_key(2)))
    for steps in parts:
        backend_of(backend).advance(model, state, steps, rule=rule)
    assert state.learner is not None
    return state.learner


@pytest.mark.parametrize("backend", ["numba", "torch-cpu", "brian2-numpy"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.filterwarnings(r"ignore:'\w+' (argument is )?deprecated:DeprecationWarning")
def test_every_backend_does_the_same(sheet: Sheet, rule: str, backend: str) -> None:
    library = backend.partition("-")[0]
    if library != "numba":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"'\w+' (argument is )?deprecated", DeprecationWarning)
            pytest.importorskip(library, reason=f"needs devnet[{library}]")
    ours, theirs = run(sheet, RULES[rule], backend), run(sheet, RULES[rule], "reference")
    assert theirs.wins.sum() > 50
    # Rewired at step 180; pair STDP may have lost a synapse since, by depression to 0, none can have come.
    counts = np.count_nonzero(theirs.weights, axis=0)
    assert (counts <= round(0.3 * len(theirs.weights))).all()
    assert counts.min() > 0
    for name in ("weights", "thresholds", "peak", "pre", "post", "wins", "counted"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert np.abs(a - b).max() <= 1e-11 * (1 + np.abs(b).max()), name


def test_upkeep_is_due_at_the_same_steps_however_a_run_is_cut(sheet: Sheet) -> None:
    whole, cut = (
        run(sheet, RULES["hebbian"], "reference"),
        run(sheet, RULES["hebbian"], "reference", (7, 60, 133)),
    )
    assert whole.weights.tobytes() == cut.weights.tobytes()
    assert whole.thresholds.tobytes() == cut.thresholds.tobytes()
    plain = run(sheet, RULES["hebbian"].replace(upkeep={}), "reference")
    assert not np.array_equal(plain.weights, whole.weights)


def test_replay_of_a_run_equals_the_run(sheet: Sheet) -> None:
    learning = LearningSpec(dynamics="rate_map", rule=RULES["hebbian"], steps=300, units=6)
    run_ = organize(sheet, learning, rng=3, backend="reference")
    again = replay(simulate(sheet, "rate_map", steps=300, rng=3, backend="reference"), learning, rng=3)
    assert run_.wins.sum() > 50
    assert np.array_equal(run_.weights, again.weights)


def test_a_model_with_upkeep_in_toml() -> None:
    model = load_model("raghavan2019_grown_pooling/small")
    name, learning = next(iter(model.learning.items()))
    changed = learning.replace(rule=learning.rule.replace(upkeep={"a": RewireSpec(density=0.1)}))
    wanted: ModelSpec = model.replace(learning={**model.learning, name: changed})
    text = dump_model(wanted)
    assert f"[learning.{name}.rule.upkeep.a]" in text
    assert parse_model(text) == wanted
    with pytest.raises(ConfigError, match=r"upkeep\.a\.density"):
        build(HebbianWTASpec, {"upkeep": {"a": {"effect": "rewire", "density": 2.0}}})
    with pytest.raises(ConfigError, match=r"upkeep\.a\.effect"):
        build(HebbianWTASpec, {"upkeep": {"a": {"effect": "shrink"}}})
