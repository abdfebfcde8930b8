"""Commands that show what a run folder holds, and let one play with a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devnet.cli.options import Model, Seed
from devnet.cli.targets import writable

app = typer.Typer()

Run = Annotated[Path, typer.Argument(help="Run folder that `devnet run` wrote.")]
Port = Annotated[int, typer.Option(help="Where to serve, on this machine only; 0: any free port.")]
Open = Annotated[bool, typer.Option("--open", help="Open the address in a browser.")]


@app.command()
def report(run: Run) -> None:
    """Draw the figures of a run and write its page."""
    from devnet.study import report_again

    typer.echo(report_again(run))


@app.command()
def movie(
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File ending in .mp4 (needs ffmpeg) or .gif; by default beside the run."
        ),
    ] = None,
    height: Annotated[int | None, typer.Option(help="Lines of a frame; 720 for MP4, 400 for GIF.")] = None,
) -> None:
    """Write a movie of a run: growth, waves, pools forming."""
    writable(out)
    from devnet.viz.movie import write_movie

    typer.echo(write_movie(run, out, height=height))


@app.command()
def view(run: Run, port: Port = 0, browse: Open = False) -> None:
    """Show a run while it goes on, in a browser on this machine. Reads only; Ctrl-C ends it."""
    from devnet.live import follow, serve

    serve(follow(run), port=port, ready=lambda address: _ready(address, browse))


@app.command()
def play(
    model: Model = "raghavan2019_grown_pooling/small", seed: Seed = 0, port: Port = 0, browse: Open = False
) -> None:
    """Play with the waves of a grown sheet, in a browser on this machine, and let pools form. Ctrl-C ends it."""
    from devnet.live import playground, serve

    serve(playground(model, rng=seed), port=port, ready=lambda address: _ready(address, browse))


def _ready(address: str, browse: bool) -> None:
    typer.echo(f"open {address}\n(this machine only; Ctrl-C ends it)")
    if browse:
        import webbrowser

        webbrowser.open(address)
