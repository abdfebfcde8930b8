"""The benchmark's machinery on small networks; its figures are made by hand with `devnet bench fip`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from devnet._core.errors import ConfigError
from devnet.fip import Adam, UnitLength
from devnet.study import bench_fip as bench
from devnet.study import claims
from devnet.study.claims import claims_of
from devnet.study.workers import one_thread

SMALL = bench.Case("mlp:64-16-10", (8, 8), 32, 2)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(bench, "REPEATS", 2)
    with one_thread():
        yield


def test_ratios_are_positive_and_come_in_pairs():
    found = bench.ratios(SMALL, bench.path(SMALL, Adam()), bench.plain(SMALL))
    assert len(found) == 2
    assert all(value > 0 for value in found)
    assert all(value > 0 for value in bench.with_refresh(SMALL))
    assert bench.gauss_newton(SMALL)() is None


def test_ours_and_theirs_take_steps_of_the_length_they_say():
    """The released form moves by its length too: both do the work that is timed."""
    moved = []

    class Watched(bench.Case):
        @property
        def module(self):
            made = bench.Case.module.fget(self)
            moved.append((made, [p.detach().clone() for p in made.parameters()]))
            return made

    bench.released(Watched("mlp:64-16-10", (8, 8), 32, 1), length=0.01)()
    module, before = moved[0]
    change = torch.cat([(p - b).reshape(-1) for p, b in zip(module.parameters(), before, strict=True)])
    assert float(change.detach().norm()) == pytest.approx(0.01, rel=1e-4)


def test_the_timed_path_is_a_path(monkeypatch):
    walks = []
    monkeypatch.setattr(bench, "advance", lambda walk, problem: walks.append((walk, walk.weights.clone())))
    bench.path(SMALL, UnitLength(0.5))()
    walk, at = walks[0]
    assert not torch.equal(walk.start, at), "it starts off the reference, where the gradient is not zero"


def test_peaks_are_measured_in_fresh_processes():
    value = bench.memory(bench.Case("mlp:64-16-10", (8, 8), 32, 1))
    assert len(value) == 1
    assert 0.5 < value[0] < 1.5


def test_half_precision_is_that_of_both(monkeypatch):
    """Plain training and the path compute in bfloat16, and differ from what they do in float32."""
    half = bench.Case("mlp:64-16-10", (8, 8), 32, 1, precision="bfloat16")
    seen = []
    watch = torch.nn.Linear.forward

    def forward(self, x):
        out = watch(self, x)
        seen.append(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.Linear, "forward", forward)
    for run in (bench.plain(half), bench.path(half, UnitLength(1e-3))):
        seen.clear()
        run()
        assert set(seen) == {torch.bfloat16}
    bench.plain(SMALL)()
    assert seen[-1] == torch.float32


@pytest.mark.parametrize("lacks", ["", "no GPU"])
def test_every_claim_gets_an_answer(monkeypatch, lacks):
    monkeypatch.setattr(claims, "_lacks", lambda need: lacks if need else "")
    for name in ("ratios", "with_refresh", "memory"):
        monkeypatch.setattr(bench, name, lambda *_: [1.0])
    for name in ("path", "plain", "released", "gauss_newton"):
        monkeypatch.setattr(bench, name, lambda *_: None)
    answers = bench.bench_fip()
    assert set(answers) == set(claims_of("fip"))
    assert ("cuda_bfloat16" in answers) == (not lacks)
    assert all(np.isfinite(a.values).all() for a in answers.values())


def test_an_absent_device_is_refused():
    with pytest.raises(ConfigError, match=r"^device: 'abacus'"):
        bench.bench_fip("abacus")
