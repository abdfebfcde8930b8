"""A study of two scripts in a checkout of its own: rows, figures, tables, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from devnet._core.errors import ConfigError, DevnetError
from devnet.cli.app import app
from devnet.study import reproduce
from devnet.study.figure import Effort

TARGETS = """
[fig1_sums.one]
text = "one and one"
source = "arithmetic"
unit = ""
sense = ">="
bar = 2
quick = 1.5
paper = "2"

[fig2_more.most]
text = "at most three"
source = "arithmetic"
unit = "s"
sense = "<="
bar = 3
"""
SCRIPT = """
from matplotlib.figure import Figure
from devnet.study.figure import Answer, Effort, Found, main

def run(effort):
    "Count."
    return Found({{"{claim}": Answer({values}, 0.5)}}, data=[1, 2])

def plot(data):
    figure = Figure()
    figure.subplots().plot(data)
    return figure

if __name__ == "__main__":
    main(__file__, run, plot)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    study = tmp_path / "simulations" / "someone2020_sums"
    study.mkdir(parents=True)
    (study / "targets.toml").write_text(TARGETS)
    (study / "fig1_sums.py").write_text(
        SCRIPT.format(claim="one", values="effort.pick([1.0], [1.5, 1.9], [2.0])")
    )
    (study / "fig2_more.py").write_text(SCRIPT.format(claim="most", values="[4.0]"))
    (study / "_common.py").write_text("")
    (study / "README.md").write_text("# Sums\n<!-- table -->\n<!-- /table -->\n")
    monkeypatch.setattr(reproduce, "CHECKOUT", tmp_path)
    return study


def devnet(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["reproduce", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_miss_is_shown_and_ends_with_code_one(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    code, text = devnet(folder.name, "--quick", "--json", str(out), "--out", str(tmp_path / "figures"))
    assert code == 1
    assert "missed: fig2_more.most" in text
    assert "| 1.7 ± 0.3 | 2 | >= 1.5 | yes, within noise |" in text
    found = json.loads(out.read_text())["figures"]
    assert [row["reached"] for name in found for row in found[name]["rows"]] == [True, False]
    assert found["fig1_sums"]["machine"]
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".pdf"}


def test_a_smoke_holds_no_bar(folder: Path, tmp_path: Path) -> None:
    code, text = devnet(folder.name, "--smoke", "--out", str(tmp_path))
    assert (code, text.count(" - ")) == (0, 2)


def test_the_full_form_has_the_full_bar_and_updates_the_table_one_script_at_a_time(
    folder: Path, tmp_path: Path
) -> None:
    assert devnet(folder.name, "--full", "--only", "fig1_sums", "--update", "--out", str(tmp_path))[0] == 0
    assert devnet(folder.name, "--quick", "--only", "fig2_more", "--update", "--out", str(tmp_path))[0] == 1
    lines = (folder / "README.md").read_text().splitlines()
    assert lines[4].startswith("| `fig1_sums.py --full` | one and one | 2 | 2 | 1 | >= 2 | yes |")
    assert "**no**" in lines[5]
    assert list(json.loads((folder / "results.json").read_text())["figures"]) == ["fig1_sums", "fig2_more"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["other"], "study"),
        (["../someone2020_sums"], "study"),
        (["someone2020_sums", "--only", "fig9"], "--only"),
        (["someone2020_sums", "--quick", "--full"], "--quick, --full"),
    ],
)
def test_what_is_not_there_is_refused_by_name(folder: Path, words: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        devnet(*words)


def test_a_script_without_claims_is_refused(folder: Path) -> None:
    (folder / "fig3_new.py").write_text("")
    with pytest.raises(ConfigError, match="fig3_new"):
        reproduce.reproduce(folder.name, Effort.SMOKE)


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('the reason')", SCRIPT.format(claim="two", values="[1.0]")]
)
def test_a_script_that_fails_or_loses_a_row_is_told_with_its_reason(
    folder: Path, tmp_path: Path, body: str
) -> None:
    (folder / "fig1_sums.py").write_text(body)
    with pytest.raises(DevnetError, match=r"the reason|differ in"):
        reproduce.reproduce(folder.name, Effort.SMOKE, ["fig1_sums"], out=tmp_path)


def test_a_readme_without_a_place_is_refused(folder: Path, tmp_path: Path) -> None:
    found = reproduce.reproduce(folder.name, Effort.SMOKE, ["fig1_sums"], out=tmp_path)
    (folder / "README.md").write_text("# Sums\n")
    with pytest.raises(ConfigError, match="<!-- table -->"):
        reproduce.update(found)


def test_devnet_without_its_checkout_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reproduce, "CHECKOUT", tmp_path)
    with pytest.raises(ConfigError, match="checkout"):
        reproduce.studies()
