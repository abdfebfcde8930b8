"""The torch backend against the oracle, on state; and its noise, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from devnet._core.errors import ConfigError, HealthError, MissingDependencyError
from devnet._core.random import Key, as_key, philox
from devnet.backends.base import SheetModel, State, backend_of
from devnet.backends.coupling import Coupling
from devnet.dynamics.plasticity import start
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, HebbianWTASpec, IzhikevichSpec, PairSTDPSpec, RateMapSpec, RuleSpec

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'devnet[torch]'")

from devnet.backends.torch_ import philox as torch_random  # noqa: E402
from devnet.backends.torch_.backend import TorchBackend  # noqa: E402
from devnet.backends.torch_.fields import MeshField  # noqa: E402
from devnet.backends.torch_.sums import fold, sum_rows  # noqa: E402

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
    for field in ("exact", "product"):
        backend = TorchBackend(device, field=field)
        for _ in range(5):
            noise = model.key.stream("other").normal(theirs.step, model.n)[None].astype(float)
            ours = copy(theirs)
            backend.advance(model, ours, 1, rule=rule, noise=noise, record=False)
            backend_of("reference").advance(model, theirs, 1, rule=rule, noise=noise)
            close(ours, theirs, 1e-12)


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


@pytest.mark.parametrize("device", DEVICES)
def test_a_large_sheets_mesh_is_off_by_less_than_a_millionth_and_does_not_drift(device: str) -> None:
    n = 10_000
    places = np.stack([Key(4).stream("places").uniform(axis, n) for axis in (0, 1)], axis=1) * 100
    coupling = Coupling(places, 3.0, 6.0, 5.0, 2.0, 10.0)
    mesh = MeshField(coupling, {"dtype": torch.float64, "device": torch.device(device)})

    def row(cells: np.ndarray) -> np.ndarray:
        distance = np.hypot(*(places[cells, a][:, None] - places[:, a] for a in (0, 1)))
        matrix = 5.0 * (distance < 3) - 2.0 * (distance > 6) * np.exp(-distance / 10)
        matrix[np.arange(len(cells)), cells] = 0
        return matrix.sum(axis=0)

    near = np.argsort(((places - 20) ** 2).sum(axis=1))
    sets = [near[:1], near[:150], near[100:300], np.arange(0, n, 40), near[:0]]
    flags = [
        torch.zeros(n, dtype=torch.bool, device=device).index_fill_(0, torch.tensor(s, device=device), True)
        for s in sets
    ]
    mesh.start(flags[0])
    for step in range(200):  # sums would drift here if they could
        drive = mesh.step(flags[step % 5], step).cpu().numpy()
        if step < 5 or step >= 195:
            exact = row(sets[step % 5])
            assert np.abs(drive - exact).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize("device", DEVICES)
def test_a_sheet_runs_and_learns_on_the_mesh(
    sheet: Sheet, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.backends.torch_.backend.MESH_FROM", 1)
    model, rule, begin = ready(sheet, "rate_map")
    backend, exact, fast = backend_of(f"torch-{device}", "fast"), copy(begin), copy(begin)
    assert "mesh" in backend.field(model)
    backend_of("numba").advance(model, exact, 200, rule=rule)
    fast = copy(exact)
    backend_of("numba").advance(model, exact, 1, rule=rule)
    backend.advance(model, fast, 1, rule=rule)
    assert np.abs(fast.cells - exact.cells).max() < 1e-4
    spikes = backend.advance(model, fast, 200, rule=rule)
    assert len(spikes.cell) > 500


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
    assert "matrix" in backend_of("torch-cpu", "fast").field(model)  # a small sheet
    assert "dense product" in TorchBackend("cpu", field="product").field(model)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^device: 'cuda' .* torch finds no CUDA device"):
        backend_of("torch-cuda")
    for wrong in ({"device": "tpu"}, {"dtype": "float16"}, {"field": "slow"}):
        with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}: "):
            TorchBackend(**wrong)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'devnet\[torch\]'"):
        backend_of("torch")
