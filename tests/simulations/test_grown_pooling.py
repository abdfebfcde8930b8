"""What the figures of grown pooling share does what it says."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import HealthError

STUDY = "raghavan2019_grown_pooling"


def test_seeds_that_leave_the_finite_numbers_are_left_out_and_counted(script) -> None:
    pools = script(STUDY, "_pools")

    def one(seed: int) -> int:
        if seed in (0, 2):
            raise HealthError("sick")
        return seed

    assert pools.finite(3, one) == ([1, 3, 4], 2)
    assert pools.kept(100_000, 4) == (25_000, 50_000, 75_000, 80_000, 100_000)


def test_the_lattice_has_a_cell_at_the_center_of_each_pixel(script) -> None:
    shared = script(STUDY, "_readout")
    image = np.arange(shared.SIDE**2, dtype=float)
    weights = np.eye(shared.SIDE**2)
    assert image @ shared.pixel_map(shared.lattice(), weights) == pytest.approx(image)


def test_units_learn_edges_from_moving_waves_and_two_places_from_shuffled_ones(script) -> None:
    shared = script(STUDY, "_readout")
    sheet, waves = shared.lattice(), shared.LATTICE[100]
    apart = []
    for wired in (
        shared.motion(sheet, waves, 16, 8000, 0, "first"),
        shared.without_motion(sheet, waves, 16, 8000, 0),
    ):
        ahead, behind = (
            part.T @ sheet.positions / part.sum(axis=0)[:, None]
            for part in (np.maximum(wired.weights, 0), np.maximum(-wired.weights, 0))
        )
        apart.append(np.median(np.hypot(*(ahead - behind).T)))
    # A wave is near where it was, but not at the same place; two frames at random are anywhere.
    assert 1 < apart[0] < 5
    assert apart[1] > 1.3 * apart[0]
