"""The compiled kernel against the NumPy oracle, on state (v, u, theta, weights, thresholds), not on spikes alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from devnet._core.errors import ConfigError, HealthError, ResourceError
from devnet._core.random import Key, as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.backends.coupling import Coupling
from devnet.dynamics.plasticity import Learner, start
from devnet.sheet import Sheet
from devnet.spec import (
    AdaptiveLeakySpec,
    BCMSpec,
    CouplingSpec,
    HebbianWTASpec,
    IzhikevichSpec,
    KWinnersSpec,
    OjaSpec,
    PairSTDPSpec,
    RateMapSpec,
    TemporalDifferenceSpec,
    TripletSTDPSpec,
)

OURS = HebbianWTASpec(
    eta=0.05, factor="drive", norm="sum", weight=1, c_mean=0, c_sd=0, c_plus=0.03, c_rise="constant", c_decay=0.05,
    recruit_every=0, min_active=8, max_spread=0.9,
)  # fmt: skip
CASES = {
    "izhikevich": (IzhikevichSpec(), HebbianWTASpec()),
    "izhikevich, random d": (IzhikevichSpec(d_profile="random"), HebbianWTASpec()),
    "adaptive_leaky, rk4": (AdaptiveLeakySpec(), OURS),
    "adaptive_leaky, euler": (AdaptiveLeakySpec(dt=1.0, integrator="euler", drive="per_tau"), OURS),
    "rate_map": (RateMapSpec(), OURS),
    "rate_map, graded": (RateMapSpec(h_rim=2.0), OURS),
    "rate_map, temporal difference": (RateMapSpec(h_rim=2.0), TemporalDifferenceSpec(order="both", delay=4)),
    "izhikevich, pair STDP": (IzhikevichSpec(), PairSTDPSpec()),
    "rate_map, nearest pairs, mixed": (
        RateMapSpec(),
        PairSTDPSpec(pairing="nearest", bounds="mixed", c_mean=20.0, w_max=9.0),
    ),
    "rate_map, k winners": (RateMapSpec(), KWinnersSpec(winners=4, c_mean=50.0, c_sd=5.0)),
    "rate_map, Oja": (RateMapSpec(), OjaSpec(c_plus=0.03, c_decay=0.05, min_active=5)),
    "rate_map, BCM, all units": (RateMapSpec(), BCMSpec(learners="all", min_active=5)),
    "izhikevich, triplet STDP": (IzhikevichSpec(), TripletSTDPSpec(bounds="soft", norm="none", w_max=5.0)),
}
FREE_RUN = {"izhikevich": 1e-9, "adaptive_leaky": 1e-11, "rate_map": 1e-11}


def ready(sheet: Sheet, case: str, units: int = 12) -> tuple[SheetModel, HebbianWTASpec, State]:
    spec, rule = CASES[case]
    model = SheetModel.build(sheet, spec, as_key(1))
    return model, rule, State.initial(model, start(rule, model.coupling.places, units, as_key(2)))


def copy(state: State) -> State:
    learner = state.learner
    assert learner is not None
    arrays = [getattr(learner, f.name).copy() for f in dataclasses.fields(learner)]
    return State(state.cells.copy(), state.fired.copy(), state.step, Learner(*arrays))


@pytest.mark.parametrize("case", CASES)
def test_one_step_from_the_oracles_state(sheet: Sheet, case: str) -> None:
    model, rule, state = ready(sheet, case)
    backend_of("reference").advance(model, state, 150, rule=rule)
    for _ in range(20):
        noise = model.key.stream("other").normal(state.step, model.n)[None].astype(float)
        theirs, ours = copy(state), copy(state)
        backend_of("reference").advance(model, theirs, 1, rule=rule, noise=noise)
        backend_of("numba").advance(model, ours, 1, rule=rule, noise=noise)
        for a, b in (
            (ours.cells, theirs.cells),
            (ours.learner.weights, theirs.learner.weights),
            (ours.learner.thresholds, theirs.learner.thresholds),
            (ours.learner.peak, theirs.learner.peak),
            (ours.learner.pre, theirs.learner.pre),
            (ours.learner.post, theirs.learner.post),
        ):
            assert np.all(np.abs(a - b) <= 1e-12 * (1 + np.abs(b)))
        assert np.array_equal(ours.fired, theirs.fired)
        assert np.array_equal(ours.learner.wins, theirs.learner.wins)
        state = theirs


@pytest.mark.parametrize("case", CASES)
def test_free_run_over_the_thousand_step_recruitment(sheet: Sheet, case: str) -> None:
    model, rule, state = ready(sheet, case)
    other = copy(state)
    ours = backend_of("numba").advance(model, state, 2200, rule=rule)
    theirs = backend_of("reference").advance(model, other, 2200, rule=rule)
    assert len(ours.time) > 2000
    assert np.array_equal(ours.time, theirs.time)
    assert np.array_equal(ours.cell, theirs.cell)
    assert np.abs(state.cells - other.cells).max() <= FREE_RUN[model.form.name]
    assert state.learner.wins.sum() > 100
    assert np.array_equal(state.learner.wins, other.learner.wins)
    assert np.abs(state.learner.weights - other.learner.weights).max() <= 1e-10
    assert np.abs(state.learner.thresholds - other.learner.thresholds).max() <= 1e-10


@pytest.mark.parametrize("case", ["izhikevich", "adaptive_leaky, rk4", "rate_map"])
def test_a_run_cut_at_the_stated_steps_ends_bit_for_bit_the_same(sheet: Sheet, case: str) -> None:
    model, rule, whole = ready(sheet, case)
    parts = copy(whole)
    spikes = backend_of("numba").advance(model, whole, 3072, rule=rule)
    pieces = [backend_of("numba").advance(model, parts, steps, rule=rule) for steps in (1024, 2048)]
    assert np.array_equal(spikes.cell, np.concatenate([p.cell for p in pieces]))
    for a, b in (
        (whole.cells, parts.cells),
        (whole.learner.weights, parts.learner.weights),
        (whole.learner.thresholds, parts.learner.thresholds),
    ):
        assert a.tobytes() == b.tobytes()


def test_room_for_spikes_does_not_change_a_run(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rule, state = ready(sheet, "adaptive_leaky, rk4")
    other = copy(state)
    spikes = backend_of("numba").advance(model, state, 1500, rule=rule)
    monkeypatch.setattr("devnet.backends.numba_.backend.SPIKES_AT_ONCE", 1)
    again = backend_of("numba").advance(model, other, 1500, rule=rule)
    assert np.array_equal(spikes.time, again.time)
    assert np.array_equal(spikes.cell, again.cell)
    assert state.cells.tobytes() == other.cells.tobytes()
    assert state.learner.weights.tobytes() == other.learner.weights.tobytes()


def test_noise_from_outside_is_used_row_by_row(sheet: Sheet) -> None:
    model, _, _ = ready(sheet, "rate_map")
    noise = np.stack([model.key.stream("noise").normal(t, model.n) for t in range(300)]).astype(float)
    own, given = State.initial(model), State.initial(model)
    a = backend_of("numba").advance(model, own, 300)
    b = backend_of("numba").advance(model, given, 300, noise=noise)
    assert np.array_equal(a.cell, b.cell)
    assert own.cells.tobytes() == given.cells.tobytes()


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_a_state_that_is_not_finite_stops_the_run_and_names_the_cell(sheet: Sheet, backend: str) -> None:
    model, _, _ = ready(sheet, "izhikevich")
    state = State.initial(model)
    backend_of(backend).advance(model, state, 10)
    state.cells[1, 7] = np.nan
    with pytest.raises(HealthError, match=r"v of cell 7 is nan by step 64"):
        backend_of(backend).advance(model, state, 1000)


def test_coupling_matches_the_equation(sheet: Sheet) -> None:
    spec = CouplingSpec(r_i=2, r_o=4, a_i=5, a_o=2, decay=10)
    matrix = Coupling.build(sheet, spec).matrix
    i, j = 3, np.arange(sheet.n)
    d = np.linalg.norm(sheet.positions - sheet.positions[i], axis=1)
    expected = np.where(d < 2, 5.0, 0.0) - np.where(d > 4, 2 * np.exp(-d / 10), 0.0)
    expected[i] = 0
    assert np.allclose(matrix[i, j], expected, rtol=1e-14)
    assert np.array_equal(matrix, matrix.T)
    scaled = Coupling.build(sheet, spec.replace(length_unit="spacing")).matrix
    assert (scaled > 0).sum() < (matrix > 0).sum()  # the sheet is denser than 1, so a spacing is shorter


def test_an_unknown_backend_and_too_large_a_sheet_are_refused(
    sheet: Sheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="'numba' or 'reference'"):
        backend_of("brain")
    monkeypatch.setattr("devnet.backends.coupling.MAX_DENSE", 10)
    model = SheetModel.build(sheet, RateMapSpec(), Key(0))
    with pytest.raises(ResourceError, match="more than 10"):
        backend_of("reference").advance(model, State.initial(model), 1)


@pytest.mark.parametrize("case", ["izhikevich", "adaptive_leaky, rk4", "rate_map"])
@pytest.mark.parametrize("backend", ["numba", "torch-cpu"])
def test_dead_cells_never_fire_and_the_living_run_as_if_they_had_no_coupling_with_them(
    sheet: Sheet, case: str, backend: str
) -> None:
    hurt = sheet.damaged(np.array([[4.0, 4.0], [11.0, 9.0]]), 2.0)
    spec, rule = CASES[case]
    model = SheetModel.build(hurt, spec, as_key(1))
    assert len(model.dead) == hurt.dead.sum() > 50
    runs = {}
    for name in ("reference", backend):
        state = State.initial(model, start(rule, model.coupling.places, 12, as_key(2)))
        runs[name] = backend_of(name).advance(model, state, 300, rule=rule), state
    spikes, state = runs[backend]
    reference_spikes, reference_state = runs["reference"]
    assert len(spikes.cell) > 30
    assert not hurt.dead[spikes.cell].any()
    assert np.array_equal(spikes.cell, reference_spikes.cell)
    alive = ~hurt.dead
    assert np.abs(state.cells - reference_state.cells)[:, alive].max() < 1e-9
    # Where dead cells act on nobody, the living do as in a sheet whose matrix has no entry for them.
    cut = dataclasses.replace(model, dead=np.empty(0, np.int64))
    matrix = model.coupling.matrix.copy()
    matrix[:, hurt.dead] = 0.0
    vars(cut.coupling)["matrix"] = matrix
    other = State.initial(cut)
    backend_of("reference").advance(cut, other, 300)
    assert np.abs(state.cells - other.cells)[:, alive].max() < 1e-9
