"""The verbs as commands. Each checks where its result shall go, calls one verb, saves what it returned, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from devnet._core import stopping
from devnet._core.errors import ConfigError, InterruptedRunError
from devnet._core.optional import require
from devnet.cli import bench, fip, runs, see, study
from devnet.cli.options import (
    Backend,
    Field,
    Model,
    Out,
    Seed,
    Threads,
    model_of,
    save,
    tell,
)
from devnet.cli.targets import writable


class _Commands(TyperGroup):
    """A group in which Ctrl-C ends a command with exit code 75."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; see typer."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise InterruptedRunError("stopped; nothing was written") from None


_STOP_SECONDS = 120.0
"""How long 1024 steps and writing them may take after a signal."""

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
data_app = typer.Typer(help="Image sets: list them, download them.", no_args_is_help=True)
for commands in (runs, see, study):
    app.add_typer(commands.app)  # without a name: commands of devnet itself
app.add_typer(fip.app, name="fip")
app.add_typer(data_app, name="data")
app.add_typer(bench.app, name="bench")


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

    save(verb(model_of(model), rng=seed), out)


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
    """Run the spontaneous waves of a sheet and record who fires when.

    Ctrl-C and SIGTERM keep the steps that were run.
    """
    writable(out)
    from devnet.io.nouns import load_sheet
    from devnet.measure import wave_statistics
    from devnet.waves import simulate as verb

    stopped: InterruptedRunError | None = None
    with stopping.on_signals(grace=_STOP_SECONDS):
        try:
            recording = verb(
                load_sheet(sheet),
                dynamics,
                steps=steps,
                rng=seed,
                backend=backend,
                field=field,
                threads=threads,
            )
        except InterruptedRunError as error:
            stopped, recording = error, error.kept
        save(recording, out)
    found = wave_statistics(recording)
    tell(found.numbers())
    typer.echo(f"health {found.health.value}: {found.health.help}")
    if stopped is not None:
        raise stopped


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
    save(wiring, out)
    tell(wiring_statistics(wiring).numbers())


@app.command()
def stack(
    sheet: Annotated[Path, typer.Argument(help="Sheet that `devnet grow` wrote; its model has a stack.")],
    out: Out,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of steps; the model's by default.")] = None,
    seed: Seed = 0,
    backend: Annotated[
        str, typer.Option(help="Who steps the layers: numba, reference, brian2 or brian2-numpy.")
    ] = "numba",
    field: Field = "exact",
    threads: Threads = 1,
    activity: Annotated[str, typer.Option(help="waves, or shuffled for the control.")] = "waves",
) -> None:
    """Let the waves of a sheet wire a stack of layers."""
    writable(out)
    from devnet.io.nouns import load_sheet
    from devnet.measure import layer_statistics
    from devnet.organization import organize_stack

    found = organize_stack(
        load_sheet(sheet),
        steps=steps,
        rng=seed,
        backend=backend,
        field=field,
        threads=threads,
        activity=activity,
    )
    save(found, out)
    for number, below in enumerate(found.spec.feeding, start=2):
        typer.echo(f"layer {number}: ", nl=False)
        tell(layer_statistics(found, number).numbers())
        if below > 1:
            typer.echo(f"layer {number} seen in layer 1: ", nl=False)
            tell(layer_statistics(found, number, seen_in=1).numbers())


@app.command()
def export(
    grown: Annotated[
        Path, typer.Argument(help="Wiring that `devnet organize` wrote, or stack that `devnet stack` wrote.")
    ],
    out: Out,
    images: Annotated[
        str | None, typer.Option("--data", help="Of a wiring: image set; digits by default.")
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(
            min=0, help="Of a wiring: units of the hidden layer behind the pools; 0: none; 100 by default."
        ),
    ] = None,
    train: Annotated[
        int | None,
        typer.Option(
            min=0, help="Of a wiring: steps of training with labels; 0: as it starts; 2000 by default."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of a wiring: seed of weights and training; 0 by default.")
    ] = None,
    format: Annotated[  # noqa: A002  # as users say it
        str, typer.Option(help="Of a stack: torch (its state_dict), onnx or nir. A wiring goes to torch.")
    ] = "torch",
    answer: Annotated[
        str | None,
        typer.Option(
            help="Of a stack to torch or onnx: sums (default), or relay (gain control and winners)."
        ),
    ] = None,
) -> None:
    """Hand pools to PyTorch with a trained classifier behind them; or a stack as it is to torch, ONNX or NIR."""
    writable(out)
    from devnet.io import load
    from devnet.sheet import Stack

    noun = load(grown)
    of_wiring = {"--data": images, "--hidden": hidden, "--train": train, "--seed": seed}
    idle = of_wiring if isinstance(noun, Stack) else {"--answer": answer}
    if given := [name for name, value in idle.items() if value is not None]:
        what = f"a {type(noun).__name__.lower()} to {format}"
        raise ConfigError(given[0], idle[given[0]], f"nothing: it does not apply to {what}")
    if isinstance(noun, Stack):
        from devnet.export import write_stack

        lost = write_stack(noun, out, format, answer=answer)  # type: ignore[arg-type]
        typer.echo(f"{out}: {noun} for {format}\nleft behind: " + "\n             ".join(lost))
        return
    if format != "torch":
        raise ConfigError("format", format, "'torch': other formats are for stacks")
    require("torch", extra="torch")
    from devnet.study import networks

    images = images or "digits"
    hidden, train = 100 if hidden is None else hidden, 2000 if train is None else train
    network, right = networks.export(grown, images, hidden=hidden, train=train, rng=seed or 0)
    networks.save_network(network, out)
    typer.echo(f"{out}: {len(network.feature_mean)} pools, test accuracy {100 * right:.1f} % on {images}")


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
    from devnet.data.registry import REGISTRY

    for name in NAMES:
        place = "comes with scikit-learn" if name == "digits" else where(name)
        typer.echo(
            f"{name:<16} {place or f'not here; run: devnet data fetch {name} ({REGISTRY[name].megabytes} MB)'}"
        )
        if name in REGISTRY:
            typer.echo(f"{'':<16} {REGISTRY[name].citation}")


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or cifar10.")]) -> None:
    """Download the originals of an image set, checked against their published digests."""
    from devnet.data import fetch

    typer.echo(fetch(name))
