from __future__ import annotations

import pytest

from devnet._core.errors import HealthError
from devnet.study.claims import Answer, Claim, average, claims_of, document, middle, rows, table, verdict


def answers(**changes: Answer | None) -> dict[str, Answer]:
    found = {name: Answer([claim.bar], 1.0) for name, claim in claims_of("sheet").items()} | changes
    return {name: answer for name, answer in found.items() if answer is not None}


def test_a_value_at_its_bar_reaches_it_and_one_beyond_does_not() -> None:
    found = {
        row["claim"]: row
        for row in rows(claims_of("sheet"), answers(two_threads=Answer([1.6, 1.65, 1.9], 3.0)), middle)
    }
    assert found["map_6400"]["reached"]
    row = found["two_threads"]
    assert (row["value"], row["seeds"], row["reached"], row["seconds"]) == (1.65, 3, False, 3.0)
    assert row["spread"] == pytest.approx((1.775 - 1.625) / 2)
    assert {"claim", "source", "bar", "value", "spread", "seeds", "reached", "seconds"} <= set(row)


def test_upper_bars_point_the_other_way() -> None:
    found = {
        row["claim"]: row
        for row in rows(claims_of("sheet"), answers(g19_learning=Answer([0.06], 1.0)), middle)
    }
    assert not found["g19_learning"]["reached"]


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_a_value_that_is_no_number_is_no_answer(values: list[float]) -> None:
    with pytest.raises(HealthError, match="finite number"):
        rows(claims_of("sheet"), answers(scaling=Answer(values, 1.0)), middle)


def test_replicates_are_told_by_mean_and_standard_deviation() -> None:
    claims = {"one": Claim("text", "source", "%", ">=", 2.0, paper="3")}
    (row,) = rows(claims, {"one": Answer([1.0, 2.0, 6.0], 1.0)}, average)
    assert (row["value"], row["reached"], row["paper"]) == (3.0, True, "3")
    assert row["spread"] == pytest.approx(7**0.5)


@pytest.mark.parametrize("changes", [{"scaling": None}, {"invented": Answer([1.0], 1.0)}])
def test_a_missing_claim_and_an_invented_one_fail(changes: dict[str, Answer | None]) -> None:
    with pytest.raises(HealthError, match="differ in"):
        rows(claims_of("sheet"), answers(**changes), middle)


def test_what_a_machine_cannot_answer_is_not_asked_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = {"gpu_1e5", "gpu_1e6"}
    monkeypatch.setattr("devnet.study.claims.find_spec", lambda name: None)
    assert gpu.isdisjoint(claims_of("sheet"))
    told = document("sheet", answers())
    assert set(told["not_asked"]) == gpu
    assert "CUDA" in told["not_asked"]["gpu_1e5"]
    monkeypatch.undo()
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert gpu <= set(claims_of("sheet"))
    assert document("sheet", answers())["not_asked"] == {}


def test_tables_and_documents_tell_machine_and_misses() -> None:
    found = document("sheet", answers(scaling=Answer([2.0], 1.0)))
    assert found["machine"]
    assert found["versions"]["numpy"]
    text = table(found["rows"])
    assert text.count("**no**") == 1
    assert len(text.splitlines()) == 2 + len(found["rows"])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([2.9, 3.0, 3.1], "yes"),  # 95 %: 3 ± 4.303 * 0.1 / sqrt(3) = 3 ± 0.25
        ([2.2, 2.0, 2.1], "yes, within noise"),
        ([1.8, 2.0, 1.9], "**no**, within noise"),
        ([1.0, 1.1, 1.2], "**no**"),
        ([2.0], "yes"),  # of one value nothing is known
        ([2.0, 2.0], "yes"),
    ],
)
def test_a_bar_in_the_interval_of_the_mean_is_within_noise(values: list[float], told: str) -> None:
    (row,) = rows({"one": Claim("text", "source", "%", ">=", 2.0)}, {"one": Answer(values, 1.0)}, average)
    assert verdict(row) == told
    (free,) = rows({"one": Claim("text", "source", "%")}, {"one": Answer(values, 1.0)}, average)
    assert verdict(free) == "reported"
