"""Brian2's objects against the oracle, on state; and what a Brian2 user is handed."""

from __future__ import annotations

import dataclasses
import doctest
import gc
import shutil
import warnings

import numpy as np
import pytest

from devnet._core.errors import ConfigError, HealthError, MissingDependencyError
from devnet._core.random import Key, as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics.plasticity import start
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, CouplingSpec, HebbianWTASpec, IzhikevichSpec, RateMapSpec

with warnings.catch_warnings():
    # Brian2 2.9 calls pyparsing by its old names when it is imported.
    warnings.filterwarnings("ignore", r"'\w+' (argument is )?deprecated", DeprecationWarning)
    brian2 = pytest.importorskip("brian2", reason="needs Brian2: pip install 'devnet[brian2]'")

from devnet.backends.brian2_ import network, run_standalone, to_brian2, wiring_synapses
from devnet.backends.brian2_.backend import Brian2Backend, settings

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:'\w+' (argument is )?deprecated:DeprecationWarning"),
]
compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("g++", "c++", "clang++")), reason="needs a C++ compiler"
)
TARGETS = [pytest.param("cython", marks=compiler), "numpy"]
OURS = HebbianWTASpec(
    eta=0.05, factor="drive", norm="sum", weight=1, c_mean=0, c_sd=0, c_plus=0.03, c_rise="constant", c_decay=0.05,
    recruit_every=0, min_active=8,
)  # fmt: skip
CASES = {
    "izhikevich": (IzhikevichSpec(), HebbianWTASpec(), 1e-9),
    "adaptive_leaky": (AdaptiveLeakySpec(), OURS, 1e-11),
    "rate_map": (RateMapSpec(), OURS.replace(max_spread=0.7), 1e-11),
}


@pytest.fixture(scope="module", autouse=True)
def _quick_collection():
    """Brian2 collects garbage at every run; let it not walk through all that was imported before."""
    gc.freeze()
    yield
    gc.unfreeze()


def ready(sheet: Sheet, case: str) -> tuple[SheetModel, HebbianWTASpec, State]:
    spec, rule, _ = CASES[case]
    model = SheetModel.build(sheet, spec, as_key(1))
    return model, rule, State.initial(model, start(rule, model.coupling.places, 12, as_key(2)))


def copy(state: State) -> State:
    learner = state.learner
    if learner is not None:
        names = [f.name for f in dataclasses.fields(learner)]
        learner = dataclasses.replace(learner, **{name: getattr(learner, name).copy() for name in names})
    return State(state.cells.copy(), state.fired.copy(), state.step, learner)


def close(ours: State, theirs: State, bound: float) -> None:
    """Every array within ``bound`` times 1 + |x|."""
    names = ("weights", "thresholds", "peak", "wins")
    pairs = [(getattr(ours.learner, name), getattr(theirs.learner, name)) for name in names]
    for a, b in [(ours.cells, theirs.cells), *pairs]:
        assert np.all(np.abs(a - b) <= bound * (1 + np.abs(b)))
    assert np.array_equal(ours.fired, theirs.fired)
    assert ours.step == theirs.step


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_state_by_step_and_over_the_thousand_step_recruitment(sheet: Sheet, case: str, target: str) -> None:
    model, rule, begin = ready(sheet, case)
    backend = Brian2Backend(target)
    ours, theirs = copy(begin), copy(begin)
    a = backend.advance(model, ours, 2200, rule=rule)
    b = backend_of("reference").advance(model, theirs, 2200, rule=rule)
    assert len(a.time) > 2000
    assert np.array_equal(a.time, b.time)
    assert np.array_equal(a.cell, b.cell)
    assert np.abs(ours.cells - theirs.cells).max() <= CASES[case][2]
    assert theirs.learner.wins.sum() > 100
    close(ours, theirs, 1e-10)
    assert 0 < backend.seconds < 60
    # One step from the oracle's state, with noise handed in.
    for _ in range(2):
        noise = model.key.stream("other").normal(theirs.step, model.n)[None].astype(float)
        ours = copy(theirs)
        backend.advance(model, ours, 1, rule=rule, noise=noise, record=False)
        backend_of("reference").advance(model, theirs, 1, rule=rule, noise=noise)
        close(ours, theirs, 1e-12)


def test_a_run_cut_in_two_ends_bit_for_bit_the_same(sheet: Sheet) -> None:
    model, rule, whole = ready(sheet, "adaptive_leaky")
    parts, backend = copy(whole), Brian2Backend("numpy")
    backend.advance(model, whole, 300, rule=rule)
    assert len(backend.advance(model, parts, 0, rule=rule).time) == 0
    for steps in (107, 193):
        backend.advance(model, parts, steps, rule=rule)
    assert whole.cells.tobytes() == parts.cells.tobytes()
    assert whole.learner.weights.tobytes() == parts.learner.weights.tobytes()


def test_a_state_that_is_not_finite_stops_the_run_and_names_the_cell(sheet: Sheet) -> None:
    model, _, _ = ready(sheet, "rate_map")
    state, backend = State.initial(model), Brian2Backend("numpy")
    backend.advance(model, state, 10)
    state.cells[1, 7] = np.nan
    with pytest.raises(HealthError, match=r"v of cell 7 is nan by step 64"):
        backend.advance(model, state, 1000)


@compiler
@pytest.mark.slow
def test_a_standalone_program_fires_as_the_oracle(sheet: Sheet) -> None:
    model, _, _ = ready(sheet, "adaptive_leaky")
    state = State.initial(model)
    backend_of("reference").advance(model, state, 205)  # half-way through a sample that is held for ten steps
    begin = copy(state)
    wanted = backend_of("reference").advance(model, state, 1000)
    flags = ["-w", "-O1", "-ffp-contract=off", "-std=c++11"]
    ran = run_standalone(model, 1000, state=begin, flags=flags)
    assert len(wanted.time) > 2000
    assert np.array_equal(ran.spikes.time, wanted.time)
    assert np.array_equal(ran.spikes.cell, wanted.cell)
    assert np.abs(ran.state.cells - state.cells).max() <= 1e-11
    assert np.array_equal(ran.state.fired, state.fired)
    assert ran.state.step == state.step == 1205
    assert 0 < ran.seconds < ran.program_seconds + 0.1
    assert ran.build_seconds > 0
    # The runtime works as before.
    after = State.initial(model)
    Brian2Backend("numpy").advance(model, after, 100)


def test_a_user_is_handed_the_same_waves_with_units(sheet: Sheet) -> None:
    spec = IzhikevichSpec()
    model = SheetModel.build(sheet, spec, as_key(3))
    state = State.initial(model)
    wanted = backend_of("reference").advance(model, state, 200)
    with settings("numpy"):
        net = to_brian2(sheet, spec, rng=3)
        spikes = brian2.SpikeMonitor(net["cells"])
        drive = brian2.StateMonitor(net["cells"], "I", record=[5], when="after_synapses")
        net.add(spikes, drive)
        net.run(200 * brian2.ms)
        assert np.array_equal(np.rint(spikes.t / brian2.ms), wanted.time)
        assert np.array_equal(spikes.i, wanted.cell)
        assert np.abs(net["cells"].v / brian2.mV - state.cells[0]).max() < 1e-6
        row = model.coupling.matrix[5]
        expected = [row[wanted.cell[wanted.time == t]].sum() for t in range(200)]
        assert np.allclose(drive.I[0] / brian2.mV, expected, atol=1e-9)
        assert np.abs(expected).max() > 1
        assert np.all(net["coupling"].i[:] != net["coupling"].j[:])
        assert net["coupling"].w.dim == brian2.volt.dim


def test_noise_of_a_users_own_is_read_row_by_row(sheet: Sheet) -> None:
    spec = AdaptiveLeakySpec()
    model = SheetModel.build(sheet, spec, as_key(3))
    noise = np.stack([model.key.stream("other").normal(t, model.n) for t in range(60)]).astype(float)
    state = State.initial(model)
    backend_of("reference").advance(model, state, 60, noise=noise)
    with settings("numpy"):
        net = to_brian2(sheet, spec, rng=3, noise=noise)
        net.run(6 * brian2.ms)
        assert np.abs(net["cells"].v[:] - state.cells[0]).max() < 1e-11
    with pytest.raises(ConfigError, match=r"^noise: 'shape \(60, 5\)' .* \(steps, 676\)"):
        to_brian2(sheet, spec, noise=noise[:, :5])


def test_the_example_of_the_docstring_runs(sheet: Sheet) -> None:
    from devnet.organization import organize

    wiring = organize(sheet, "rate_map", steps=64, rng=0, backend="reference")
    example = doctest.DocTestFinder().find(to_brian2, globs={"sheet": sheet, "wiring": wiring})[0]
    with settings("numpy"):
        result = doctest.DocTestRunner().run(example)
    assert result.failed == 0
    assert result.attempted >= 8


def test_a_wiring_goes_into_synapses_with_its_weights(sheet: Sheet) -> None:
    from devnet.organization import organize

    wiring = organize(sheet, "rate_map", steps=64, rng=0, backend="reference")
    with settings("numpy"):
        cells = to_brian2(sheet, RateMapSpec(), rng=0)["cells"]
        units = brian2.NeuronGroup(wiring.units, "y : 1")
        pools = wiring_synapses(wiring, cells, units)
        dense = np.zeros_like(wiring.weights)
        dense[pools.i[:], pools.j[:]] = pools.w[:]
        assert np.array_equal(dense, wiring.weights)
        with pytest.raises(ConfigError, match=r"^cells, units: \(25, 25\) .* \(676, 25\)"):
            wiring_synapses(wiring, units, units)


def test_a_sheet_without_coupling_runs(sheet: Sheet) -> None:
    spec = RateMapSpec(coupling=CouplingSpec(a_i=0, a_o=0), noise=20)
    model = SheetModel.build(sheet, spec, Key(1))
    state, other = State.initial(model), State.initial(model)
    a = Brian2Backend("numpy").advance(model, state, 50)
    b = backend_of("reference").advance(model, other, 50)
    assert len(a.time) > 0
    assert np.array_equal(a.cell, b.cell)


def test_refusals(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = ready(sheet, "rate_map")
    with pytest.raises(ConfigError, match=r"^steps: 0"):
        run_standalone(model, 0)
    textless = dataclasses.replace(model, form=dataclasses.replace(model.form, brian2=None))
    with pytest.raises(ConfigError, match="a form with a Brian2Text"):
        network.objects(textless)
    before = brian2.prefs["codegen.target"]
    brian2.set_device("cpp_standalone", build_on_run=False)
    try:
        with pytest.raises(ConfigError, match=r"brian2.set_device\('runtime'\)"):
            Brian2Backend("numpy").advance(model, State.initial(model), 1)
    finally:
        brian2.devices.reset_device()
    assert brian2.prefs["codegen.target"] == before
    monkeypatch.setitem(__import__("sys").modules, "brian2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'devnet\[brian2\]'"):
        backend_of("brian2")


def test_the_names_of_the_registry(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = backend_of("brian2-numpy")
    assert numpy.name == "brian2-numpy"
    model, _, _ = ready(sheet, "rate_map")
    assert "(numpy)" in numpy.field(model)
    monkeypatch.setattr("devnet.backends.brian2_.backend.shutil.which", lambda _: None)
    from devnet.backends.brian2_.backend import best_target

    assert best_target.__wrapped__() == "numpy"


@compiler
def test_cython_is_taken_where_there_is_a_compiler() -> None:
    assert backend_of("brian2").name == "brian2"
