"""`devnet bench`: speed on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devnet._core.optional import require
from devnet.cli.targets import writable

app = typer.Typer(help="Measure speed on this machine, claim by claim.", no_args_is_help=True)


@app.command()
def sheet(
    json: Annotated[Path | None, typer.Option("--json", help="File for machine, versions and rows.")] = None,
) -> None:
    """Step sheets beside Brian2 and hold every figure against its bar. Takes some minutes."""
    writable(json, name="--json")
    from devnet.io import write_json
    from devnet.study import bench_sheet as bench
    from devnet.study.claims import document, table

    found = document("sheet", bench.bench_sheet())
    if json is not None:
        write_json(json, found)
    typer.echo(table(found["rows"]))
    for name, why in found["not_asked"].items():
        typer.echo(f"{name}: not asked, {why}")


@app.command()
def fip(
    json: Annotated[Path | None, typer.Option("--json", help="File for machine, versions and rows.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Take steps along paths beside plain training and hold every figure against its bar. Takes some minutes."""
    writable(json, name="--json")
    require("torch", extra="torch")
    from devnet.io import write_json
    from devnet.study.bench_fip import bench_fip
    from devnet.study.claims import document, table

    found = document("fip", bench_fip(device))
    if json is not None:
        write_json(json, found)
    typer.echo(table(found["rows"]))
    for name, why in found["not_asked"].items():
        typer.echo(f"{name}: not asked, {why}")
