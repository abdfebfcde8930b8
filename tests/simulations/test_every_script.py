"""Every script of every study runs, answers exactly the claims beside it, and draws."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from devnet.study.figure import Effort, study_claims

SIMULATIONS = Path(__file__).resolve().parents[2] / "simulations"
STUDIES = sorted(path.parent.name for path in SIMULATIONS.glob("*/targets.toml"))
ON_MNIST = ("fig7_readout", "fig8_motion")
"""What has no smaller images even in a smoke."""
SCRIPTS = [
    pytest.param(study, name, id=f"{study}/{name}", marks=[pytest.mark.data] * (name in ON_MNIST))
    for study in STUDIES
    for name in study_claims(SIMULATIONS / study)
]


@pytest.mark.parametrize(("study", "name"), SCRIPTS)
def test_a_smoke_answers_every_claim_and_draws(script, request, study: str, name: str) -> None:
    if name in ON_MNIST:
        request.getfixturevalue("data_dir")
    module = script(study, name)
    found = module.run(Effort.SMOKE)
    assert set(found.answers) == set(study_claims(SIMULATIONS / study)[name])
    assert all(np.isfinite(answer.values).all() and len(answer.values) for answer in found.answers.values())
    figures = module.plot(found.data)
    for figure in figures.values() if isinstance(figures, dict) else [figures]:
        assert isinstance(figure, Figure)
        figure.savefig(io.BytesIO(), format="png", dpi=40)
