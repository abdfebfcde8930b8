"""State held in float32: each step within 1e-5 of the oracle's, and refused where there is none."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics.plasticity import start
from devnet.organization import organize
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, DynamicsSpec, HebbianWTASpec, IzhikevichSpec, RateMapSpec
from devnet.waves import simulate

FORMS: dict[str, DynamicsSpec] = {
    "izhikevich": IzhikevichSpec(),
    "adaptive_leaky": AdaptiveLeakySpec(),
    "adaptive_leaky, euler": AdaptiveLeakySpec(dt=1.0, integrator="euler", drive="per_tau"),
    "rate_map": RateMapSpec(h_rim=1.0),
}
RULE = HebbianWTASpec(eta=0.05, norm="sum", weight=1, c_mean=0.001, c_sd=0.001, c_plus=0.03)
torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install 'devnet[torch]'"
)
WAYS = [("numba", "exact"), ("numba", "fast"), pytest.param(("torch-cpu", "exact"), marks=torch)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
def test_one_step_is_within_a_hundred_thousandth(
    sheet: Sheet, form: str, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.backends.numba_.backend.MESH_FROM", 1)  # fast: the mesh
    model = SheetModel.build(sheet, FORMS[form], as_key(1))
    begin = State.initial(model, start(RULE, model.coupling.places, 12, as_key(2)))
    backend_of("reference").advance(model, begin, 150, rule=RULE)
    while not model.form.fires(*begin.cells, model.constants).any():
        backend_of("reference").advance(model, begin, 1, rule=RULE)
    begin.cells[:] = begin.cells.astype(np.float32)
    states = []
    backend = backend_of(*way, dtype="float32")
    for stepper in (backend_of("reference"), backend):
        learner = start(RULE, model.coupling.places, 12, as_key(2))
        states.append(State(begin.cells.copy(), begin.fired.copy(), begin.step, learner))
        stepper.advance(model, states[-1], 1, rule=RULE)
    theirs, ours = states
    assert theirs.learner.wins.sum() == ours.learner.wins.sum() == 1
    for a, b in (
        (ours.cells, theirs.cells),
        (ours.learner.weights, theirs.learner.weights),
        (ours.learner.thresholds, theirs.learner.thresholds),
    ):
        assert np.all(np.abs(a - b) <= 1e-5 * (1 + np.abs(b)))
    assert np.array_equal(ours.fired, theirs.fired)
    assert ours.step == theirs.step
    assert np.array_equal(ours.cells, ours.cells.astype(np.float32))
    assert not np.array_equal(theirs.cells, theirs.cells.astype(np.float32))
    assert "float32" in backend.field(model)


def test_a_run_in_float32_makes_the_same_waves_on_the_whole(sheet: Sheet) -> None:
    model = SheetModel.build(sheet, RateMapSpec(), as_key(1))
    counts = []
    for dtype in ("float64", "float32"):
        state = State.initial(model)
        counts.append(len(backend_of("numba", dtype=dtype).advance(model, state, 2048).cell))
        parts = State.initial(model)
        for _ in range(2):
            backend_of("numba", dtype=dtype).advance(model, parts, 1024)
        assert parts.cells.tobytes() == state.cells.tobytes()
    assert counts[1] == pytest.approx(counts[0], rel=0.1)


def test_it_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^dtype: 'float16' .* 'float64' or 'float32'"):
        backend_of("numba", dtype="float16")
    for name in ("reference", "brian2"):
        with pytest.raises(
            ConfigError, match=rf"^dtype: 'float32' .* 'float64': backend '{name}' has no other"
        ):
            backend_of(name, dtype="float32")


def test_waves_and_wirings_take_it_by_name(sheet: Sheet) -> None:
    recording = simulate(sheet, "rate_map", steps=64, rng=0, dtype="float32")
    wiring = organize(sheet, "rate_map", steps=64, rng=0, dtype="float32")
    assert "float32" in recording.field
    assert "float32" in wiring.field
    with pytest.raises(ConfigError, match=r"^dtype: 'float16'"):
        simulate(sheet, "rate_map", steps=64, rng=0, dtype="float16")
