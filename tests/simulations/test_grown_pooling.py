"""The figures of growth and pools run, draw, and answer exactly the claims beside them."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from devnet._core.errors import HealthError
from devnet.study.figure import Effort, study_claims

STUDY = "raghavan2019_grown_pooling"
FIGURES = (
    "fig1_growth",
    "fig3_pools",
    "fig3_controls",
    "fig4_geometry",
    "fig5_damage",
    "fig6_reconfiguration",
)


@pytest.fixture
def folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the study's folder, from which its scripts can be imported; forget them afterwards."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "simulations" / STUDY))
    yield root / "simulations" / STUDY
    for name in set(sys.modules) - known:
        if name.startswith(("fig", "_pools")):
            del sys.modules[name]


@pytest.mark.parametrize("name", FIGURES)
def test_a_smoke_answers_every_claim_and_draws(folder: Path, name: str) -> None:
    script = importlib.import_module(name)
    found = script.run(Effort.SMOKE)
    assert set(found.answers) == set(study_claims(folder)[name])
    assert all(np.isfinite(answer.values).all() and len(answer.values) for answer in found.answers.values())
    figures = script.plot(found.data)
    for figure in figures.values() if isinstance(figures, dict) else [figures]:
        assert isinstance(figure, Figure)
        figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_seeds_that_leave_the_finite_numbers_are_left_out_and_counted(folder: Path) -> None:
    pools = importlib.import_module("_pools")

    def one(seed: int) -> int:
        if seed in (0, 2):
            raise HealthError("sick")
        return seed

    assert pools.finite(3, one) == ([1, 3, 4], 2)
    assert pools.kept(100_000, 4) == (25_000, 50_000, 75_000, 80_000, 100_000)
