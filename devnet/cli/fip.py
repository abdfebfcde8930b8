"""`devnet fip`: paths of a network in a file, grown or any other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from devnet._core import stopping
from devnet.cli.options import Every, Images, Network, Out, Seed
from devnet.cli.targets import writable

app = typer.Typer(
    help="Move a network along a functionally invariant path. A NETWORK is what `devnet export` wrote, or, with "
    "--factory, any PyTorch network's weights as a plain safetensors file. No file is ever executed. Several "
    "processes: torchrun --nproc-per-node N -m devnet.cli fip ...; up to 8 give the same path, bit for bit.",
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
Kept = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Folder in which the walk is kept: stopped or killed, it goes on when the same command is given again.",
    ),
]


def _walk(
    work: Callable[[Any, Any], str],
    network: Path,
    out: Path,
    images: str,
    factory: str | None,
    network_out: Path | None,
    seed: int,
    checkpoint: Path | None = None,
    every: float = 60.0,
) -> None:
    """Check that the targets can be written, work in as many processes as there are, and say how it went.

    Args:
        work: What is done, with the module ``path_files`` and the job; says in a line how it went.
        network: The network.
        out: Where the path goes.
        images: Name of the image set.
        factory: What makes the module, or None.
        network_out: Where the network at the end goes, or None.
        seed: Seed.
        checkpoint: Folder in which the walk is kept, or None.
        every: Seconds between two checkpoints.
    """
    writable(out, network_out)
    with ExitStack() as stack:
        if checkpoint is not None:
            stack.enter_context(stopping.on_signals())
        from devnet.fip import leads, torchrun
        from devnet.study import path_files

        stack.enter_context(torchrun())
        job = path_files.Job(network, out, images, factory, network_out, seed, checkpoint, every)
        told = work(path_files, job)
        if leads():
            typer.echo(told)


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
    checkpoint: Kept = None,
    every: Every = 60.0,
) -> None:
    """Sparsify a network without labels and write the path."""
    _walk(
        lambda files, job: files.sparsify_file(job, sparsity=sparsity, steps=steps),
        network,
        out,
        images,
        factory,
        network_out,
        seed,
        checkpoint,
        every,
    )


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
    checkpoint: Kept = None,
    every: Every = 60.0,
) -> None:
    """Damage a network, let it recover without labels, and write the path."""
    _walk(
        lambda files, job: files.recover_file(job, cut=cut, rounds=rounds),
        network,
        out,
        images,
        factory,
        network_out,
        seed,
        checkpoint,
        every,
    )


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
    checkpoint: Kept = None,
    every: Every = 60.0,
) -> None:
    """Teach a network the image set --data while it keeps what it does on --past, and write the path."""
    _walk(
        lambda files, job: files.learn_file(job, past=past, stored=stored, offset=offset, steps=steps),
        network,
        out,
        images,
        factory,
        network_out,
        seed,
        checkpoint,
        every,
    )


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
    _walk(
        lambda files, job: files.connect_files(job, other, steps=steps),
        network,
        out,
        images,
        factory,
        network_out,
        seed,
    )
