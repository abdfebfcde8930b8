"""The README's ten lines run as they stand, and its table is that of a run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def lines_of_python(root: Path) -> str:
    found = re.search(r"```python\n(.*?)```", (root / "README.md").read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_there_are_at_most_ten_lines(root: Path) -> None:
    assert len([line for line in lines_of_python(root).splitlines() if line.strip()]) <= 10


@pytest.mark.slow
def test_the_lines_run(root: Path) -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", lines_of_python(root)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[0]) > 0.85


def test_exactly_two_set_up_commands(root: Path) -> None:
    text = (root / "README.md").read_text("utf-8")
    assert len(re.findall(r"^python3 dev\.py \w+ +#", text, re.MULTILINE)) == 2


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/speed.md"])
def test_links_inside_the_repository_lead_somewhere(root: Path, page: str) -> None:
    text = (root / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (root / page).parent.joinpath(target).exists(), target


def test_the_table_of_the_demo_is_filled(root: Path) -> None:
    table = (
        (root / "README.md")
        .read_text("utf-8")
        .split("<!-- demo-table -->")[1]
        .split("<!-- /demo-table -->")[0]
    )
    assert table.count("|") > 20
