"""The page on paths: its lines run, and its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "fip.md"


def example() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_example_has_at_most_ten_lines():
    assert len([line for line in example().splitlines() if line.strip()]) <= 10


@pytest.mark.slow
def test_the_example_runs_and_keeps_what_the_network_knew():
    done = subprocess.run(
        [sys.executable, "-c", example()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=PAGE.parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # beside other tests two threads wait for each other
    )
    assert done.returncode == 0, done.stderr
    first, right = done.stdout.splitlines()
    assert 0.89 < float(first.split()[-2]) < 0.91
    assert float(right) > 0.85


def test_links_inside_the_repository_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE.read_text("utf-8"))
    assert links
    missing = [link for link in links if not (PAGE.parent / link).exists()]
    assert not missing
