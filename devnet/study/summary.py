"""All numbers of a run under stable names, and whether it reached its targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from devnet.io import RunFolder, library_version
from devnet.io.records import read_json
from devnet.measure import paired_difference
from devnet.study.claims import claims_of
from devnet.study.machine import machine, versions
from devnet.study.plan import Plan

SCHEMA = 1


def summarize(plan: Plan, run: RunFolder, stages: Sequence[str]) -> dict[str, Any]:
    """Gather what the stages found.

    Args:
        plan: The run.
        run: Its folder.
        stages: Names of the stages that are finished.

    Returns:
        What ``summary.json`` holds.
    """
    records = {name: run.record(name) for name in stages}
    numbers = {name: record["numbers"] for name, record in records.items()}
    seconds = {name: record["times"]["seconds"] for name, record in records.items()}
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "model": plan.model.name,
        "title": plan.model.title,
        "seed": plan.seed,
        "key": str(plan.key.value),
        "devnet": library_version(),
        "versions": versions(),
        "machine": machine(),
        "workers": plan.workers,
        "seconds": seconds | {"total": round(sum(seconds.values()), 3)},
        "growth": {name: stat(values) for name, values in numbers["grow"].items()},
        "waves": numbers["simulate"],
        "learning": plan.main,
        "pools": _pools({label: rows for label, rows in numbers["organize"].items() if label != "stack"}),
        "export": numbers["export"],
        "readout": _readout(numbers["readout"]),
        "fip": _fip(numbers["fip"], records["fip"]["times"]["cpu_seconds"]),
    }
    if "stack" in numbers["organize"]:
        summary["stack"] = _pools(numbers["organize"]["stack"])
    summary["targets"] = targets(summary)
    return summary


def read_summary(path: str | Path) -> dict[str, Any]:
    """Read the summary of a run folder.

    Args:
        path: The run folder.

    Returns:
        The summary.

    Raises:
        ConfigError: The folder holds no summary.
        CorruptFileError: It is damaged.
    """
    return read_json(Path(path) / "summary.json")


def stat(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation (n - 1; 0 for a single value) and the values themselves."""
    array = np.asarray(values, float)
    sd = float(array.std(ddof=1)) if len(array) > 1 else 0.0
    return {"mean": float(array.mean()), "sd": sd, "values": [float(v) for v in array]}


def paired(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Return the mean of paired differences with its 95 % interval (Student's t).

    Args:
        first: Values of one method, one a replicate.
        second: Values of the other, in the same order.

    Returns:
        ``mean``, ``low``, ``high``, ``values``. A single pair has no interval: low and high are None.
    """
    if len(first) > 1:
        found = paired_difference(first, second)
        return {"mean": found.mean, "low": found.low, "high": found.high, "values": list(found.values)}
    difference = float(first[0]) - float(second[0])
    return {"mean": difference, "low": None, "high": None, "values": [difference]}


def targets(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Hold the summary against the claims of the demo; one whose number the run does not have is not reached.

    Args:
        summary: The numbers.

    Returns:
        By name: the claim's text, source, unit, sense and bar, the ``value``, and whether it was ``reached``.
    """
    pools, fip = summary["pools"], summary["fip"]
    values: dict[str, float | None] = {
        "organized": _mean(pools, "grown", "organized"),
        "coverage": _mean(pools, "grown", "coverage"),
        "step0_organized": _mean(pools, "step0", "organized"),
        "noise_organized": _mean(pools, "noise", "organized"),
        "sparsify_95": _mean(fip, "sparsify", "0.95", "difference"),
        "recover": _mean(fip, "recover", "difference"),
        "second": _mean(fip, "second", "difference"),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, claim in claims_of("demo").items():
        value = values[name]
        found[name] = claim.told() | {
            "value": value,
            "reached": value is not None and claim.reached(value),
        }
    return found


def _mean(tree: Any, *path: str) -> float | None:
    for name in (*path, "mean"):
        if name not in tree:
            return None
        tree = tree[name]
    return float(tree)


def _pools(numbers: dict[str, Any]) -> dict[str, Any]:
    names = {"wiring": "grown"}
    return {
        names.get(label, label): {name: stat(values) for name, values in rows.items()}
        for label, rows in numbers.items()
    }


def _readout(numbers: dict[str, Any]) -> dict[str, Any]:
    rows = [
        row | {name: stat(row[name]) for name in ("accuracy", "validation", "field_size")}
        for row in numbers["rows"]
    ]
    return numbers | {"rows": rows}


def _fip(numbers: dict[str, Any], cpu_seconds: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "units": numbers["units"],
        "images": numbers["images"],
        "steps": numbers["steps"],
        "dense": stat(numbers["dense"]),
        "sparsify": {},
    }
    for task, methods in numbers["tasks"].items():
        best = max(
            (name for name in methods if name != "fip"), key=lambda name: np.mean(methods[name]["accuracy"])
        )
        entry = {
            "methods": {
                name: row | {"accuracy": stat(row["accuracy"]), "cpu_seconds": stat(cpu_seconds[task][name])}
                for name, row in methods.items()
            },
            "best_baseline": best,
            "difference": paired(methods["fip"]["accuracy"], methods[best]["accuracy"]),
        }
        if task == "recover":
            found["recover"] = entry | {"damaged": stat(numbers["damaged"])}
        elif task == "second":
            found["second"] = entry | {"before": stat(numbers["both"]), "stored": numbers["stored"]}
        else:
            share = float(task.removeprefix("sparsify")) / 100.0
            found["sparsify"][f"{share:g}"] = entry
    return found
