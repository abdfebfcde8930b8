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
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

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
        sense: ``">="`` or ``"<="``; empty without a bar.
        bar: The number, or None where the value is but reported, as controls are.
        paper: What was published, as a number or as words; empty where the claim is our own.
        quick: Bar of the quick form of a study, whose runs are shorter; None where it is the same, ``"reported"`` where a
            shorter run can say nothing of it.
        needs: ``"cuda"`` where the claim is asked only of machines with a CUDA device.
    """

    text: str
    source: str
    unit: str
    sense: str = ""
    bar: float | None = None
    paper: str | float = ""
    quick: float | str | None = None
    needs: str = ""

    def reached(self, value: float) -> bool | None:
        """Say whether a value reaches the bar; None without one."""
        return None if self.bar is None else _SENSES[self.sense](value, self.bar)

    def told(self) -> dict[str, Any]:
        """Return what a table tells of the claim."""
        hidden = {"quick", "needs"} if self.paper != "" else {"quick", "needs", "paper"}
        return {name: value for name, value in asdict(self).items() if name not in hidden}


@dataclass(frozen=True)
class Answer:
    """What a run measured for one claim: repeats of the value, and how long that took."""

    values: Sequence[float]
    seconds: float


def claims_of(group: str) -> dict[str, Claim]:
    """Return the claims of one benchmark or reproduction that this machine can answer, by id.

    Args:
        group: Name of a table of ``claims.toml``, for example ``"sheet"``.

    Returns:
        The claims, in the file's order.
    """
    return {name: claim for name, claim in _all_claims(group).items() if not _lacks(claim.needs)}


def not_asked(group: str) -> dict[str, str]:
    """Return the claims that this machine cannot answer, by id, with what it lacks."""
    return {name: why for name, claim in _all_claims(group).items() if (why := _lacks(claim.needs))}


def _all_claims(group: str) -> dict[str, Claim]:
    text = (files("devnet.study") / "claims.toml").read_text(encoding="utf-8")
    return {name: Claim(**fields) for name, fields in tomllib.loads(text)[group].items()}


def _lacks(need: str) -> str:
    """Return what is missing, in words; nothing where the need is met."""
    if need != "cuda":
        return ""
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            return ""
    return "needs a CUDA device and a CUDA build of torch"


def rows(
    claims: dict[str, Claim],
    answers: dict[str, Answer],
    summarize: Callable[[np.ndarray], tuple[float, float]],
) -> list[dict[str, Any]]:
    """Hold answers against the bars.

    Args:
        claims: By id.
        answers: By claim id.
        summarize: Value and spread of the repeats: ``middle`` or ``average``.

    Returns:
        One row a claim: {claim, source, bar, value, spread, seeds, reached, seconds} with text, unit and sense.

    Raises:
        HealthError: A claim has no answer, an answer belongs to no claim, or a value is no finite number.
    """
    if set(claims) != set(answers):
        raise HealthError(f"claims and answers differ in {sorted(set(claims) ^ set(answers))}")
    found: list[dict[str, Any]] = []
    for name, claim in claims.items():
        values = np.asarray(answers[name].values, dtype=float)
        if not values.size or not np.isfinite(values).all():
            raise HealthError(f"{name}: {values.tolist()} is no answer; every repeat must be a finite number")
        value, spread = summarize(values)
        row = {"claim": name, **claim.told(), "value": value, "spread": spread, "seeds": len(values)}
        found.append(row | {"reached": claim.reached(value), "seconds": answers[name].seconds})
    return found


def middle(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and half the distance of the quartiles: for times, which have a long tail."""
    low, value, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return value, (high - low) / 2


def average(values: np.ndarray) -> tuple[float, float]:
    """Return the mean and the standard deviation (n - 1; 0 for a single value): for replicates."""
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0


def document(group: str, answers: dict[str, Answer]) -> dict[str, Any]:
    """Return what ``devnet bench --json`` writes: machine, versions and rows."""
    found = rows(claims_of(group), answers, middle)
    about = {"bench": group, "machine": machine(), "versions": versions()}
    return {**about, "rows": found, "not_asked": not_asked(group)}


def table(found: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table that says where a bar was missed."""
    lines = ["| claim | bar | measured | reached |", "|---|---|---|---|"]
    lines += [f"| {row['text']} | {bar(row)} | {measured(row)} | {reached(row)} |" for row in found]
    return "\n".join(lines)


def bar(row: dict[str, Any]) -> str:
    """Return the bar of a row in words."""
    return "-" if row["bar"] is None else f"{row['sense']} {row['bar']:g} {row['unit']}".strip()


def measured(row: dict[str, Any]) -> str:
    """Return the value of a row with its spread, if it is of several; what rounding alone left of one is none."""
    if row["seeds"] == 1:
        return f"{row['value']:.3g} {row['unit']}".strip()
    spread = row["spread"] if row["spread"] > 1e-12 * abs(row["value"]) else 0.0
    return f"{row['value']:.3g} ± {spread:.1g} {row['unit']}".strip()


def within_noise(row: dict[str, Any]) -> bool:
    """Tell whether the bar lies in the 95 % interval of the mean (Student's t), so that other seeds might turn the row.

    Args:
        row: One whose value is a mean and whose spread is a standard deviation, as ``average`` gives them.

    Returns:
        False for a row without a bar, of a single value, or of values that do not differ.
    """
    if row["bar"] is None or row["seeds"] == 1 or row["spread"] == 0.0:
        return False
    half = float(stdtrit(row["seeds"] - 1, 0.975)) * row["spread"] / row["seeds"] ** 0.5
    return abs(row["value"] - row["bar"]) <= half


def verdict(row: dict[str, Any]) -> str:
    """Say of means over seeds whether a row reached its bar, and whether that is more than noise."""
    return reached(row) + (", within noise" if within_noise(row) else "")


def reached(row: dict[str, Any]) -> str:
    """Say whether a row reached its bar, so that a miss is seen; rows without one are reported."""
    return "reported" if row["bar"] is None else "yes" if row["reached"] else "**no**"
