"""`devnet fip`: paths of a network in a file, grown or any other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from inspect import Parameter, Signature, signature
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
Shard = Annotated[
    bool,
    typer.Option(
        "--shard",
        help="Cut the weights among 1, 2, 4 or 8 processes of torchrun, for a network that does not fit one device.",
    ),
]


def _walk(
    work: Callable[[Any, Any], str],
    network: Given,
    out: Out,
    images: Images = "digits",
    seed: Seed = 0,
    network_out: Network = None,
    factory: Factory = None,
    checkpoint: Kept = None,
    every: Every = 60.0,
    shard: Shard = False,
) -> None:
    """Check that the targets can be written, work in as many processes as there are, and say how it went.

    Args:
        work: What is done, with the module ``path_files`` and the job; says in a line how it went.
        network: The network.
        out: Where the path goes.
        images: Name of the image set.
        seed: Seed.
        network_out: Where the network at the end goes, or None.
        factory: What makes the module, or None.
        checkpoint: Folder in which the walk is kept, or None.
        every: Seconds between two checkpoints.
        shard: Whether the weights are cut among the processes.
    """
    writable(out, network_out)
    with ExitStack() as stack:
        if checkpoint is not None:
            stack.enter_context(stopping.on_signals())
        from devnet.fip import leads, torchrun
        from devnet.study import path_files

        stack.enter_context(torchrun(sharded=shard))
        job = path_files.Job(network, out, images, factory, network_out, seed, checkpoint, every)
        told = work(path_files, job)
        if leads():
            typer.echo(told)


def _command(work: Callable[..., str]) -> Callable[..., str]:
    """Make a command of what is done: its options are those of ``_walk`` and its own."""
    without = {
        "connect": {"checkpoint", "every", "shard"},  # a curve is bent all at once
        "ensemble": {"checkpoint", "every", "shard"},  # so are its cycles
        "recover": {"shard"},  # a Gauss-Newton round needs the whole vector
    }.get(work.__name__, set())
    shared = [p for p in signature(_walk, eval_str=True).parameters.values() if p.name not in without][1:]
    own = list(signature(work, eval_str=True).parameters.values())[2:]

    def command(**given: Any) -> None:
        mine = {p.name: given.pop(p.name) for p in own}
        _walk(lambda files, job: work(files, job, **mine), **given)

    both = sorted([*shared[:1], *own, *shared[1:]], key=lambda p: p.default is not Parameter.empty)
    vars(command)["__signature__"] = Signature(both)
    command.__annotations__ = {p.name: p.annotation for p in both}
    command.__doc__ = work.__doc__
    app.command(work.__name__)(command)
    return work


@_command
def sparsify(
    files: Any,
    job: Any,
    sparsity: Annotated[float, typer.Option(min=0, max=1, help="Share of the weights to cut.")] = 0.95,
    steps: Annotated[int, typer.Option(min=1, help="Steps along the path.")] = 1000,
) -> str:
    """Sparsify a network without labels and write the path."""
    return files.sparsify_file(job, sparsity=sparsity, steps=steps)


@_command
def recover(
    files: Any,
    job: Any,
    cut: Annotated[float, typer.Option(min=0, max=1, help="Share of the hidden units that is lost.")] = 0.5,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of recovery.")] = 20,
) -> str:
    """Damage a network, let it recover without labels, and write the path."""
    return files.recover_file(job, cut=cut, rounds=rounds)


@_command
def learn(
    files: Any,
    job: Any,
    past: Annotated[str, typer.Option(help="Image set that the network knows.")],
    stored: Annotated[int, typer.Option(min=1, help="Images of it that are kept, without labels.")] = 200,
    offset: Annotated[int, typer.Option(min=0, help="Added to the new class numbers.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Steps along the path.")] = 1000,
) -> str:
    """Teach a network the image set --data while it keeps what it does on --past, and write the path."""
    return files.learn_file(job, past=past, stored=stored, offset=offset, steps=steps)


@_command
def connect(
    files: Any,
    job: Any,
    other: Annotated[Path, typer.Argument(help="Second network, of the same kind and sizes.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of bending.")] = 1500,
) -> str:
    """Connect two networks by a curve of networks that all do the job, without labels; --network is its middle."""
    return files.connect_files(job, other, steps=steps)


@_command
def ensemble(
    files: Any,
    job: Any,
    count: Annotated[int, typer.Option(min=1, help="Networks to keep.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Steps from one to the next.")] = 250,
) -> str:
    """Collect networks along a path, with labels, that do better together; --network is the last of them."""
    return files.ensemble_file(job, count=count, steps=steps)
