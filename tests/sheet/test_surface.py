from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devnet._core.errors import ConfigError
from devnet.sheet import PLANE, Scaffold, Sheet
from devnet.sheet.surface import Sphere
from devnet.spec import ScaffoldSpec, load_model


def chart(theta: float, phi: float, radius: float) -> list[float]:
    return [
        2 * radius * math.sin(theta / 2) * math.cos(phi),
        2 * radius * math.sin(theta / 2) * math.sin(phi),
    ]


def test_known_distances_on_a_sphere() -> None:
    sphere = Sphere(10.0)
    pole, east, north = chart(0, 0, 10), chart(math.pi / 2, 0, 10), chart(math.pi / 2, math.pi / 2, 10)
    points = np.array([pole, east, north, chart(math.pi / 4, 0, 10)])
    quarter = 10 * math.pi / 2
    expected = np.array([[0, 1, 1, 0.5], [1, 0, 1, 0.5], [1, 1, 0, 1], [0.5, 0.5, 1, 0]]) * quarter
    # The last two: cos(d) = cos(45) cos(90) = 0.
    assert sphere.distances(points, points) == pytest.approx(expected, abs=1e-6)


@given(st.floats(0, 1.5), st.floats(0, 6.3), st.floats(0, 1.5), st.floats(0, 6.3), st.floats(0.1, 100))
def test_distances_follow_the_law_of_cosines(
    t1: float, p1: float, t2: float, p2: float, radius: float
) -> None:
    cosine = math.cos(t1) * math.cos(t2) + math.sin(t1) * math.sin(t2) * math.cos(p1 - p2)
    points = np.array([chart(t1, p1, radius), chart(t2, p2, radius)])
    found = Sphere(radius).distances(points, points)[0, 1]
    assert math.cos(found / radius) == pytest.approx(cosine, abs=1e-9)


def test_lift_and_project_are_inverse_and_chords_are_arcs() -> None:
    sphere = Sphere(4.0)
    points = np.random.default_rng(0).uniform(-3.5, 3.5, (50, 2))
    lifted = sphere.lift(points)
    assert np.linalg.norm(lifted, axis=1) == pytest.approx(np.full(50, 4.0))
    assert sphere.project(lifted) == pytest.approx(points)
    assert sphere.project(0.3 * lifted) == pytest.approx(points)
    assert sphere.project(np.zeros((1, 3))) == pytest.approx(np.zeros((1, 2)))
    for distance in (0.0, 0.5, 3.0):
        assert sphere.arc(np.array(sphere.chord(distance))) == pytest.approx(distance)
    assert PLANE.chord(3.0) == 3.0
    assert PLANE.distances(np.array([[0.0, 0]]), np.array([[3.0, 4]]))[0, 0] == 5.0


def test_a_caps_area_is_that_of_the_sphere() -> None:
    radius, theta = 8.0, 1.1
    outline = tuple(tuple(chart(theta, 2 * math.pi * k / 720, radius)) for k in range(720))
    scaffold = Scaffold.from_spec(ScaffoldSpec(outline=outline, seed_cell=(0, 0), sphere_radius=radius))
    assert scaffold.area == pytest.approx(2 * math.pi * radius**2 * (1 - math.cos(theta)), rel=1e-4)
    assert scaffold.surface == Sphere(radius)


def test_damage_takes_the_cells_of_regions_along_the_surface() -> None:
    model = load_model("raghavan2019_grown_pooling/small")
    grid = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)
    sheet = Sheet.declared(model, grid)
    assert not sheet.dead.any()
    hurt = sheet.damaged(np.array([[0.0, 0.0], [9.0, 9.0]]), 1.0)
    assert hurt.dead.sum() == 6  # a corner and its two neighbors, twice
    assert hurt.damaged(np.array([[0.0, 9.0]]), 0.0).dead.sum() == 7
    assert not sheet.dead.any()
    with pytest.raises(ConfigError, match="radius"):
        sheet.damaged(np.array([[0.0, 0.0]]), -1.0)
    with pytest.raises(ConfigError, match="radius"):
        sheet.damaged(np.array([[0.0, 0.0]]), 100.0)
    curved = load_model("raghavan2019_grown_pooling/small")
    curved = curved.replace(
        scaffold=curved.scaffold.replace(
            outline=((-9, -9), (9, -9), (9, 9), (-9, 9)), holes=(), seed_cell=(0, 0), sphere_radius=10.0
        )
    )
    rim, pole = chart(1.2, 0.0, 10.0), chart(0.0, 0.0, 10.0)
    other = chart(1.2 - 0.1, 0.0, 10.0)  # 1.0 along the sphere, less in the chart
    on = Sheet.declared(curved, np.array([rim, pole, other]))
    assert on.damaged(np.array([rim]), 0.99).dead.tolist() == [True, False, False]
    assert on.damaged(np.array([rim]), 1.01).dead.tolist() == [True, False, True]
