"""Claims with bars, and the rows in which a benchmark or a reproduction answers them.

Ids and bars stand in one data file, ``claims.toml``. Whether a bar is reached is computed from it, and a claim that a
run does not answer is an error: a table cannot lose a row that looks bad.
"""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from devnet._core.errors import HealthError
from devnet.study.machine import machine, versions

_SENSES: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Claim:
    """One sentence with a number to reach.

    Attributes:
        text: The sentence.
        source: Where the bar comes from.
        unit: Unit of bar and value.
        sense: ``">="`` or ``"<="``.
        bar: The number.
    """

    text: str
    source: str
    unit: str
    sense: str
    bar: float

    def reached(self, value: float) -> bool:
        """Say whether a value reaches the bar."""
        return _SENSES[self.sense](value, self.bar)


@dataclass(frozen=True)
class Answer:
    """What a run measured for one claim: repeats of the value, and how long that took."""

    values: Sequence[float]
    seconds: float


def claims_of(group: str) -> dict[str, Claim]:
    """Return the claims of one benchmark or reproduction, by id.

    Args:
        group: Name of a table of ``claims.toml``, for example ``"sheet"``.

    Returns:
        The claims, in the file's order.
    """
    text = (files("devnet.study") / "claims.toml").read_text(encoding="utf-8")
    return {name: Claim(**fields) for name, fields in tomllib.loads(text)[group].items()}


def rows(group: str, answers: dict[str, Answer]) -> list[dict[str, Any]]:
    """Hold answers against the bars.

    Args:
        group: Which claims.
        answers: By claim id.

    Returns:
        One row a claim: {claim, source, bar, value, spread, seeds, reached, seconds} with text, unit and sense. The
        value is the median of the repeats, the spread half the distance of their quartiles.

    Raises:
        HealthError: A claim has no answer, or an answer belongs to no claim.
    """
    claims = claims_of(group)
    if set(claims) != set(answers):
        raise HealthError(f"bench {group}: claims and answers differ in {sorted(set(claims) ^ set(answers))}")
    found: list[dict[str, Any]] = []
    for name, claim in claims.items():
        values = np.asarray(answers[name].values, dtype=float)
        low, value, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
        row = {
            "claim": name,
            **asdict(claim),
            "value": value,
            "spread": (high - low) / 2,
            "seeds": len(values),
        }
        found.append(row | {"reached": claim.reached(value), "seconds": answers[name].seconds})
    return found


def document(group: str, answers: dict[str, Answer]) -> dict[str, Any]:
    """Return what ``--json`` writes: machine, versions and rows."""
    return {"bench": group, "machine": machine(), "versions": versions(), "rows": rows(group, answers)}


def table(found: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table that says where a bar was missed."""
    lines = ["| claim | bar | measured | reached |", "|---|---|---|---|"]
    for row in found:
        value = f"{row['value']:.3g} ± {row['spread']:.1g} {row['unit']}".strip()
        bar = f"{row['sense']} {row['bar']:g} {row['unit']}".strip()
        lines.append(f"| {row['text']} | {bar} | {value} | {'yes' if row['reached'] else '**no**'} |")
    return "\n".join(lines)
