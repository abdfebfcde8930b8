"""`devnet fip`: paths of a network in a file, grown or any other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from devnet.cli.options import Images, Network, Out, Seed
from devnet.cli.targets import writable

app = typer.Typer(
    help="Move a network along a functionally invariant path. A NETWORK is what `devnet export` wrote, or, with "
    "--factory, any PyTorch network's weights as a plain safetensors file. No file is ever executed.",
    no_args_is_help=True,
)

Given = Annotated[Path, typer.Argument(help="Network that `devnet export` wrote; with --factory, weights.")]
Factory = Annotated[
    str | None,
    typer.Option(
        help="What the weights belong to: lenet-300-100, small-cnn, vgg-11, resnet-18, vit-small, mlp:784-100-10, or "
        "package.module:function of an installed package, whose code then runs: name only packages you trust."
    ),
]


def _job(
    network: Path, out: Path, images: str, factory: str | None, network_out: Path | None, seed: int
) -> Any:
    """Return what a command works on, once its targets can be written."""
    writable(out, network_out)
    from devnet.study.path_files import Job

    return Job(network, out, images, factory, network_out, seed)


@app.command()
def sparsify(
    network: Given,
    out: Out,
    sparsity: Annotated[float, typer.Option(min=0, max=1, help="Share of the weights to cut.")] = 0.95,
    images: Images = "digits",
    steps: Annotated[int, typer.Option(min=1, help="Steps along the path.")] = 1000,
    seed: Seed = 0,
    network_out: Network = None,
    factory: Factory = None,
) -> None:
    """Sparsify a network without labels and write the path."""
    job = _job(network, out, images, factory, network_out, seed)
    from devnet.study import path_files

    typer.echo(path_files.sparsify_file(job, sparsity=sparsity, steps=steps))


@app.command()
def recover(
    network: Given,
    out: Out,
    cut: Annotated[float, typer.Option(min=0, max=1, help="Share of the hidden units that is lost.")] = 0.5,
    images: Images = "digits",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of recovery.")] = 20,
    seed: Seed = 0,
    network_out: Network = None,
    factory: Factory = None,
) -> None:
    """Damage a network, let it recover without labels, and write the path."""
    job = _job(network, out, images, factory, network_out, seed)
    from devnet.study import path_files

    typer.echo(path_files.recover_file(job, cut=cut, rounds=rounds))


@app.command()
def learn(
    network: Given,
    out: Out,
    past: Annotated[str, typer.Option(help="Image set that the network knows.")],
    images: Images = "digits",
    stored: Annotated[int, typer.Option(min=1, help="Images of it that are kept, without labels.")] = 200,
    offset: Annotated[int, typer.Option(min=0, help="Added to the new class numbers.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Steps along the path.")] = 1000,
    seed: Seed = 0,
    network_out: Network = None,
    factory: Factory = None,
) -> None:
    """Teach a network the image set --data while it keeps what it does on --past, and write the path."""
    job = _job(network, out, images, factory, network_out, seed)
    from devnet.study import path_files

    typer.echo(path_files.learn_file(job, past=past, stored=stored, offset=offset, steps=steps))


@app.command()
def connect(
    network: Given,
    other: Annotated[Path, typer.Argument(help="Second network, of the same kind and sizes.")],
    out: Out,
    images: Images = "digits",
    steps: Annotated[int, typer.Option(min=1, help="Steps of bending.")] = 1500,
    seed: Seed = 0,
    network_out: Network = None,
    factory: Factory = None,
) -> None:
    """Connect two networks by a curve of networks that all do the job, without labels; --network is its middle."""
    job = _job(network, out, images, factory, network_out, seed)
    from devnet.study import path_files

    typer.echo(path_files.connect_files(job, other, steps=steps))
