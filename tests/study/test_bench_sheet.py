"""The benchmark's machinery on small sheets; its figures are made by hand with `devnet bench sheet`."""

from __future__ import annotations

import shutil

import pytest

from devnet.study import bench_sheet as bench
from devnet.study.claims import claims_of

# Brian2 2.9 calls pyparsing by its old names.
pytestmark = pytest.mark.filterwarnings(r"ignore:'\w+' (argument is )?deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(bench, "REPEATS", 2)


def test_a_declared_square_sheet_has_its_size_and_density():
    sheet = bench.square_sheet(900, 4.0)
    assert sheet.n == 900
    assert sheet.density == pytest.approx(4.0)
    assert sheet.scaffold.contains(sheet.positions).all()


def test_ratios_and_costs_are_positive_numbers():
    pytest.importorskip("brian2")
    assert all(value > 0 for value in bench._floor(400))
    assert all(value > 0 for value in bench._against_cython(300, 20))


def test_large_sheets_give_the_same_bits_on_two_threads():
    one, two = bench._large(9000, 1, 20), bench._large(9000, 2, 20)
    assert one.seconds_a_step(5) > 0
    assert two.seconds_a_step(5) > 0
    assert one.state.cells.tobytes() == two.state.cells.tobytes()


def test_a_fresh_process_reports_numbers_line_by_line():
    program = "from devnet.study.processes import peak_memory\nprint(1, 2)\nprint(peak_memory())"
    first, (memory,) = bench.in_process(program)
    assert first == [1, 2]
    assert 2**24 < memory < 2**33


@pytest.mark.slow
def test_whole_jobs_run_in_processes_of_their_own(monkeypatch, tmp_path):
    pytest.importorskip("brian2")
    monkeypatch.setattr(bench, "REPEATS", 1)
    assert bench._job("numpy", 400, 200)[0] > 0
    if any(shutil.which(name) for name in ("g++", "clang++")):
        program = bench._BRIAN2_JOB.format(target="standalone", folder=str(tmp_path), n=400, steps=200)
        assert bench.in_process(program)[0][0] > 0


def test_every_stretch_is_the_same():
    ours = bench._Ours("rate_map", bench.square_sheet(400, 1.0), 0, bench.backend_of("numba"), None, warm=64)
    ends = []
    for _ in range(2):
        assert ours.seconds_a_step(100) > 0
        ends.append(ours.state.cells.tobytes())
    assert ends[0] == ends[1] != ours.start.cells.tobytes()


@pytest.mark.gpu
def test_a_cuda_device_is_timed_beside_the_cpu():
    assert all(value > 0 for value in bench._on_gpu(9000, 10))


def test_every_claim_gets_an_answer(monkeypatch):
    pytest.importorskip("brian2")
    names = (
        "_against_brian2",
        "_against_cython",
        "_g19_learning",
        "_floor",
        "_scaling",
        "_two_threads",
        "_job",
    )
    for name in (*names, "_on_gpu"):
        monkeypatch.setattr(bench, name, lambda *_: [1.0])
    monkeypatch.setattr(bench, "in_process", lambda *_: [[1.0], [2.0]])
    assert set(bench.bench_sheet()) == set(claims_of("sheet"))
