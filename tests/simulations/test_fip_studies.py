"""Every script of the four studies on functionally invariant paths runs, answers its claims, and draws."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from devnet.study.claims import average, rows
from devnet.study.figure import Effort, study_claims

SIMULATIONS = Path(__file__).resolve().parents[2] / "simulations"
STUDIES = (
    "raghavan2020_resilience",
    "raghavan2020_sparsify",
    "raghavan2021_hybrid",
    "raghavan2024_fip",
)
SCRIPTS = [
    path for study in STUDIES for path in sorted((SIMULATIONS / study).glob("*.py")) if path.name[0] != "_"
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def beside(monkeypatch):
    """Let a script import what lies beside it, and forget that afterwards."""
    known = set(sys.modules)

    def of(script: Path) -> None:
        monkeypatch.syspath_prepend(str(script.parent))

    yield of
    for name in set(sys.modules) - known:
        if name.startswith("_") and not name.startswith("__"):
            del sys.modules[name]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_smoke_answers_every_claim_and_draws(script, beside):
    beside(script)
    parts = runpy.run_path(str(script))
    found = parts["run"](Effort.SMOKE)
    claims = study_claims(script.parent, Effort.SMOKE)[script.stem]
    held = rows(claims, found.answers, average)
    assert [row["claim"] for row in held] == list(claims)
    figure = parts["plot"](found.data)
    assert isinstance(figure, Figure)
    figure.canvas.draw()


@pytest.mark.parametrize("study", STUDIES)
def test_the_readme_has_its_table_and_says_what_the_paper_does_differently(study):
    text = (SIMULATIONS / study / "README.md").read_text(encoding="utf-8")
    assert "<!-- table -->\n" in text
    assert "## What the paper's notebooks do differently" in text
