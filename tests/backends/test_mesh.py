"""The fast field: its error, its drift, its independence of threads, and the statistics of waves it makes."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ResourceError
from devnet._core.random import Key, as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.backends.coupling import Coupling
from devnet.backends.numba_.mesh import MeshField
from devnet.backends.numba_.team import Team
from devnet.sheet import Sheet
from devnet.spec import AdaptiveLeakySpec, RateMapSpec

SHEETS = {  # cells, density, r_i, r_o, decay
    "map": (2000, 1.0, 3.0, 6.0, 10.0),
    "larger than the padding": (6000, 0.15, 3.0, 8.0, 8.0),
    "G19": (3000, 3.0, 2.0, 6.0, 10.0),
    "M20": (1600, 4.0, 2.0, 5.0, 10.0),
    "tiny r_o": (2000, 4.0, 1.2, 1.3, 10.0),
    "spacing": (1800, 3.2, 1.68, 3.35, 5.6),
}


def coupling(case: str, holes: bool = False) -> Coupling:
    n, density, r_i, r_o, decay = SHEETS[case]
    draws = Key(1).stream(case)
    places = np.stack([draws.uniform(axis, n) for axis in (0, 1)], axis=1) * np.sqrt(n / density)
    if holes:
        middle = places.mean(axis=0)
        places = places[((places - middle) ** 2).sum(axis=1) > (0.15 * np.ptp(places)) ** 2]
    return Coupling(places, r_i, r_o, 5.0, 2.0, decay)


def bump(c: Coupling, cell: int, size: int) -> np.ndarray:
    return np.argsort(((c.positions - c.positions[cell]) ** 2).sum(axis=1))[:size]


def test_a_mesh_that_no_memory_holds_is_refused_before_it_is_made() -> None:
    c = coupling("map")
    with pytest.raises(ResourceError, match=r"^field: .*use a shorter decay"):
        MeshField(Coupling(c.positions, c.r_i, c.r_o, 5.0, 2.0, 3000.0), Team(1))


@pytest.mark.parametrize("case", SHEETS)
@pytest.mark.parametrize("holes", [False, True])
def test_error_is_below_a_millionth_of_the_largest_drive(case: str, holes: bool) -> None:
    c = coupling(case, holes)
    mesh = MeshField(c, Team(1))
    for cell in (0, c.n // 2):
        for size in (1, 60, c.n // 10):
            firing = bump(c, cell, size)
            fired = np.zeros(c.n, np.uint8)
            fired[firing] = 1
            mesh.reset()
            mesh.update(firing, np.ones(size, np.int64))
            exact = c.matrix[firing].sum(axis=0)
            assert np.abs(mesh.evaluate(fired, True) - exact).max() <= 1e-6 * np.abs(exact).max()


def test_many_updates_do_not_drift() -> None:
    c = coupling("map")
    mesh = MeshField(c, Team(1))
    fired = np.zeros(c.n, np.uint8)
    draws = Key(2).stream("flips")
    for step in range(3000):
        flips = np.unique((draws.uniform(step, 40) * c.n).astype(np.int64))
        signs = np.where(fired[flips] == 1, -1, 1)
        fired[flips] ^= 1
        mesh.update(flips, signs)
    exact = c.matrix[fired == 1].sum(axis=0)
    assert np.abs(mesh.evaluate(fired, True) - exact).max() <= 1e-6 * np.abs(exact).max()
    assert not mesh.evaluate(np.zeros(c.n, np.uint8), False).any()


@pytest.fixture
def by_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devnet.backends.numba_.backend.MESH_FROM", 1)


@pytest.mark.usefixtures("by_mesh")
def test_threads_give_the_same_bits(sheet: Sheet) -> None:
    model = SheetModel.build(sheet, RateMapSpec(), as_key(0))
    states = [State.initial(model) for _ in range(3)]
    spikes = [
        backend_of("numba", "fast", threads).advance(model, state, 600)
        for threads, state in zip((1, 2, 3), states, strict=True)
    ]
    assert len(spikes[0].cell) > 1000
    for other, state in zip(spikes[1:], states[1:], strict=True):
        assert np.array_equal(other.cell, spikes[0].cell)
        assert state.cells.tobytes() == states[0].cells.tobytes()


@pytest.mark.usefixtures("by_mesh")
def test_a_run_cut_at_the_stated_steps_ends_bit_for_bit_the_same(sheet: Sheet) -> None:
    model = SheetModel.build(sheet, AdaptiveLeakySpec(), as_key(0))
    whole, parts = State.initial(model), State.initial(model)
    backend_of("numba", "fast").advance(model, whole, 2500)
    for steps in (1024, 1024, 452):
        backend_of("numba", "fast").advance(model, parts, steps)
    assert whole.cells.tobytes() == parts.cells.tobytes()
    assert whole.fired.tobytes() == parts.fired.tobytes()


@pytest.mark.usefixtures("by_mesh")
def test_dead_cells_never_fire(sheet: Sheet) -> None:
    hurt = sheet.damaged(np.array([[4.0, 4.0]]), 2.0)
    model = SheetModel.build(hurt, RateMapSpec(), as_key(0))
    fast, exact = State.initial(model), State.initial(model)
    spikes = backend_of("numba", "fast").advance(model, fast, 300)
    assert len(spikes.cell) > 300
    assert hurt.dead.sum() > 20
    assert not hurt.dead[spikes.cell].any()
    backend_of("numba").advance(model, exact, 1)
    again = State.initial(model)
    backend_of("numba", "fast").advance(model, again, 1)
    assert np.abs(again.cells - exact.cells).max() < 1e-4


@pytest.mark.usefixtures("by_mesh")
def test_one_step_stays_close_and_learning_goes_on(sheet: Sheet) -> None:
    from devnet.organization import organize

    model = SheetModel.build(sheet, RateMapSpec(), as_key(0))
    exact, fast = State.initial(model), State.initial(model)
    backend_of("numba").advance(model, exact, 200)
    fast.cells[:], fast.fired[:], fast.step = exact.cells, exact.fired, exact.step
    backend_of("numba").advance(model, exact, 1)
    backend_of("numba", "fast").advance(model, fast, 1)
    assert np.abs(fast.cells - exact.cells).max() < 1e-4
    a = organize(sheet, units=6, steps=1500, rng=0)
    b = organize(sheet, units=6, steps=1500, rng=0, field="fast", threads=2)
    assert "mesh" in b.field
    assert "float64" in a.field
    assert b.wins.sum() == pytest.approx(a.wins.sum(), rel=0.3)


def test_a_small_sheet_is_fast_with_a_rounded_matrix(sheet: Sheet) -> None:
    model = SheetModel.build(sheet, RateMapSpec(), as_key(0))
    backend = backend_of("numba", "fast")
    assert "float32" in backend.field(model)
    exact, fast = State.initial(model), State.initial(model)
    a = backend_of("numba").advance(model, exact, 300)
    b = backend.advance(model, fast, 300)
    assert len(b.cell) == pytest.approx(len(a.cell), rel=0.2)
    error = model.coupling.rounded_matrix - model.coupling.matrix
    assert np.abs(error).max() < 1e-6
