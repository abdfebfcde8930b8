"""The compiled layer against the law: one step to rounding, free runs in state, and a planted error in every constant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devnet._core.errors import ConfigError, HealthError
from devnet.backends.layers import check_layer, stepper_of
from devnet.dynamics.layered import LayerState, Stage
from devnet.sheet import Frames
from devnet.spec import (
    BCMSpec,
    HebbianWTASpec,
    KWinnersSpec,
    LayerSpec,
    OjaSpec,
    PairSTDPSpec,
    RewireSpec,
    TripletSTDPSpec,
)

N, SIDE = 200, 8
SPEC = LayerSpec(
    units=SIDE**2, recurrence=1.1, h=0.04, tau_a=20.0, tau_x=2.5, winners=(0.05, 0.08), min_active=3,
    depression=0.5, tau_minus=5.0,
)  # fmt: skip
PLACES = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
DISTANCE = np.linalg.norm(PLACES[:, None] - PLACES[None], axis=2)


def stage(maturity, spec=SPEC):
    return Stage.at(spec, DISTANCE, float(SIDE), maturity)


def start(seed=0):
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, (N, SIDE**2))
    return LayerState.of(weights / weights.sum(axis=0))


def frames(steps, seed=0):
    rng = np.random.default_rng(seed)
    cells = [np.sort(rng.choice(N, rng.integers(0, 20), replace=False)) for _ in range(steps)]
    first = np.concatenate([[0], np.cumsum([len(c) for c in cells])]).astype(np.int64)
    return Frames(first, np.concatenate(cells))


def run(backend, steps, maturity, spec=SPEC, at=None):
    state = start()
    fresh = frames(steps)
    out = stepper_of(backend).advance(
        spec, at or stage(maturity, spec), state, fresh.held(2), learn=True, fresh=fresh
    )
    return state, out


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_adaptation_lowers_the_drive_without_recurrence_too(backend):
    found = [run(backend, 30, 1.0, SPEC.replace(recurrence=0.0, h=h))[0].x for h in (0.0, 0.5)]
    assert found[1].mean() < found[0].mean() - 0.05


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_cells_without_a_synapse_drive_nobody(backend):
    weights = start().weights
    weights[: N // 2] = 0.0
    state, half = LayerState.of(weights / weights.sum(axis=0)), np.arange(10)
    blind, seen = (Frames(np.arange(0, 60, 10), np.tile(half + at, 5)) for at in (0, N // 2))
    for heard, fires in ((blind, 0), (seen, 5)):
        out = stepper_of(backend).advance(SPEC, stage(0.0), state, heard, learn=True)
        assert np.count_nonzero(np.diff(out.first)) == state.events == fires
    assert state.c.any()


@pytest.mark.parametrize("form", ["rate", "spiking"])
@pytest.mark.parametrize("maturity", [0.0, 0.4, 1.0])
def test_a_free_run_of_2200_steps_has_the_same_spikes_and_the_same_state(maturity, form):
    spec = SPEC.replace(form=form)
    (law, spikes), (compiled, other) = (run(name, 2200, maturity, spec) for name in ("reference", "numba"))
    np.testing.assert_array_equal(spikes.cells, other.cells)
    np.testing.assert_array_equal(spikes.first, other.first)
    np.testing.assert_allclose(compiled.weights, law.weights, rtol=0, atol=1e-10)
    for name in ("x", "a", "o", "c"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(law, name), rtol=0, atol=1e-11)
    assert (compiled.fired == law.fired).all()
    assert compiled.events == law.events > (1000 if form == "rate" else 500)


@pytest.mark.parametrize("form", ["rate", "spiking"])
def test_soft_competition_has_the_same_spikes_and_the_same_state(form):
    spec = SPEC.replace(form=form, competition="soft", share=0.6)
    (law, spikes), (compiled, other) = (run(name, 600, 0.8, spec) for name in ("reference", "numba"))
    assert len(set(np.diff(spikes.first).tolist())) > 5  # bumps of many sizes
    np.testing.assert_array_equal(spikes.first, other.first)
    np.testing.assert_array_equal(spikes.cells, other.cells)
    for name in ("weights", "x", "a", "o", "c"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(law, name), rtol=0, atol=1e-11)
    assert compiled.events == law.events > 100


def test_one_step_agrees_to_rounding_from_any_state_of_the_law():
    law, _ = run("reference", 500, 1.0)
    for step in range(20):
        twin = replace(law, **{n: getattr(law, n).copy() for n in ("weights", "c", "x", "a", "o", "fired")})
        for backend, state in (("reference", law), ("numba", twin)):
            stepper_of(backend).advance(SPEC, stage(1.0), state, frames(1, step), learn=True)
        for name in ("weights", "c", "x", "a", "o"):
            np.testing.assert_allclose(getattr(twin, name), getattr(law, name), rtol=1e-12, atol=1e-12)


SPARSE = {"grow": RewireSpec(density=0.5)}  # a rule that rewires teaches none of the absent synapses
RULES = [
    HebbianWTASpec(norm="sum", weight=1.0, eta=0.002),
    KWinnersSpec(norm="sum", weight=1.0, eta=0.002),
    KWinnersSpec(norm="sum", weight=1.0, eta=0.002, post="spike", upkeep=SPARSE),
    OjaSpec(eta=0.1, upkeep=SPARSE),
    BCMSpec(weight=40.0, eta=0.1, upkeep=SPARSE),
    TripletSTDPSpec(),
    PairSTDPSpec(bounds="hard", norm="none", w_max=5.0, upkeep=SPARSE),
    PairSTDPSpec(bounds="soft", pairing="nearest", w_max=5.0),
    PairSTDPSpec(bounds="mixed", w_max=5.0, upkeep=SPARSE),
]


def by_rule(backend, rule, form="rate", steps=400):
    spec = SPEC.replace(form=form, depression=0.0, rule=rule)
    weights = start().weights
    if rule.upkeep:
        weights[np.random.default_rng(1).uniform(size=weights.shape) < 0.5] = 0.0
        weights[:, 5] = 0.0  # a unit without synapses
        weights[3, 5] = 1e-300
    state, fresh = LayerState.of(weights, rule=rule), frames(steps)
    out = stepper_of(backend).advance(spec, stage(0.4, spec), state, fresh.held(2), learn=True, fresh=fresh)
    return state, out


@pytest.mark.parametrize("form", ["rate", "spiking"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_every_rule_leaves_the_same_state_as_its_law(rule, form):
    (law, spikes), (compiled, other) = (by_rule(name, rule, form) for name in ("reference", "numba"))
    np.testing.assert_array_equal(spikes.cells, other.cells)
    scale = np.abs(law.weights).max()
    np.testing.assert_allclose(compiled.weights, law.weights, rtol=0, atol=1e-12 * scale)
    for name in ("x", "a", "c"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(law, name), rtol=0, atol=1e-12)
    for name in ("pre", "post", "wins"):
        np.testing.assert_allclose(getattr(compiled.learner, name), getattr(law.learner, name), atol=1e-12)
    assert compiled.events == law.events > 50


@pytest.mark.parametrize(
    ("rule", "field"),
    [(RULES[0], "eta"), (RULES[3], "eta"), (RULES[4], "tau_theta"), (RULES[5], "a3_plus"), (RULES[6], "a_minus"), (RULES[8], "tau_minus")],
)  # fmt: skip
def test_a_relative_error_of_a_millionth_in_a_rules_constant_is_found(rule, field):
    law, _ = by_rule("reference", rule)
    wrong, _ = by_rule("numba", rule.replace(**{field: getattr(rule, field) * (1 + 1e-6)}))
    assert np.abs(wrong.weights - law.weights).max() > 1e-11 * np.abs(law.weights).max()


@pytest.mark.parametrize("name", ["c_plus", "tau_x", "h", "tau_a", "recurrence", "depression", "tau_minus"])
def test_a_relative_error_of_a_millionth_in_a_constant_is_found(name):
    planted = SPEC.replace(**{name: getattr(SPEC, name) * (1 + 1e-6)})
    law, _ = run("reference", 200, 1.0)
    wrong, _ = run("numba", 200, 1.0, planted, stage(1.0, planted))
    off = max(abs(getattr(wrong, field) - getattr(law, field)).max() for field in ("weights", "x", "a", "c"))
    assert off > 1e-11, name


@pytest.mark.parametrize("name", ["eta", "rest"])
def test_a_relative_error_of_a_millionth_in_a_stage_is_found(name):
    at = stage(1.0)
    planted = replace(at, **{name: getattr(at, name) * (1 + 1e-6)})
    law, _ = run("reference", 200, 1.0)
    wrong, _ = run("numba", 200, 1.0, at=planted)
    assert max(abs(wrong.weights - law.weights).max(), abs(wrong.x - law.x).max()) > 1e-11


def test_other_backends_are_refused_and_nan_is_named():
    with pytest.raises(ConfigError, match="'numba', 'reference', 'brian2', 'brian2-numpy' for a stack"):
        stepper_of("torch")
    state = start()
    state.x[7] = np.nan
    with pytest.raises(HealthError, match="layer 3: x of unit 7 is not finite by step 50"):
        check_layer(state, 3, 50)
