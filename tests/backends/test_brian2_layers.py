"""Layers of a stack in Brian2 against the law, on state: weights, drive, adaptation, traces, conscience."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest

from devnet._core.errors import MissingDependencyError
from devnet.backends.layers import stepper_of
from devnet.dynamics.layered import LayerState, Stage
from devnet.organization import organize_stack
from devnet.sheet import Frames, Scaffold, Sheet, even_places
from devnet.spec import HebbianWTASpec, LayerSpec, OjaSpec, PairSTDPSpec, StackSpec, load_model

with warnings.catch_warnings():
    # Brian2 2.9 calls pyparsing by its old names when it is imported.
    warnings.filterwarnings("ignore", r"'\w+' (argument is )?deprecated", DeprecationWarning)
    pytest.importorskip("brian2", reason="needs Brian2: pip install 'devnet[brian2]'")

from devnet.backends.brian2_.layers import Brian2Stepper

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:'\w+' (argument is )?deprecated:DeprecationWarning"),
]
N, SIDE, STEPS = 60, 5, 300
SPEC = LayerSpec(
    units=SIDE**2, recurrence=1.1, h=0.04, tau_a=20.0, tau_x=2.5, winners=(0.1, 0.2), min_active=3, depression=0.5,
    tau_minus=5.0,
)  # fmt: skip
PLACES = np.stack(np.divmod(np.arange(SIDE**2), SIDE), axis=1)
DISTANCE = np.linalg.norm(PLACES[:, None] - PLACES[None], axis=2)
NAMES = ("weights", "x", "a", "o", "c")


@pytest.fixture(scope="module", autouse=True)
def _quick_collection():
    """Brian2 collects garbage at every run; let it not walk through all that was imported before."""
    gc.freeze()
    yield
    gc.unfreeze()


def run(stepper, spec=SPEC, maturity=1.0, learn=True):
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 1.5, (N, SIDE**2))
    state = LayerState.of(weights / weights.sum(axis=0), rule=spec.rule)
    cells = [np.sort(rng.choice(N, rng.integers(0, 12), replace=False)) for _ in range(STEPS)]
    first = np.concatenate([[0], np.cumsum([len(c) for c in cells])]).astype(np.int64)
    fresh = Frames(first, np.concatenate(cells))
    stage = Stage.at(spec, DISTANCE, float(SIDE), maturity)
    parts = [
        stepper.advance(spec, stage, state, fresh.held(2).part(a, b), learn=learn, fresh=fresh.part(a, b))
        for a, b in ((0, 100), (100, STEPS))
    ]
    return state, Frames.join(parts)


def close(ours, theirs, bound=1e-12):
    for name in NAMES:
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=0, atol=bound, err_msg=name
        )
    assert np.array_equal(ours.fired, theirs.fired)
    assert ours.events == theirs.events


@pytest.mark.parametrize("maturity", [0.0, 0.4, 1.0])
def test_a_layer_has_the_same_spikes_and_the_same_state(maturity):
    ours, spikes = run(Brian2Stepper("numpy"), maturity=maturity)
    law, wanted = run(stepper_of("reference"), maturity=maturity)
    assert np.array_equal(spikes.first, wanted.first)
    assert np.array_equal(spikes.cells, wanted.cells)
    assert law.events > 150
    assert np.abs(law.o).max() > 0.1
    close(ours, law)


def test_a_layer_without_its_own_wave_one_that_learns_no_more_spiking_and_soft_ones():
    relay, spiking = SPEC.replace(recurrence=0.0, depression=0.0), SPEC.replace(form="spiking")
    soft = SPEC.replace(competition="soft", share=0.6)
    for spec, learn in (
        (relay, True),
        (SPEC, False),
        (spiking, True),
        (spiking.replace(recurrence=0.0), True),
        (soft, True),
        (soft.replace(form="spiking"), True),
    ):
        ours, _ = run(Brian2Stepper("numpy"), spec, learn=learn)
        law, _ = run(stepper_of("reference"), spec, learn=learn)
        close(ours, law)


@pytest.mark.parametrize("name", ["c_plus", "tau_x", "h", "tau_a", "recurrence", "depression", "tau_minus"])
def test_a_relative_error_of_a_millionth_in_a_constant_is_found(name):
    law, _ = run(stepper_of("reference"))
    wrong, _ = run(Brian2Stepper("numpy"), SPEC.replace(**{name: getattr(SPEC, name) * (1 + 1e-6)}))
    assert max(abs(getattr(wrong, field) - getattr(law, field)).max() for field in NAMES) > 1e-10


def test_a_stack_of_two_layers_is_the_same_in_brian2() -> None:
    model = load_model("raghavan2019_grown_pooling/small")
    square = {"outline": ((0, 0), (14, 0), (14, 14), (0, 14)), "holes": (), "seed_cell": (7, 7)}
    model = model.replace(scaffold=model.scaffold.replace(**square))
    sheet = Sheet.declared(model, even_places(Scaffold.from_spec(model.scaffold), 196))
    lower, upper = LayerSpec(units=16, min_active=8, psp=2, depression=0.2), LayerSpec(units=9)
    spec = StackSpec(dynamics="rate_map", layers={"two": lower, "three": upper})
    ours, law = (
        organize_stack(sheet, spec, steps=600, rng=1, backend=name) for name in ("brian2-numpy", "reference")
    )
    assert ours.backend == "brian2-numpy"
    for a, b in zip(ours.layers, law.layers, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, rtol=0, atol=1e-11)
        np.testing.assert_allclose(a.c, b.c, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(a.late_wins, b.late_wins)
        assert b.c.any()
        assert b.late_wins.any()


@pytest.mark.parametrize("form", ["rate", "spiking"])
@pytest.mark.parametrize(
    "rule",
    [OjaSpec(eta=0.1), HebbianWTASpec(norm="sum", weight=1.0, eta=0.002), PairSTDPSpec(w_max=5.0)],
    ids=lambda rule: rule.rule,
)
def test_a_layer_with_a_rule_has_the_laws_state(rule, form):
    spec = SPEC.replace(depression=0.0, rule=rule, form=form)
    (state, spikes), (law, other) = (run(s, spec) for s in (Brian2Stepper("numpy"), stepper_of("reference")))
    np.testing.assert_array_equal(spikes.cells, other.cells)
    close(state, law, 1e-12)
    assert state.events == law.events > 50
    for name in ("pre", "post", "wins"):
        np.testing.assert_allclose(getattr(state.learner, name), getattr(law.learner, name), atol=1e-12)


def test_cells_without_a_synapse_drive_nobody():
    weights = np.random.default_rng(0).uniform(0.5, 1.5, (N, SIDE**2))
    weights[: N // 2] = 0.0
    state, below = LayerState.of(weights / weights.sum(axis=0)), Frames(np.array([0, 5, 10]), np.arange(10))
    stage = Stage.at(SPEC, DISTANCE, float(SIDE), 0.0)
    assert not len(Brian2Stepper("numpy").advance(SPEC, stage, state, below, learn=True).cells)
    assert state.events == 0


def test_the_names_of_the_steppers(monkeypatch):
    assert stepper_of("brian2-numpy").name == "brian2-numpy"
    monkeypatch.setitem(__import__("sys").modules, "brian2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'devnet\[brian2\]'"):
        stepper_of("brian2")
