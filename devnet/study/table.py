"""The summary as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

_KINDS = {
    "grown": "grown",
    "hand_made": "hand-made",
    "random_discs": "random discs",
    "random_scattered": "random scattered",
}


def tables(summary: dict[str, Any]) -> RenderableType:
    """Return a run's numbers as tables.

    Args:
        summary: As in ``summary.json``.

    Returns:
        Something that rich prints.
    """
    parts = [_sheets(summary), _readout(summary["readout"]), _fip(summary["fip"])]
    if "stack" in summary:
        parts.insert(1, _stack(summary["stack"]))
    return Group(*parts, _targets(summary["targets"]))


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _sheets(summary: dict[str, Any]) -> Table:
    growth = summary["growth"]
    cells, units = _pm(growth["cells"], 0), _pm(growth["units"], 0)
    table = _table(
        f"\nPools ({cells} cells, {units} units a sheet)", "wired by", "organized", "coverage", "field/sheet"
    )
    for name, row in summary["pools"].items():
        table.add_row(name, *(_pm(row[key], 3) for key in ("organized", "coverage", "radius_ratio")))
    return table


def _stack(layers: dict[str, Any]) -> Table:
    columns = ("organized", "coverage", "ratio", "order", "folds")
    table = _table("\nStack, each layer over the one below", "layer", *columns)
    for name, row in layers.items():
        table.add_row(name, *(_pm(row[key], 3) for key in columns))
    return table


def _readout(readout: dict[str, Any]) -> Group:
    title = f"\nLinear read-out of {readout['data']}, test accuracy in per cent"
    counts = sorted({row["units"] for row in readout["rows"] if row["kind"] != "raw"})
    table = _table(title, "pools", *(str(count) for count in counts))
    cells = {(row["kind"], row["units"]): _pm(row["accuracy"], 1) for row in readout["rows"]}
    for kind, words in _KINDS.items():
        table.add_row(words, *(cells.get((kind, count), "-") for count in counts))
    raw = [row for row in readout["rows"] if row["kind"] == "raw"]
    beside = [f"raw pixels ({row['units']}): {_pm(row['accuracy'], 1)}" for row in raw]
    return Group(table, *beside)


def _fip(fip: dict[str, Any]) -> Table:
    title = f"\nFunctionally invariant paths, test accuracy in per cent (dense: {_pm(fip['dense'], 1)})"
    table = _table(title, "task", "method", "labels", "accuracy", "CPU s", "FIP - best baseline")
    jobs = {f"sparsify to {100 * float(share):g} %": entry for share, entry in fip["sparsify"].items()}
    jobs[f"recover from {fip['recover']['damaged']['mean']:.1f} %"] = fip["recover"]
    jobs[f"second task, both (before: {fip['second']['before']['mean']:.1f} %; labels: the first task's)"] = (
        fip["second"]
    )
    for job, entry in jobs.items():
        for number, (method, row) in enumerate(entry["methods"].items()):
            last = _interval(entry["difference"]) if number == 0 else ""
            labels = "yes" if row["labels"] else "no"
            name = "FIP" if method == "fip" else method
            seconds = f"{row['cpu_seconds']['mean']:.2f}"
            table.add_row(job if number == 0 else "", name, labels, _pm(row["accuracy"], 1), seconds, last)
    return table


def _targets(targets: dict[str, Any]) -> Table:
    table = _table("\nTargets", "what", "bar", "value", "reached")
    for row in targets.values():
        value = "-" if row["value"] is None else f"{row['value']:.3f}"
        table.add_row(
            f"{row['text']}, {row['unit']}",
            f"{row['sense']} {row['bar']:g}",
            value,
            "yes" if row["reached"] else "NO",
        )
    return table


def _pm(stat: dict[str, Any], digits: int) -> str:
    return f"{stat['mean']:.{digits}f} ± {stat['sd']:.{digits}f}"


def _interval(difference: dict[str, Any]) -> str:
    if difference["low"] is None:
        return f"{difference['mean']:+.2f}"
    return f"{difference['mean']:+.2f} [{difference['low']:+.2f}, {difference['high']:+.2f}]"
