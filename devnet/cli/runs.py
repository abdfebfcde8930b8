"""Commands that make run folders and go on with them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from devnet.cli.options import Model, Seed

app = typer.Typer()


@app.command()
def run(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder: new, empty, or one to go on with.")],
    seed: Seed = 0,
    data: Annotated[
        str | None, typer.Option(help="Image set: digits, mnist, fashion-mnist or cifar10.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Replicates at a time; the number of cores by default.")
    ] = None,
) -> None:
    """Do it all: grow, simulate, organize, export, read out, take paths, report. Goes on where it was stopped."""
    from rich.console import Console

    from devnet.study import run_model, tables

    start = time.perf_counter()
    summary = run_model(model, out, rng=seed, data=data, workers=workers)
    seconds = time.perf_counter() - start  # of this call; the summary has those of every stage, kept ones too
    Console().print(tables(summary))
    typer.echo(f"\n{seconds:.0f} s\nreport: {out / 'report.html'}\nnumbers: {out / 'summary.json'}")
