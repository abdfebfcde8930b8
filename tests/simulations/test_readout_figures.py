"""The read-out figures run, draw, and answer exactly the claims beside them; their controls are what they say."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from devnet.study.figure import Effort, study_claims

STUDY = "raghavan2019_grown_pooling"


@pytest.fixture
def folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the study's folder, from which its scripts can be imported; forget them afterwards."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "simulations" / STUDY))
    yield root / "simulations" / STUDY
    for name in set(sys.modules) - known:
        if name.startswith(("fig", "_readout")):
            del sys.modules[name]


@pytest.mark.data
@pytest.mark.parametrize("name", ["fig7_readout", "fig8_motion"])
def test_a_smoke_answers_every_claim_and_draws(folder: Path, data_dir: Path, name: str) -> None:
    script = importlib.import_module(name)
    found = script.run(Effort.SMOKE)
    assert set(found.answers) == set(study_claims(folder)[name])
    assert all(np.isfinite(answer.values).all() and len(answer.values) for answer in found.answers.values())
    figures = script.plot(found.data)
    for figure in figures.values() if isinstance(figures, dict) else [figures]:
        assert isinstance(figure, Figure)
        figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_the_lattice_has_a_cell_at_the_center_of_each_pixel(folder: Path) -> None:
    shared = importlib.import_module("_readout")
    image = np.arange(shared.SIDE**2, dtype=float)
    weights = np.eye(shared.SIDE**2)
    assert image @ shared.pixel_map(shared.lattice(), weights) == pytest.approx(image)


def test_units_learn_edges_from_moving_waves_and_two_places_from_shuffled_ones(folder: Path) -> None:
    shared = importlib.import_module("_readout")
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
