"""A model over seeds and grids of its parameters: one run folder a point, and one table of all of them.

A study is a TOML file:

    model = "raghavan2019_grown_pooling/small"    # catalog name, or a TOML file beside the study
    seeds = [0, 1, 2]
    [grid]                                        # dotted fields of the model and their values: all combinations
    "growth.crowd_radius" = [1.0, 1.2]
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from devnet._core import stopping
from devnet._core.checkpoint import fingerprint
from devnet._core.errors import (
    BusyError,
    ConfigError,
    DevnetError,
    InterruptedRunError,
    Problem,
    ResourceError,
    StorageError,
)
from devnet._core.optional import require
from devnet._core.progress import task
from devnet._core.reading import read_toml
from devnet.io import RunFolder, locked, make_folder, read_json, write_bytes, write_json, write_text
from devnet.spec import Spec, dump_model, load_model, parse_model
from devnet.study.pipeline import run_model
from devnet.study.plan import Plan
from devnet.study.summary import read_summary

TIMES = {"seconds", "cpu_seconds", "machine", "versions", "workers", "targets"}
"""What of a summary is no function of model and seed."""


@dataclass(frozen=True)
class Point:
    """One run of a study.

    Attributes:
        name: Name of its run folder.
        model: The model, as TOML.
        seed: Its seed.
        values: The grid's fields and their values here.
    """

    name: str
    model: str
    seed: int
    values: dict[str, Any]


def points_of(path: str | Path) -> list[Point]:
    """Read a study and resolve all its points.

    Args:
        path: The TOML file.

    Returns:
        The points: all combinations of the grid's values in the order of the file, each with all seeds.

    Raises:
        ConfigError: The file is no study, or a value does not fit the model or is given twice; all that is wrong,
            together.
    """
    path = Path(path)
    study = _study(path)
    model = study["model"]
    if model.endswith(".toml"):
        model = path.parent / model
    base = load_model(model)
    fields = list(study["grid"])
    points: dict[str, Point] = {}
    wrong: list[Problem] = []
    for values in itertools.product(*study["grid"].values()):
        chosen = dict(zip(fields, values, strict=True))
        try:
            spec = base
            for field, value in chosen.items():
                spec = _put(spec, field.split("."), value, field)
            Plan.of(spec, 0, None, 1)
        except ConfigError as error:
            wrong += [problem for problem in error.problems if problem not in wrong]
            continue
        text = dump_model(spec)
        for seed in study["seeds"]:
            point = Point(f"{fingerprint(text, seed)[:12]}", text, seed, chosen)
            if (same := points.setdefault(point.name, point)) is not point:
                wrong.append(Problem("grid", chosen, f"other values: {same.values} are the same model"))
    if wrong:
        first, *more = wrong
        raise ConfigError(first.field, first.value, first.allowed, more=more)
    return list(points.values())


def _study(path: Path) -> dict[str, Any]:
    try:
        study = read_toml(path)
    except DevnetError as error:
        raise ConfigError("study", str(path), f"a readable TOML file ({error})") from None
    study = {"seeds": [0], "grid": {}} | study
    known = {"model", "seeds", "grid"}
    if unknown := sorted(set(study) - known):
        raise ConfigError(unknown[0], study[unknown[0]], f"nothing but {', '.join(sorted(known))}")
    if not isinstance(study.get("model"), str):
        raise ConfigError("model", study.get("model"), "the name or file of a model")
    seeds, grid = study["seeds"], study["grid"]
    whole = isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in cast("list[Any]", seeds))
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError("seeds", seeds, "a list of different whole numbers of at least 0")
    if not isinstance(grid, dict) or not all(
        isinstance(v, list) and v for v in cast("dict[str, Any]", grid).values()
    ):
        raise ConfigError("grid", grid, 'a table of lists: "growth.crowd_radius" = [1.0, 1.2]')
    return study


def _put(part: Any, names: Sequence[str], value: Any, field: str) -> Any:
    """Return a part of a model with one field of it, however deep, set to a value."""
    name, *rest = names
    known = part if isinstance(part, dict) else type(part).model_fields if isinstance(part, Spec) else {}
    if name not in known:
        raise ConfigError(
            f"grid.{field}", value, f"a field of the model; {name!r} is none of {', '.join(known)}"
        )
    inner = part[name] if isinstance(part, dict) else getattr(part, name)
    new = _put(inner, rest, value, field) if rest else value
    if isinstance(part, dict):
        return part | {name: new}
    try:
        return part.replace(**{name: new})
    except ConfigError as error:  # names the field as this part does
        above = "grid." + field.removesuffix(".".join(names))
        first, *more = (Problem(above + one.field, one.value, one.allowed) for one in error.problems)
        raise ConfigError(first.field, first.value, first.allowed, more=more) from None


def run_point(point: Point, folder: str) -> str:
    """Run one point, or go on with it.

    Args:
        point: The point.
        folder: Folder of the study.

    Returns:
        Why it failed; empty where it did not.

    Raises:
        InterruptedRunError: The sweep was asked to stop.
        StorageError: A file cannot be written, so neither can those of the other points.
        ResourceError: The disk has no room for it.
    """
    try:
        run_model(
            parse_model(point.model, where=point.name), Path(folder) / point.name, rng=point.seed, workers=1
        )
    except (InterruptedRunError, StorageError):
        raise
    except ResourceError as error:
        if str(error).startswith("disk: "):
            raise
        return _why(error)
    except (DevnetError, MemoryError, ArithmeticError, ValueError, RuntimeError) as error:
        return _why(error)
    return ""


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


Work = Callable[[Point, str], str]
"""What is done with a point in a folder; returns why it failed."""

Runner = Callable[[Sequence[Point], str, Work], Iterator[tuple[Point, str]]]
"""Does work on points in a folder and yields each with why it failed, in any order."""


def in_turn(points: Sequence[Point], folder: str, work: Work) -> Iterator[tuple[Point, str]]:
    """Run points one after another, here."""
    for point in points:
        stopping.check()
        yield point, work(point, folder)


def sweep(
    study: str | Path, out: str | Path, runner: Runner = in_turn, work: Work = run_point
) -> list[dict[str, Any]]:
    """Run all points of a study that are not finished, and write the table of all: ``table.csv``, ``table.parquet``.

    The table is a function of the study alone: not of who ran the points, in which order, or how often it was begun.

    Args:
        study: The study's TOML file.
        out: Folder: new, empty, or of this very study.
        runner: Who runs the points; see ``sweep_dask.on_dask``.
        work: What is done with a point.

    Returns:
        The table's rows: the point's folder, seed, values, why it failed (empty where it did not), and its numbers.

    Raises:
        ConfigError: The study does not fit; nothing has been written.
        BusyError: The folder is in use or holds something else.
        StorageError: A file cannot be written; what was done is kept.
        ResourceError: The disk has no room for a point; what was done is kept.
        InterruptedRunError: It was asked to stop; what was done is kept.
    """
    points, out = points_of(study), Path(out)
    require("pyarrow", extra="sweep")
    told = {"schema": 1, "points": {p.name: {"seed": p.seed, "values": p.values} for p in points}}
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "study.json").exists())):
        raise BusyError(f"{out}: holds something else than a study; choose an empty or new folder")
    make_folder(out)
    with locked(out):
        if (out / "study.json").exists() and read_json(out / "study.json") != told:
            raise BusyError(f"{out}: holds another study; choose another folder")
        write_json(out / "study.json", told)
        missing = [point for point in points if not RunFolder(out / point.name).complete()]
        failed: dict[str, str] = {}
        with task("sweep", len(points)) as tick:
            tick(len(points) - len(missing))
            for point, why in runner(missing, str(out), work):
                if why:
                    failed[point.name] = why
                tick()
        rows = [_row(point, out, failed.get(point.name, "")) for point in points]
        _write_table(rows, out)
    return rows


def _row(point: Point, out: Path, why: str) -> dict[str, Any]:
    numbers = {} if why else dict(_flat(read_summary(out / point.name)))
    return {"point": point.name, "seed": point.seed, **point.values, "failed": why, **numbers}


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a summary under dotted names; of a number over seeds the mean."""
    if isinstance(tree, dict):
        found = cast("dict[str, Any]", tree)
        if "mean" in found and "values" in found:
            yield path, float(found["mean"])
            return
        for name, inner in found.items():
            if name not in TIMES and name not in ("key", "seed", "schema"):
                yield from _flat(inner, f"{path}.{name}" if path else name)
    elif isinstance(tree, list):
        for row in cast("list[Any]", tree):
            if isinstance(row, dict) and {"kind", "units"} <= set(cast("dict[str, Any]", row)):
                yield from _flat(
                    {k: v for k, v in cast("dict[str, Any]", row).items() if k not in ("kind", "units")},
                    f"{path}.{row['kind']}{row['units']}",
                )
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield path, float(tree)


def _write_table(rows: list[dict[str, Any]], out: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "table.csv", text.getvalue())
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in columns})
    data = io.BytesIO()
    parquet.write_table(table, data)
    write_bytes(out / "table.parquet", data.getvalue())


def _column(values: list[Any]) -> list[Any]:
    """Return values of one kind, as a column needs: text where they are of several, or of none that a table knows."""
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    long = any(type(value) is int and abs(value) >= 2**63 for value in there)
    if long or not (kinds <= {int, float} or kinds in ({bool}, {str})):
        return [None if value is None else str(value) for value in values]
    return [None if value is None else float(value) for value in values] if len(kinds) > 1 else values
