"""`devnet reproduce STUDY`: every script of one folder of ``simulations/``, and one table of what they reached."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devnet._core.errors import ConfigError, DevnetError
from devnet.io import read_json, write_json, write_text
from devnet.study.claims import bar, measured, verdict
from devnet.study.figure import Effort, study_claims
from devnet.study.workers import in_threads

_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- /table -->)", re.DOTALL)
CHECKOUT = Path(__file__).resolve().parents[2]
"""Where the project lies, when it is used from a checkout."""


def studies() -> dict[str, Path]:
    """Return the folders of the studies by name.

    Returns:
        Name to folder, sorted.

    Raises:
        ConfigError: devnet is installed without them.
    """
    found = {path.parent.name: path.parent for path in sorted(CHECKOUT.glob("simulations/*/targets.toml"))}
    if not found:
        raise ConfigError("study", "devnet without simulations/", "a checkout, installed by pip install -e")
    return found


def reproduce(
    study: str, effort: Effort, only: Sequence[str] = (), out: Path | None = None, workers: int = 1
) -> dict[str, Any]:
    """Run the scripts of a study, each in a process of its own with one thread.

    Args:
        study: Name of a folder of ``simulations/``; never a path.
        effort: How much is run.
        only: Names of scripts; empty for all.
        out: Folder for the figures; None for ``runs/simulations/...``.
        workers: How many scripts run at a time.

    Returns:
        ``study``, and ``figures``: by script {effort, seconds, machine, versions, commit, rows}.

    Raises:
        ConfigError: No study or script of that name.
        DevnetError: A script failed; the text holds its last lines.
    """
    known = studies()
    if study not in known:
        raise ConfigError("study", study, f"one of {', '.join(known)}")
    scripts = list(study_claims(known[study]))
    for name in only:
        if name not in scripts:
            raise ConfigError("--only", name, f"one of {', '.join(scripts)}")
    chosen = [name for name in scripts if name in only or not only]
    commit = _commit()
    jobs = [lambda name=name: _run(known[study] / f"{name}.py", effort, out) for name in chosen]
    found = in_threads(study, jobs, workers)
    return {
        "study": study,
        "figures": {name: told | {"commit": commit} for name, told in zip(chosen, found, strict=True)},
    }


def _run(script: Path, effort: Effort, out: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        words = [sys.executable, str(script), f"--{effort}", "--json", str(rows)]
        done = subprocess.run(  # noqa: S603  # a script of this checkout, no shell
            words + (["--out", str(out)] if out is not None else []),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
        )
        if done.returncode:
            last = "\n".join(done.stderr.splitlines()[-6:])
            raise DevnetError(
                f"{script.parent.name}/{script.name}: failed with code {done.returncode}\n{last}"
            )
        return read_json(rows)


def _commit() -> str:
    """Return the commit of the checkout, with a mark where files were changed since; empty without git."""
    words = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def missed(found: dict[str, Any]) -> list[str]:
    """Return what misses its bar, as ``script.claim``; a smoke holds no bar."""
    return [
        f"{name}.{row['claim']}"
        for name, figure in found["figures"].items()
        if Effort(figure["effort"]).holds_bars
        for row in figure["rows"]
        if row["reached"] is False
    ]


def table(found: dict[str, Any]) -> str:
    """Return what was found as a Markdown table: figure, claim, paper, ours, tolerance, reached, minutes.

    Args:
        found: As ``reproduce`` returns it.

    Returns:
        The table, one row a claim; the command of a figure and its minutes stand in its first row.
    """
    lines = [
        "| figure | what | paper | ours (mean ± sd) | seeds | tolerance | reached | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figure in found["figures"].items():
        for number, row in enumerate(figure["rows"]):
            mark = verdict(row) if Effort(figure["effort"]).holds_bars else "-"
            first = f"`{name}.py --{figure['effort']}`" if number == 0 else ""
            minutes = f"{figure['seconds'] / 60:.1f}" if number == 0 else ""
            cells = (first, row["text"], f"{row.get('paper', '')}", measured(row), str(row["seeds"]))
            lines.append(f"| {' | '.join((*cells, bar(row), mark, minutes))} |")
    return "\n".join(lines) + "\n"


def update(found: dict[str, Any]) -> Path:
    """Keep what was found in ``results.json`` of the study and in the table of its README.

    Args:
        found: As ``reproduce`` returns it; scripts that it does not hold keep their former rows.

    Returns:
        The README.

    Raises:
        ConfigError: The README has no place for the table.
    """
    folder = studies()[found["study"]]
    readme, results = folder / "README.md", folder / "results.json"
    text = readme.read_text(encoding="utf-8")
    if _TABLE.search(text) is None:
        raise ConfigError(str(readme.name), "", "a line <!-- table --> and a line <!-- /table -->")
    before = read_json(results)["figures"] if results.is_file() else {}
    figures = before | found["figures"]
    kept = {"study": found["study"], "figures": {n: figures[n] for n in study_claims(folder) if n in figures}}
    write_json(results, kept)
    write_text(readme, _TABLE.sub(lambda _: table(kept), text))
    return readme
