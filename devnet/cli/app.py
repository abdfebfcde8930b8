"""The commands. Each checks where its result shall go, calls one verb, saves what it returned, and says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from devnet._core.errors import InterruptedRunError
from devnet.cli.targets import writable


class _Commands(TyperGroup):
    """A group in which Ctrl-C ends a command with exit code 75."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; see typer."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise InterruptedRunError("stopped; nothing was written") from None


_OPTIONS: dict[str, Any] = {
    "cls": _Commands,
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(
    help="Grow neural sheets from one cell, let their own waves wire them, take them along paths.", **_OPTIONS
)
fip_app = typer.Typer(
    help="Move a network along a functionally invariant path, without labels.", no_args_is_help=True
)
data_app = typer.Typer(help="Image sets: list them, download them.", no_args_is_help=True)
app.add_typer(fip_app, name="fip")
bench_app = typer.Typer(help="Measure speed on this machine, claim by claim.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")

Model = Annotated[str, typer.Argument(help="Name of a model (see `devnet models`) or path of a TOML file.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write; an existing one is replaced.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness.")]
Backend = Annotated[str, typer.Option(help="Who steps the sheet: numba, reference, brian2 or torch.")]
Field = Annotated[str, typer.Option(help="How the coupling is summed: exact, or fast (numba only).")]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads for sheets of 8000 cells and more with a fast field.")
]
Network = Annotated[
    Path | None, typer.Option("--network", help="Where the network at the end of the path goes.")
]
Images = Annotated[str, typer.Option("--data", help="Image set: digits, mnist, fashion-mnist or cifar10.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from devnet.io.tensors import library_version

        typer.echo(f"devnet {library_version()}")
        raise typer.Exit


@app.command()
def grow(model: Model, out: Out, seed: Seed = 0) -> None:
    """Grow a sheet of two layers from one cell."""
    writable(out)
    from devnet.growth import grow as verb

    _save(verb(_model(model), rng=seed), out)


@app.command()
def simulate(
    sheet: Annotated[Path, typer.Argument(help="Sheet that `devnet grow` wrote.")],
    out: Out,
    dynamics: Annotated[
        str | None, typer.Option(help="One of the model's dynamics; its first by default.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 2000,
    seed: Seed = 0,
    backend: Backend = "numba",
    field: Field = "exact",
    threads: Threads = 1,
) -> None:
    """Run the spontaneous waves of a sheet and record who fires when."""
    writable(out)
    from devnet.io.nouns import load_sheet
    from devnet.measure import wave_statistics
    from devnet.waves import simulate as verb

    recording = verb(
        load_sheet(sheet), dynamics, steps=steps, rng=seed, backend=backend, field=field, threads=threads
    )
    _save(recording, out)
    _tell(wave_statistics(recording).numbers())


@app.command()
def organize(
    sheet: Annotated[Path, typer.Argument(help="Sheet that `devnet grow` wrote.")],
    out: Out,
    learning: Annotated[
        str | None, typer.Option(help="One of the model's learnings; its first by default.")
    ] = None,
    units: Annotated[
        int | None, typer.Option(min=1, help="Number of units; the sheet's layer-II units by default.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of steps; the model's by default.")] = None,
    seed: Seed = 0,
    backend: Backend = "numba",
    field: Field = "exact",
    threads: Threads = 1,
    activity: Annotated[
        str, typer.Option(help="waves, or noise for the control without coupling.")
    ] = "waves",
    snapshots: Annotated[int, typer.Option(min=0, help="How often the weights are kept on the way.")] = 0,
) -> None:
    """Let the waves of a sheet wire a pooling layer."""
    writable(out)
    from devnet.io.nouns import load_sheet
    from devnet.measure import wiring_statistics
    from devnet.organization import organize as verb

    wiring = verb(
        load_sheet(sheet),
        learning,
        units=units,
        steps=steps,
        rng=seed,
        backend=backend,
        field=field,
        threads=threads,
        activity=activity,
        snapshots=snapshots,
    )
    _save(wiring, out)
    _tell(wiring_statistics(wiring).numbers())


@app.command()
def export(
    wiring: Annotated[Path, typer.Argument(help="Wiring that `devnet organize` wrote.")],
    out: Out,
    images: Images = "digits",
    hidden: Annotated[
        int, typer.Option(min=0, help="Units of the hidden layer behind the pools; 0: none.")
    ] = 100,
    train: Annotated[int, typer.Option(min=0, help="Steps of training with labels; 0: as it starts.")] = 2000,
    seed: Seed = 0,
) -> None:
    """Hand the pools to PyTorch with a classifier behind them, train it, and save the network."""
    writable(out)
    from devnet.study import networks

    network, right = networks.export(wiring, images, hidden=hidden, train=train, rng=seed)
    networks.save_network(network, out)
    typer.echo(f"{out}: {len(network.feature_mean)} pools, test accuracy {100 * right:.1f} % on {images}")


@fip_app.command()
def sparsify(
    network: Annotated[Path, typer.Argument(help="Network that `devnet export` wrote.")],
    out: Out,
    sparsity: Annotated[float, typer.Option(min=0, max=1, help="Share of the weights to cut.")] = 0.95,
    images: Images = "digits",
    steps: Annotated[int, typer.Option(min=1, help="Steps along the path.")] = 1000,
    seed: Seed = 0,
    network_out: Network = None,
) -> None:
    """Sparsify a network without labels and write the path."""
    writable(out, network_out)
    from devnet.study import networks

    typer.echo(
        networks.sparsify_file(
            network, out, images, sparsity=sparsity, steps=steps, rng=seed, network=network_out
        )
    )


@fip_app.command()
def recover(
    network: Annotated[Path, typer.Argument(help="Network that `devnet export` wrote.")],
    out: Out,
    cut: Annotated[float, typer.Option(min=0, max=1, help="Share of the hidden units that is lost.")] = 0.5,
    images: Images = "digits",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of recovery.")] = 20,
    seed: Seed = 0,
    network_out: Network = None,
) -> None:
    """Damage a network, let it recover without labels, and write the path."""
    writable(out, network_out)
    from devnet.study import networks

    typer.echo(
        networks.recover_file(network, out, images, cut=cut, rounds=rounds, rng=seed, network=network_out)
    )


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run folder that `devnet run` wrote.")]) -> None:
    """Draw the figures of a run and write its page."""
    from devnet.study import report_again

    typer.echo(report_again(run))


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


@app.command()
def models() -> None:
    """List the models that come with devnet."""
    from devnet.spec import catalog, load_model

    for name in catalog():
        typer.echo(f"{name:<40} {load_model(name).title}")


@data_app.command("list")
def data_list() -> None:
    """List the image sets and where they lie on this machine."""
    from devnet.data import NAMES, where

    for name in NAMES:
        place = "comes with scikit-learn" if name == "digits" else where(name)
        typer.echo(f"{name:<16} {place or f'not here; run: devnet data fetch {name}'}")


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or cifar10.")]) -> None:
    """Download the originals of an image set, checked against their published digests."""
    from devnet.data import fetch

    typer.echo(fetch(name))


@bench_app.command("sheet")
def bench_sheet(
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


def _model(name: str) -> Any:
    from devnet.spec import load_model

    return load_model(name)


def _save(noun: Any, out: Path) -> None:
    from devnet.io import save

    save(noun, out)
    typer.echo(f"{out}: {noun}")


def _tell(numbers: dict[str, Any]) -> None:
    typer.echo("  ".join(f"{name} {value:.3g}" for name, value in numbers.items() if value is not None))
