"""Commands that show what a run folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run folder that `devnet run` wrote.")]) -> None:
    """Draw the figures of a run and write its page."""
    from devnet.study import report_again

    typer.echo(report_again(run))
