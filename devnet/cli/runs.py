"""Commands that make run folders, go on with them, list and check them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from devnet.cli.options import Every, Model, Seed

app = typer.Typer()

Data = Annotated[str | None, typer.Option(help="Image set: digits, mnist, fashion-mnist or cifar10.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Replicates at a time; the number of cores by default.")
]
Run = Annotated[Path, typer.Argument(help="Run folder that `devnet run` wrote.")]


@app.command()
def run(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder: new, empty, or one to go on with.")],
    seed: Seed = 0,
    data: Data = None,
    workers: Workers = None,
    every: Every = 60.0,
) -> None:
    """Do it all: grow, simulate, organize, export, read out, take paths, report. Goes on where it was stopped.

    Ctrl-C, SIGTERM and SIGUSR1 keep the state and end with code 75.
    """
    from devnet._core import stopping
    from devnet._core.lock import refuse_busy

    refuse_busy(out)  # before anything heavy is loaded
    with stopping.on_signals():
        from devnet.study import run_model

        start = time.perf_counter()
        summary = run_model(model, out, rng=seed, data=data, workers=workers, every=every)
    _show(summary, out, start)


@app.command()
def plan(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder whose disk is looked at.")] = Path("runs"),
    seed: Seed = 0,
    data: Data = None,
    workers: Workers = None,
) -> None:
    """Say what a run would take: time, memory, disk. Each kind of work is done for a moment; nothing is written.

    Code 6, and how to make the run smaller, where this machine has not enough.
    """
    from devnet.study.calibrate import calibrated
    from devnet.study.estimate import checked, size
    from devnet.study.plan import Plan

    run = Plan.of(model, seed, data, workers)
    checked(run, out)  # what cannot fit is not tried
    found = calibrated(run)
    typer.echo(f"{found.cells} cells, {found.units} units on the first sheet; {found.workers} at a time")
    typer.echo(f"{'':<10} {'processor':>11} {'memory':>10} {'disk':>10}")
    for name, needs in found.stages.items():
        typer.echo(f"{name:<10} {needs.seconds:>9.1f} s {size(needs.memory):>10} {size(needs.disk):>10}")
    typer.echo(f"{'in all':<10} {found.seconds:>9.1f} s {size(found.memory):>10} {size(found.disk):>10}")
    typer.echo(f"about {found.clock / 60:.1f} min by the clock, with {found.workers} cores free")
    found.refuse(out)


@app.command()
def resume(run: Run, workers: Workers = None, every: Every = 60.0) -> None:
    """Go on with a run that was stopped or killed; it ends as if it never had been. A finished run stays as it is."""
    from devnet._core import stopping
    from devnet._core.lock import refuse_busy

    refuse_busy(run)
    with stopping.on_signals():
        from devnet.study import resume_run

        start = time.perf_counter()
        summary = resume_run(run, workers=workers, every=every)
    _show(summary, run, start)


def _show(summary: dict[str, Any], out: Path, start: float) -> None:
    from rich.console import Console

    from devnet._core.errors import CorruptFileError
    from devnet.study import tables

    try:
        shown = tables(summary)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFileError(f"{out / 'summary.json'}: not the numbers of a run ({error!r:.80})") from None
    seconds = time.perf_counter() - start  # of this call; the summary has those of every stage, kept ones too
    Console().print(shown)
    typer.echo(f"\n{seconds:.0f} s\nreport: {out / 'report.html'}\nnumbers: {out / 'summary.json'}")


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look; folders in folders too.")] = Path("runs"),
) -> None:
    """List runs: model, key, state, how far they are, size, last change."""
    from devnet._core.errors import printable
    from devnet.study.listing import listed

    found = listed(folder) if folder != Path("runs") or folder.exists() else []  # nothing was run here yet
    for one in found:
        typer.echo(
            f"{printable(str(one.path)):<32} {one.model:<36} {one.state:<11} {one.percent:>3} %  "
            f"{one.size / 1e6:>8.1f} MB  {one.changed:%Y-%m-%d %H:%M}  {one.stage}"
        )
    if not found:
        typer.echo(f"{folder}: no runs yet")


@app.command()
def verify(run: Run) -> None:
    """Check every file of a run against its SHA-256."""
    from devnet.io import verify as check

    typer.echo(f"{run}: {check(run)} files as they were written")


@app.command()
def sweep(
    study: Annotated[Path, typer.Argument(help="TOML file: model, seeds, and a grid of the model's fields.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder: new, empty, or one to go on with.")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Points at a time; the number of cores by default. 1 needs no Dask."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, or slurm; processes here by default.")
    ] = None,
) -> None:
    """Run a model over seeds and a grid of its parameters, and write one table. A rerun does only what is missing."""
    from devnet._core import stopping

    with stopping.on_signals():
        from devnet.study.plan import cores
        from devnet.study.sweep import in_turn
        from devnet.study.sweep import sweep as verb
        from devnet.study.sweep_dask import on_dask

        count = workers or cores()
        runner = in_turn if count == 1 and scheduler is None else on_dask(count, scheduler)
        rows = verb(study, out, runner)
    failed = [row for row in rows if row["failed"]]
    for row in failed:
        typer.echo(f"{out / row['point']}: failed: {row['failed']}")
    typer.echo(f"{out / 'table.csv'}: {len(rows)} points, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say what this machine can do, and how to add what is missing."""
    from devnet.study.doctor import examine

    for finding in examine():
        typer.echo(str(finding))
