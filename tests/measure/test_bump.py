from __future__ import annotations

import numpy as np
import pytest

from devnet.backends.coupling import Coupling
from devnet.measure import WaveTally, disc_input, resting_radius, travelling_disc
from devnet.sheet import Sheet
from devnet.spec import CouplingSpec, RateMapSpec, load_model
from devnet.waves import simulate

SPACINGS = RateMapSpec().coupling


def lattice(side: float, rows: int) -> Sheet:
    """Return a declared sheet: a square lattice around the origin."""
    line = (np.arange(rows) + 0.5) / rows * side - side / 2
    places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    half = side / 2
    square = {
        "outline": ((-half, -half), (half, -half), (half, half), (-half, half)),
        "holes": (),
        "seed_cell": (0, 0),
    }
    model = load_model("raghavan2019_grown_pooling/small")
    return Sheet.declared(model.replace(scaffold=model.scaffold.replace(**square)), places)


@pytest.mark.parametrize("radius", [1.0, 3.0, 4.3, 7.0])
def test_the_input_of_a_disc_is_the_sum_over_its_cells(radius: float) -> None:
    sheet = lattice(24.0, 101)
    coupling = Coupling.build(sheet, SPACINGS.replace(length_unit="sheet"))
    disc = np.hypot(*sheet.positions.T) < radius
    ray = np.flatnonzero(
        (sheet.positions[:, 1] > 0) & (sheet.positions[:, 1] < 0.3) & (sheet.positions[:, 0] > 0)
    )
    apart = np.hypot(*(sheet.positions[ray, None] - sheet.positions[disc]).transpose(2, 0, 1))
    pairs = coupling.a_i * (apart < coupling.r_i) - coupling.a_o * (apart > coupling.r_o) * np.exp(
        -apart / 10.0
    )
    summed = pairs.sum(axis=1) / sheet.density
    found = disc_input(SPACINGS, radius, np.hypot(*sheet.positions[ray].T))
    assert found == pytest.approx(summed, abs=0.03 * np.abs(summed).max())


def test_at_the_center_the_input_has_a_closed_form() -> None:
    inside = disc_input(SPACINGS, 2.0, np.array([0.0]), density=3.0)
    assert inside == pytest.approx(3.0 * 5.0 * np.pi * 4.0, rel=1e-6)
    wide = disc_input(SPACINGS, 9.0, np.array([0.0]))
    tail = 10.0 * (16.0 * np.exp(-0.6) - 19.0 * np.exp(-0.9))
    assert wide == pytest.approx(5.0 * np.pi * 9.0 - 2.0 * 2 * np.pi * tail, rel=1e-6)


def test_at_rest_the_input_at_the_rim_is_the_threshold_and_falls_with_the_radius() -> None:
    radius = resting_radius(SPACINGS, 1.0)
    assert radius is not None
    at_rim = [float(disc_input(SPACINGS, r, np.array([r]))[0]) for r in (radius - 0.1, radius, radius + 0.1)]
    assert at_rim[1] == pytest.approx(1.0, abs=1e-6)
    assert at_rim[0] > 1.0 > at_rim[2]
    assert resting_radius(SPACINGS.replace(a_o=0.0), 1.0) is None
    assert resting_radius(SPACINGS, 1000.0) is None


def test_without_refractoriness_a_bump_rests() -> None:
    rest = resting_radius(SPACINGS, 1.0)
    assert rest is not None
    radii, speeds = zip(
        *(travelling_disc(RateMapSpec(h=h)) for h in (0.0, 0.003, 0.03, 0.3, 3.0)), strict=True
    )
    assert radii[0] == rest
    assert speeds[0] == 0.0
    assert radii[1] == pytest.approx(rest, rel=0.03)
    assert np.all(np.diff(radii) < 0)
    assert np.all(np.diff(speeds) > 0)


def test_front_and_rear_hold_at_the_solution() -> None:
    spec = RateMapSpec()
    disc = travelling_disc(spec)
    assert disc is not None
    steps = np.linspace(0, 400, 8001)  # a cell's past, step by step, instead of the length along the way
    weight = np.exp(-steps / spec.tau_x) / spec.tau_x

    def drive(place: float) -> float:
        passed = disc_input(spec.coupling, disc.radius, np.abs(place + disc.speed * steps))
        return float(np.trapezoid(weight * passed, steps))

    assert drive(disc.radius) == pytest.approx(spec.v_rest, abs=0.05)
    assert drive(-disc.radius) == pytest.approx(
        spec.v_rest + spec.h * 2 * disc.radius / disc.speed, rel=0.002
    )


def test_lengths_scale() -> None:
    one = travelling_disc(RateMapSpec())
    coupling = CouplingSpec(r_i=6, r_o=12, a_i=5, a_o=2, decay=20, length_unit="sheet")
    double = travelling_disc(RateMapSpec(coupling=coupling), density=0.25)
    assert one is not None
    assert double is not None
    assert double.radius == pytest.approx(2 * one.radius, rel=1e-3)
    assert double.speed == pytest.approx(2 * one.speed, rel=1e-2)


def test_where_nothing_bounds_a_bump_there_is_no_answer() -> None:
    assert travelling_disc(RateMapSpec(coupling=SPACINGS.replace(a_o=0.0))) is None


@pytest.mark.parametrize("changes", [{}, {"r_i": 4.0}, {"r_o": 9.0}, {"a_i": 7.0}])
def test_a_simulated_bump_has_the_predicted_size_and_speed(changes: dict[str, float]) -> None:
    spec = RateMapSpec(coupling=SPACINGS.replace(**changes))
    sheet = lattice(40.0, 40)
    recording = simulate(sheet, spec, steps=4000, rng=0)
    bodies = WaveTally(sheet, spec).update(recording)
    inner = (np.abs(bodies.centroid) < 20 - spec.coupling.r_o).all(axis=1)
    disc = travelling_disc(spec)
    assert disc is not None
    assert inner.sum() > 300
    assert np.sqrt(np.median(bodies.cells[inner]) / np.pi) == pytest.approx(disc.radius, rel=0.12)
    assert np.nanmedian(bodies.speed[inner]) == pytest.approx(disc.speed, rel=0.25)
