"""The torch backend against the oracle, on state; and its noise, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from devnet._core.errors import ConfigError, HealthError, MissingDependencyError
from devnet._core.random import Key, as_key, philox
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics.plasticity import start
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, HebbianWTASpec, IzhikevichSpec, PairSTDPSpec, RateMapSpec, RuleSpec

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'devnet[torch]'")

from devnet.backends.torch_ import philox as torch_random  # noqa: E402
from devnet.backends.torch_.backend import TorchBackend, fold, sum_rows  # noqa: E402

OURS = HebbianWTASpec(
    eta=0.05, factor="drive", norm="sum", weight=1, c_mean=0, c_sd=0, c_plus=0.03, c_rise="constant", c_decay=0.05,
    recruit_every=0, min_active=8,
)  # fmt: skip
CASES: dict[str, tuple] = {
    "izhikevich": (IzhikevichSpec(), HebbianWTASpec(), 1e-9),
    "adaptive_leaky": (AdaptiveLeakySpec(), OURS, 1e-11),
    "rate_map": (RateMapSpec(), OURS.replace(max_spread=0.7), 1e-11),
    "rate_map, stdp": (RateMapSpec(), PairSTDPSpec(), 1e-11),
}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ready(sheet: Sheet, case: str) -> tuple[SheetModel, RuleSpec, State]:
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
    names = ("weights", "thresholds", "peak", "wins")
    pairs = [(getattr(ours.learner, name), getattr(theirs.learner, name)) for name in names]
    for a, b in [(ours.cells, theirs.cells), *pairs]:
        assert np.all(np.abs(a - b) <= bound * (1 + np.abs(b)))
    assert np.array_equal(ours.fired, theirs.fired)
    assert ours.step == theirs.step


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("key", [Key(0), Key(0xFEDC_BA98_7654_3210), Key(2**64 - 1)])
def test_noise_is_the_same_bit_for_bit(key: Key, device: str) -> None:
    stream = key.stream("noise")
    for first, steps, n in ((0, 40, 2000), (2**32 - 3, 3, 65), (12345, 1, 1)):
        ours = torch_random.normal(stream, first, steps, n, device).cpu().numpy()
        theirs = np.stack([stream.normal(first + s, n) for s in range(steps)])
        assert ours.dtype == np.float32
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("device", DEVICES)
def test_words_and_gaussians_at_the_edges(device: str) -> None:
    edge = np.array([0, 1, 2, 2**16, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], dtype=np.uint32)
    radius, angle = (a.ravel() for a in np.meshgrid(edge, edge))
    tensors = [torch.tensor(a.astype(np.int64), device=device) for a in (radius, angle)]
    from devnet._core.random import gaussian_pair

    for ours, theirs in zip(torch_random.gaussian_pair(*tensors), gaussian_pair(radius, angle), strict=True):
        assert ours.cpu().numpy().tobytes() == theirs.tobytes()
    words = torch_random.philox((*tensors, 7, 2**32 - 1), (2**32 - 1, 5))
    for ours, theirs in zip(words, philox((radius, angle, 7, 2**32 - 1), (2**32 - 1, 5)), strict=True):
        assert np.array_equal(ours.cpu().numpy(), theirs)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_free_run_then_single_steps(sheet: Sheet, case: str, device: str) -> None:
    model, rule, begin = ready(sheet, case)
    steps = 2200 if case == "izhikevich" else 1400  # the recruitment is at 1000
    backend = TorchBackend(device)
    ours, theirs = copy(begin), copy(begin)
    a = backend.advance(model, ours, steps, rule=rule)
    b = backend_of("reference").advance(model, theirs, steps, rule=rule)
    assert len(a.time) > 2000
    assert np.array_equal(a.time, b.time)
    assert np.array_equal(a.cell, b.cell)
    assert np.abs(ours.cells - theirs.cells).max() <= CASES[case][2]
    assert theirs.learner.wins.sum() > 30
    close(ours, theirs, 1e-10 if case != "izhikevich" else 1e-9)
    for field in ("changes", "product"):
        backend = TorchBackend(device, field=field)
        for _ in range(5):
            noise = model.key.stream("other").normal(theirs.step, model.n)[None].astype(float)
            ours = copy(theirs)
            backend.advance(model, ours, 1, rule=rule, noise=noise, record=False)
            backend_of("reference").advance(model, theirs, 1, rule=rule, noise=noise)
            close(ours, theirs, 1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", ["izhikevich", "adaptive_leaky", "rate_map"])
def test_one_step_in_float32(sheet: Sheet, case: str, device: str) -> None:
    model, rule, state = ready(sheet, case)
    backend_of("reference").advance(model, state, 150, rule=rule)
    state.cells[:] = state.cells.astype(np.float32)  # a state that float32 holds
    backend = TorchBackend(device, "float32")
    ours, theirs = copy(state), copy(state)
    noise = model.key.stream("other").normal(0, model.n)[None].astype(float)
    backend.advance(model, ours, 1, rule=rule, noise=noise)
    backend_of("reference").advance(model, theirs, 1, rule=rule, noise=noise)
    close(ours, theirs, 1e-5)
    assert "float32" in backend.field(model)


@pytest.mark.parametrize("case", ["izhikevich", "adaptive_leaky", "rate_map"])
def test_an_error_of_a_millionth_in_any_constant_is_seen(sheet: Sheet, case: str) -> None:
    model, _, state = ready(sheet, case)
    backend_of("reference").advance(model, state, 150)
    while not model.form.fires(*state.cells, model.constants).any():
        backend_of("reference").advance(model, state, 1)
    theirs = copy(state)
    backend_of("reference").advance(model, theirs, 1)
    for index in range(len(model.constants)):
        if case == "izhikevich" and index == 2:
            continue  # the peak decides who fires; no state shows a millionth of it
        constants = model.constants.copy()
        constants[index] *= 1 + 1e-6
        ours = copy(state)
        TorchBackend("cpu").advance(dataclasses.replace(model, constants=constants), ours, 1)
        assert np.any(np.abs(ours.cells - theirs.cells) > 1e-12 * (1 + np.abs(theirs.cells))), index


def test_threads_chunks_and_cuts_do_not_change_a_bit(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rule, whole = ready(sheet, "adaptive_leaky")
    TorchBackend("cpu").advance(model, whole, 970, rule=rule)
    parts = copy(whole)
    TorchBackend("cpu").advance(model, whole, 130, rule=rule)
    monkeypatch.setattr("devnet.backends.torch_.backend.SAMPLES", 1)
    torch.set_num_threads(2)
    for steps in (54, 76):
        TorchBackend("cpu").advance(model, parts, steps, rule=rule)
    assert whole.cells.tobytes() == parts.cells.tobytes()
    assert whole.learner.weights.tobytes() == parts.learner.weights.tobytes()
    assert whole.learner.thresholds.tobytes() == parts.learner.thresholds.tobytes()


@pytest.mark.gpu
def test_a_cuda_device_gives_the_same_bits_as_a_cpu(sheet: Sheet) -> None:
    model, rule, here = ready(sheet, "izhikevich")
    there = copy(here)
    TorchBackend("cpu").advance(model, here, 300, rule=rule)
    TorchBackend("cuda").advance(model, there, 300, rule=rule)
    assert here.cells.tobytes() == there.cells.tobytes()
    assert here.learner.weights.tobytes() == there.learner.weights.tobytes()


def test_sums_in_a_stated_order() -> None:
    rows = torch.tensor([[1.0], [2.0**60], [1.0], [-(2.0**60)], [4.0]], dtype=torch.float64)
    # (1 + 1) and (2^60 - 2^60) + 4, then their sum: nothing is lost, as it is from first to last.
    assert fold(rows).item() == 6.0
    assert fold(rows[:0]).tolist() == [0.0]
    many = torch.arange(1000, dtype=torch.float64)[:, None]
    index = torch.arange(0, 1000, 2)
    assert sum_rows(many, index).item() == sum(range(0, 1000, 2))
    signs = torch.ones(500, dtype=torch.float64)
    signs[0::2] = -1
    assert sum_rows(many, index, signs).item() == 500


def test_a_state_that_is_not_finite_stops_the_run_and_names_the_cell(sheet: Sheet) -> None:
    model, _, _ = ready(sheet, "rate_map")
    state = State.initial(model)
    backend = TorchBackend("cpu")
    assert len(backend.advance(model, state, 10, record=False).time) == 0
    state.cells[1, 7] = np.nan
    with pytest.raises(HealthError, match=r"v of cell 7 is nan by step 64"):
        backend.advance(model, state, 1000)


def test_names_and_refusals(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = ready(sheet, "rate_map")
    assert backend_of("torch").name == "torch"
    assert backend_of("torch-cpu").field(model) == "exact: float64 matrix, updated by changes, torch on cpu"
    assert "dense product" in TorchBackend("cpu", field="product").field(model)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^device: 'cuda' .* torch finds no CUDA device"):
        backend_of("torch-cuda")
    for wrong in ({"device": "tpu"}, {"dtype": "float16"}, {"field": "fast"}):
        with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}: "):
            TorchBackend(**wrong)
    with pytest.raises(ConfigError, match="backend 'torch' has no other"):
        backend_of("torch", "fast")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'devnet\[torch\]'"):
        backend_of("torch")
