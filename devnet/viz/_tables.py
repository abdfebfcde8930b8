"""The numbers of a run as rows of text for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from devnet.spec import ASSUMED, ModelSpec, Spec
from devnet.viz._paths import method_name
from devnet.viz._readout import KINDS
from devnet.viz._waves import form_name

_SENSES = {">=": "at least", "<=": "at most"}
WIRED = {
    "grown": "waves",
    "step0": "nothing yet (step 0)",
    "noise": "noise without coupling",
}
WORKS = {
    "G19": "Raghavan & Thomson, Neural networks grown and self-organized by noise, NeurIPS 2019",
    "M20": "Raghavan, Lin & Thomson, Self-organization of multi-layer spiking neural networks, 2020",
    "R20": "Raghavan, Li & Thomson, Geometric algorithms for predicting resilience and recovering damage in neural "
    "networks, 2020",
    "S20": "Raghavan & Thomson, Sparsifying networks by traversing geodesics, 2020",
    "H21": "Raghavan & Thomson, Solving hybrid machine learning tasks by traversing weight space geodesics, 2021",
    "F24": "Raghavan et al., Engineering flexible machine learning systems by traversing functionally invariant "
    "paths, Nature Machine Intelligence 2024",
}


@dataclass(frozen=True)
class Table:
    """A table of text: what it shows, its columns, its rows; the first column names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A part of the configuration: its name and (name, value, unit, source, mark) of each field."""

    name: str
    rows: list[tuple[str, str, str, str, str]]


def plus_minus(stat: dict[str, Any], digits: int) -> str:
    """Return mean ± standard deviation; the mean alone of a single value."""
    mean = f"{stat['mean']:.{digits}f}".replace("-", "−")
    return mean if len(stat["values"]) < 2 else f"{mean} ± {stat['sd']:.{digits}f}"


def targets(summary: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Return (what, bar, value, reached) of each target."""
    found: dict[str, Any] = summary.get("targets", {})
    rows: list[tuple[str, str, str, bool]] = []
    for target in found.values():
        bar = f"{_SENSES[target['sense']]} {target['bar']:g}"
        what = f"{target['text']}, {target['unit']}".replace(" - ", " − ")
        value = "no value" if target["value"] is None else f"{target['value']:.3g}"
        rows.append((what, bar.replace("-", "−"), value.replace("-", "−"), bool(target["reached"])))
    return rows


def growth(summary: dict[str, Any]) -> Table | None:
    """Return cells, units, density and sweeps."""
    numbers = summary.get("growth")
    if not numbers:
        return None
    units = {"cells": 0, "units": 0, "density": 2, "sweeps": 0}
    names = {"cells": "layer-I cells", "units": "layer-II units", "density": "cells per unit area"}
    seeds = len(numbers["cells"]["values"])
    table = Table(f"Mean ± standard deviation over {seeds} seeds", ("", "number"))
    table.rows.extend((names.get(n, n), plus_minus(numbers[n], d)) for n, d in units.items() if n in numbers)
    return table


def waves(summary: dict[str, Any], model: ModelSpec) -> Table | None:
    """Return wave statistics by form."""
    forms = summary.get("waves")
    if not forms:
        return None
    columns = {
        "active_share_of_steps": ("steps with a wave, %", 100.0, 0),
        "active_mean": ("active cells, mean", 1.0, 0),
        "radius_mean": ("wave radius, length", 1.0, 1),
        "speed": ("speed, length per step", 1.0, 2),
        "waves": ("separate waves", 1.0, 0),
        "visited": ("cells visited, %", 100.0, 0),
    }
    table = Table("First seed", ("", *(title for title, *_ in columns.values())))
    for name in [*(n for n in model.dynamics if n in forms), *(n for n in forms if n not in model.dynamics)]:
        values = [(forms[name].get(key), factor, digits) for key, (_, factor, digits) in columns.items()]
        cells = ("none" if v is None else f"{factor * v:.{digits}f}" for v, factor, digits in values)
        form = form_name(model, name) if name in model.dynamics else name
        table.rows.append((form, *cells))
    return table


def pools(summary: dict[str, Any], model: ModelSpec) -> Table | None:
    """Return pool statistics by what wired them."""
    found = summary.get("pools")
    if not found:
        return None
    columns = {
        "organized": ("organized", 3),
        "coverage": ("coverage", 3),
        "field_size": ("field, cells", 0),
        "radius_ratio": ("radius over sheet", 2),
        "overlap": ("fields per cell", 1),
    }
    table = Table(
        "Mean ± standard deviation over the seeds", ("wired by", "units", *(t for t, _ in columns.values()))
    )
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    for name in [*(n for n in WIRED if n in rows), *(n for n in rows if n not in WIRED)]:
        row = rows[name]
        units = plus_minus(row["units"], 0) if "units" in row else ""
        cells = (plus_minus(row[k], digits) if k in row else "" for k, (_, digits) in columns.items())
        table.rows.append((_wired_by(name, model), units, *cells))
    return table


def stack(summary: dict[str, Any]) -> Table | None:
    """Return what is known of each layer of a stack over the one below, and of deep ones over the first sheet."""
    found = summary.get("stack")
    if not found:
        return None
    columns = {
        "organized": ("organized", 3),
        "coverage": ("coverage", 3),
        "ratio": ("field radius over sheet", 3),
        "order": ("topographic order", 3),
        "folds": ("triangles turned over", 3),
    }
    seeds = len(next(iter(found.values()))["order"]["values"])
    title = f"Each layer over the one that feeds it; mean ± standard deviation over {seeds} seeds"
    table = Table(title, ("layer", *(t for t, _ in columns.values())))
    for name, row in found.items():
        table.rows.append((name, *(plus_minus(row[k], digits) for k, (_, digits) in columns.items())))
    return table


def _wired_by(name: str, model: ModelSpec) -> str:
    """Say what wired the units of a row: by its label, or by the name of the learning."""
    if name in WIRED:
        return WIRED[name]
    if name.startswith("pools") and name[5:].isdigit():
        return f"waves, {name[5:]} units for the read-out"
    if name in model.learning:
        return f"{form_name(model, model.learning[name].dynamics)}; runs beside, no bar"
    return name


def readout(summary: dict[str, Any]) -> Table | None:
    """Return accuracies by kind and number of pools."""
    found = summary.get("readout")
    if not found:
        return None
    columns = ("seen through", "number", "cells a pool", "validation, %", "test, %")
    table = Table(f"Linear read-out of {found['data']}; mean ± standard deviation over the seeds", columns)
    for row in found["rows"]:
        name = KINDS.get(row["kind"], "raw pixels" if row["kind"] == "raw" else row["kind"])
        size = "" if row["kind"] == "raw" else plus_minus(row["field_size"], 0)
        scores = (plus_minus(row[key], 1) for key in ("validation", "accuracy"))
        table.rows.append((name, str(row["units"]), size, *scores))
    return table


def methods(entry: dict[str, Any], caption: str) -> Table:
    """Return accuracies and costs of the methods of one job."""
    table = Table(caption, ("method", "labels", "test accuracy, %", "CPU seconds"))
    for name in sorted(entry["methods"], key=lambda name: name != "fip"):
        row = entry["methods"][name]
        words = method_name(name).removesuffix(", no labels")
        labels = "yes" if row["labels"] else "no"
        table.rows.append((words, labels, plus_minus(row["accuracy"], 1), plus_minus(row["cpu_seconds"], 2)))
    return table


def configuration(model: ModelSpec) -> list[Part]:
    """Return every field of a model, part by part."""
    return [part for part in _parts(model, "model") if part.rows]


def _parts(spec: Spec, name: str) -> Iterator[Part]:
    quantities = {field: (value, unit, source) for field, value, unit, source in spec.quantities()}
    rows: list[tuple[str, str, str, str, str]] = []
    inner: list[tuple[str, Spec]] = []
    for entry in type(spec).model_fields:
        value = getattr(spec, entry)
        below = entry if name == "model" else f"{name}.{entry}"
        if isinstance(value, Spec):
            inner.append((below, value))
        elif isinstance(value, dict):
            inner += [(f"{below}.{key}", part) for key, part in value.items()]
        elif entry in quantities:
            value, unit, source = quantities[entry]
            rows.append((entry, _text(value), "" if unit == "1" else unit, source, _mark(source)))
        elif name != "model":
            rows.append((entry, _text(value), "", "", "choice"))
    yield Part(name, rows)
    for below, part in inner:
        yield from _parts(part, below)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        flat = all(not isinstance(v, tuple) for v in value)
        return ", ".join(_text(v) for v in value) if flat else " ".join(f"({_text(v)})" for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mark(source: str) -> str:
    if source == ASSUMED:
        return "ours"
    return "published" if source.split(",", maxsplit=1)[0] in WORKS else "given"


def told(summary: dict[str, Any], model: ModelSpec) -> list[str]:
    """Return what happened, in one sentence a stage."""
    lines: list[str] = []
    if numbers := summary.get("growth"):
        cells, units = (plus_minus(numbers[name], 0) for name in ("cells", "units"))
        lines.append(
            f"{cells} cells were scattered over the scaffold, {units} units above them."
            if model.growth.scattered
            else f"One cell divided until {cells} cells filled the scaffold and {units} units rose above them."
        )
    if (found := summary.get("pools")) and "grown" in found:
        share = 100 * found["grown"]["organized"]["mean"]
        text = f"Spontaneous waves turned {share:.0f} % of the units, each wired to every cell at first, into pools"
        if "noise" in found:
            text += f"; noise of the same cells turned {100 * found['noise']['organized']['mean']:.0f} %"
        lines.append(f"{text}.")
    if found := summary.get("readout"):
        most = max((r for r in found["rows"] if r["kind"] == "grown"), key=lambda r: r["units"], default=None)
        raw = next((r for r in found["rows"] if r["kind"] == "raw"), None)
        if most is not None and raw is not None:
            lines.append(
                f"Through {most['units']} grown pools a linear read-out tells {plus_minus(most['accuracy'], 1)} % of "
                f"the {found['data']} test images right, from raw pixels {plus_minus(raw['accuracy'], 1)} %."
            )
    fip = summary.get("fip", {})
    if sparse := fip.get("sparsify"):
        share = max(sparse, key=float)
        now, before = plus_minus(sparse[share]["methods"]["fip"]["accuracy"], 1), plus_minus(fip["dense"], 1)
        lines.append(
            f"A functionally invariant path set {100 * float(share):g} % of the weights behind the pools to zero, "
            f"without labels: {now} % right after it, {before} % before."
        )
    if "recover" in fip:
        entry = fip["recover"]
        lines.append(
            f"After losing hidden units ({plus_minus(entry['damaged'], 1)} % right) another path brought the network "
            f"back to {plus_minus(entry['methods']['fip']['accuracy'], 1)} %, again without labels."
        )
    return lines
