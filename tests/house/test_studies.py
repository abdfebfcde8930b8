"""What the studies' READMEs tell is what was measured, against the bars as they stand."""

from __future__ import annotations

import pytest

from devnet.io import read_json
from devnet.study.figure import Effort, study_claims
from devnet.study.reproduce import CHECKOUT, table

RESULTS = sorted(CHECKOUT.glob("simulations/*/results.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_the_table_of_a_readme_is_that_of_its_results(path):
    assert table(read_json(path)) in (path.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_results_answer_the_claims_as_they_stand(path):
    for script, figure in read_json(path)["figures"].items():
        claims = study_claims(path.parent, Effort(figure["effort"]))[script]
        assert [row["claim"] for row in figure["rows"]] == list(claims)
        for row in figure["rows"]:
            claim = claims[row["claim"]]
            assert (row["bar"], row["sense"], row["unit"]) == (claim.bar, claim.sense, claim.unit), row[
                "claim"
            ]
            assert row["reached"] == claim.reached(row["value"])
