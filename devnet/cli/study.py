"""`devnet reproduce`: the studies of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devnet._core.errors import ConfigError
from devnet.cli.targets import writable

app = typer.Typer()


@app.command()
def reproduce(
    study: Annotated[str, typer.Argument(help="Folder of simulations/, for example raghavan2024_fip.")],
    quick: Annotated[bool, typer.Option("--quick", help="Minutes in all; the default.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The published size.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Everything once; no bar is held.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="A script's name; may be given again.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="File for machine, versions and rows.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the figures.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Scripts at a time; one a core.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Keep the table in the study's README.")] = False,
) -> None:
    """Run the figures of a paper and hold every number against its tolerance; exit code 1 where one is missed."""
    if quick + full + smoke > 1:
        raise ConfigError("--quick, --full, --smoke", "several", "one of them")
    writable(json, name="--json")
    from devnet.io import write_json
    from devnet.study import reproduce as study_
    from devnet.study.figure import Effort
    from devnet.study.plan import cores

    effort = Effort.FULL if full else Effort.SMOKE if smoke else Effort.QUICK
    found = study_.reproduce(study, effort, only or (), out, workers or cores())
    if json is not None:
        write_json(json, found)
    typer.echo(study_.table(found))
    if update:
        typer.echo(study_.update(found))
    missed = study_.missed(found)
    if missed:
        typer.echo(f"missed: {', '.join(missed)}", err=True)
        raise typer.Exit(1)
