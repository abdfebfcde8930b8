"""What every script of ``simulations/`` shares: efforts, claims beside the script, and its command line.

A script holds one figure or claim of a paper::

    def run(effort: Effort) -> Found: ...  # answers by claim id, and data for the plot
    def plot(data) -> Figure: ...  # or a dict of figures by name


    if __name__ == "__main__":
        main(__file__, run, plot)

Its claims are the table ``[<name of the script>.<claim id>]`` of ``targets.toml`` in the same folder. It is run by itself
(``python simulations/<study>/<script>.py --quick``) or with its siblings (``devnet reproduce <study> --quick``).
"""

from __future__ import annotations

import argparse
import io
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from devnet._core.errors import ConfigError, HealthError
from devnet.io import make_folder, write_bytes, write_json
from devnet.study.claims import Answer, Claim, average, bar, measured, rows, verdict
from devnet.study.machine import machine, versions

T = TypeVar("T")


class Effort(StrEnum):
    """How much is run: everything once, shortened, or the published size."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"

    def pick(self, smoke: T, quick: T, full: T) -> T:
        """Return the value for this effort, for example a number of steps."""
        return {Effort.SMOKE: smoke, Effort.QUICK: quick, Effort.FULL: full}[self]

    @property
    def holds_bars(self) -> bool:
        """A smoke shows that a script runs; its numbers mean nothing."""
        return self is not Effort.SMOKE


@dataclass(frozen=True)
class Found:
    """What a script found.

    Attributes:
        answers: By claim id, one value a seed.
        data: Whatever its ``plot`` draws.
    """

    answers: dict[str, Answer]
    data: Any = None


def study_claims(folder: Path, effort: Effort = Effort.FULL) -> dict[str, dict[str, Claim]]:
    """Return the claims of a study, by script and id, with the bars of an effort.

    Args:
        folder: The study's folder, which holds ``targets.toml``.
        effort: The quick form may have bars of its own.

    Returns:
        Claims by script and claim id, in the file's order.

    Raises:
        ConfigError: A table names no script of the folder, or a script has no claim.
    """
    tables = tomllib.loads((folder / "targets.toml").read_text(encoding="utf-8"))
    scripts = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    if set(tables) != scripts:
        raise ConfigError(
            f"{folder.name}/targets.toml",
            sorted(set(tables) ^ scripts),
            "one table of claims for each script",
        )
    found: dict[str, dict[str, Claim]] = {}
    for script, claims in tables.items():
        found[script] = {name: _held(Claim(**fields), effort) for name, fields in claims.items()}
    return found


def _held(claim: Claim, effort: Effort) -> Claim:
    if effort is Effort.FULL or claim.quick is None:
        return claim
    if isinstance(claim.quick, str):
        return replace(claim, bar=None, sense="")
    return replace(claim, bar=claim.quick)


def main(
    file: str,
    run: Callable[[Effort], Found],
    plot: Callable[[Any], Any],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a script of a study: its numbers, its figures, its rows.

    Args:
        file: ``__file__`` of the script.
        run: Makes the numbers.
        plot: Draws them: a matplotlib Figure, or several by name.
        arguments: Command line; None takes the process's.

    Raises:
        HealthError: A claim has no answer, or one that is no number.
    """
    script = Path(file).resolve()
    parser = argparse.ArgumentParser(prog=script.name, description=(run.__doc__ or "").strip())
    efforts = parser.add_mutually_exclusive_group()
    for effort in Effort:
        efforts.add_argument(f"--{effort}", dest="effort", action="store_const", const=effort)
    parser.set_defaults(effort=Effort.QUICK)
    parser.add_argument("--json", type=Path, help="file for machine, versions and rows")
    parser.add_argument("--out", type=Path, help="folder for the figures (default: runs/simulations/...)")
    given = parser.parse_args(arguments)
    claims = study_claims(script.parent, given.effort)[script.stem]
    out = given.out or script.parents[2] / "runs" / "simulations" / script.parent.name / str(given.effort)

    began = perf_counter()
    found = run(given.effort)
    seconds = perf_counter() - began
    try:
        held = rows(claims, found.answers, average)
    except HealthError as error:
        raise HealthError(f"{script.parent.name}/{script.name}: {error}") from None
    make_folder(out)
    figures = plot(found.data)
    for name, figure in (figures if isinstance(figures, dict) else {"": figures}).items():
        stem = "_".join(filter(None, (script.stem, name)))
        for kind in ("png", "pdf"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=200, bbox_inches="tight")
            write_bytes(out / f"{stem}.{kind}", buffer.getvalue())
    told = {"effort": str(given.effort), "seconds": seconds, "machine": machine(), "versions": versions()}
    if given.json is not None:
        write_json(given.json, told | {"rows": held})
    for row in held:
        mark = verdict(row) if given.effort.holds_bars else "-"
        print(f"{row['claim']}: {measured(row)} ({bar(row)}; {mark})")  # noqa: T201  # a script's own output
    print(f"{seconds:.0f} s; figures in {out}")  # noqa: T201
