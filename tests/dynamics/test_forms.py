"""Each law against a hand calculation or a closed form."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.random import Key
from devnet.dynamics import form_of
from devnet.spec import AdaptiveLeakySpec, IzhikevichSpec, RateMapSpec

PLACES = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [5.0, 5.0]])


def test_izhikevich_by_hand() -> None:
    spec = IzhikevichSpec()
    form = form_of(spec)
    k = form.constants(spec)
    v, u = form.advance(-60.0, -12.0, False, 4.0, 0.5, -65.0, 8.0, k)
    current = 4.0 + 3.0 * 0.5
    half = -60.0 + 0.5 * (0.04 * 3600 + 5 * -60 + 140 + 12 + current)
    full = half + 0.5 * (0.04 * half**2 + 5 * half + 140 + 12 + current)
    assert v == pytest.approx(full)
    assert u == pytest.approx(-12 + 0.02 * (0.2 * full + 12))
    assert form.fires(np.array([29.9, 30.0]), np.zeros(2), k).tolist() == [False, True]
    after, _ = form.advance(35.0, -12.0, True, 0.0, 0.0, -65.0, 8.0, k)
    reset, _ = form.advance(-65.0, -4.0, False, 0.0, 0.0, 0.0, 0.0, k)
    assert after == reset  # a firing cell goes on from c with u + d


def test_izhikevich_cells_differ_as_published() -> None:
    spec = IzhikevichSpec()
    form = form_of(spec)
    c, d = form.cells(spec, PLACES, Key(0))
    assert np.all((c >= -65) & (c < -50))
    assert d[4] == pytest.approx(8 - 6)  # at the center
    assert d[0] == pytest.approx(8 - 6 * np.exp(-np.sqrt(50) / 10))
    c, d = form.cells(spec.replace(d_profile="random"), PLACES, Key(0))
    assert d == pytest.approx(8 - 6 * (c + 65) / 15)  # one uniform number sets both
    v, u = form.start(spec, np.stack([c, d]))
    assert np.all(v == -65)
    assert np.all(u == -13)


def test_adaptive_leaky_follows_its_exponentials() -> None:
    spec = AdaptiveLeakySpec()
    form = form_of(spec)
    k = form.constants(spec)
    v, theta = 2.0, 5.0
    for _ in range(10):
        v, theta = form.advance(v, theta, False, 3.0, 0.0, 0.0, 0.0, k)
    assert v == pytest.approx(6 + (2 - 6) * np.exp(-1 / 2), abs=1e-6)
    assert theta == pytest.approx(1 + 4 * np.exp(-1 / 60), abs=1e-12)
    v, theta = form.advance(2.0, 1.5, True, 3.0, 0.0, 0.25, 0.0, k)
    assert v == 0.25
    assert theta == pytest.approx(1.5 + 0.1 * 9)


def test_the_published_variants_of_the_leaky_drive() -> None:
    euler = AdaptiveLeakySpec(dt=1.0, integrator="euler")
    for drive, expected in (("per_time", 1 - 0.5 + 4), ("per_tau", 1 - 0.5 + 2)):
        spec = euler.replace(drive=drive)
        form = form_of(spec)
        v, _ = form.advance(1.0, 0.0, False, 4.0, 0.0, 0.0, 0.0, form.constants(spec))
        assert v == pytest.approx(expected)
    assert form_of(euler).hold(euler) == 1
    assert form_of(euler).hold(AdaptiveLeakySpec()) == 10


def test_rate_map_by_hand() -> None:
    spec = RateMapSpec()
    form = form_of(spec)
    k = form.constants(spec)
    x, v = form.advance(1.5, 1.0, True, 2.0, 0.5, 0.0, 0.0, k)
    assert x == pytest.approx(1.5 + (2 + 0.5 - 1.5) / 5)
    assert v == 4.0
    _, v = form.advance(1.5, 4.0, False, 2.0, 0.5, 0.0, 0.0, k)
    assert v == pytest.approx(4 - 3 / 300)
    assert form.fires(np.array([1.0, 1.1]), np.ones(2), k).tolist() == [False, True]
    assert not form.cells(spec, PLACES, Key(0)).any()
    assert form.start(spec, np.zeros((2, 3))).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_the_rim_is_as_much_more_refractory_as_asked() -> None:
    spec = RateMapSpec(h_rim=2.0)
    form = form_of(spec)
    g, unused = form.cells(spec, PLACES, Key(0))
    assert g.tolist() == [4, 4, 4, 4, 0]  # corners lie sqrt(2) half sides from the center
    assert not unused.any()
    _, v = form.advance(1.5, 1.0, True, 0.0, 0.0, 4.0, 0.0, form.constants(spec))
    assert v == pytest.approx(1 + 3 * 5)
