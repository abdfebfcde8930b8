"""`devnet fip`: paths of a network in a file, grown or any other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from devnet._core import stopping
from devnet._core.errors import ConfigError
from devnet.cli.options import Every, Network, Out, Seed
from devnet.cli.targets import writable

app = typer.Typer(
    help="Move a network along a functionally invariant path. A NETWORK is what `devnet export` wrote, or, with "
    "--factory, any PyTorch network's weights as a plain safetensors file. No file is ever executed. Several "
    "processes: torchrun --nproc-per-node N -m devnet.cli fip ...; up to 8 give the same path, bit for bit.",
    no_args_is_help=True,
)

_SETS = "digits, mnist, fashion-mnist, cifar10, or an .npz file with x_train, y_train, x_test, y_test"
Images = Annotated[str, typer.Option("--data", help=f"Labeled images: {_SETS}.")]
Beside = Annotated[
    bool,
    typer.Option(
        "--beside", help="Run the job's baselines too, at the same budget, and print one table of all."
    ),
]
Rows = Annotated[Path | None, typer.Option("--json", help="File for the figures, a row a method.")]
Given = Annotated[Path, typer.Argument(help="Network that `devnet export` wrote; with --factory, weights.")]
Factory = Annotated[
    str | None,
    typer.Option(
        help="What the weights belong to: lenet-300-100, small-cnn, vgg-11, resnet-18, vit-small, mlp:784-100-10, or "
        "package.module:function of an installed package, whose code then runs: name only packages you trust."
    ),
]
Start = Annotated[
    Path | None,
    typer.Argument(help="As elsewhere; without it the network of --factory starts from fresh weights."),
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
    beside: Beside = False,
    rows: Rows = None,
) -> None:
    """Check that the targets can be written, work in as many processes as there are, and say how it went.

    Args:
        work: What is done, with the module ``path_files`` and the job; says in a line how it went.
        network: The network; None in ``continual``, for fresh weights.
        out: Where the path goes.
        images: Name of the image set.
        seed: Seed.
        network_out: Where the network at the end goes, or None.
        factory: What makes the module, or None.
        checkpoint: Folder in which the walk is kept, or None.
        every: Seconds between two checkpoints.
        shard: Whether the weights are cut among the processes.
        beside: Whether the baselines are run too.
        rows: Where figures go, or None.

    Raises:
        ConfigError: Baselines beside a network that is cut among processes.
    """
    writable(out, network_out)
    writable(rows, name="--json")
    if shard and beside:
        raise ConfigError("--beside", "with --shard", "one of both: baselines hold the whole network")
    with ExitStack() as stack:
        if checkpoint is not None:
            stack.enter_context(stopping.on_signals())
        from devnet.fip import leads, torchrun
        from devnet.study import path_files

        team = stack.enter_context(torchrun(sharded=shard))
        job = path_files.Job(
            network, out, images, factory, network_out, seed, checkpoint, every, beside, rows
        )
        stack.enter_context(job.alone(team))
        told = work(path_files, job)
        if leads():
            typer.echo(told)


def _command(work: Callable[..., str]) -> Callable[..., str]:
    """Make a command of what is done: its options are those of ``_walk`` and its own."""
    without = {
        "connect": {"checkpoint", "every", "shard"},  # a curve is bent all at once
        "ensemble": {"checkpoint", "every", "shard"},  # so are its cycles
        "continual": {"checkpoint", "every", "shard"},  # and its tasks
        "recover": {"shard"},  # a Gauss-Newton round needs the whole vector
    }.get(work.__name__, set())
    shared = [p for p in signature(_walk, eval_str=True).parameters.values() if p.name not in without][1:]
    if work.__name__ == "continual":
        shared[0] = shared[0].replace(annotation=Start, default=None)
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
    past: Annotated[str, typer.Option(help=f"Images that the network knows: {_SETS}.")],
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


@_command
def continual(
    files: Any,
    job: Any,
    tasks: Annotated[
        str, typer.Option(help="split: some classes a task; permuted: all, the pixels in ever other orders.")
    ] = "split",
    per_task: Annotated[int, typer.Option(min=1, help="Classes a task, where they are split.")] = 2,
    count: Annotated[int, typer.Option(min=1, help="Tasks, where pixels are permuted.")] = 10,
    stored: Annotated[int, typer.Option(min=1, help="Images that are kept of every task.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Steps a task.")] = 300,
    batch: Annotated[int, typer.Option(min=1, help="New images a step, and as many stored ones.")] = 64,
    method: Annotated[
        str, typer.Option(help="ours, ours-no-labels, der++, der, er, a-gem, ewc, lwf, gpm or naive.")
    ] = "ours",
    rate: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of all methods; each has one of its own.")
    ] = None,
) -> str:
    """Learn --data as a sequence of tasks, one after the other, and write the network after each."""
    from devnet.study.continual_files import continual_file

    return continual_file(
        job,
        kind=tasks,
        per_task=per_task,
        count=count,
        stored=stored,
        steps=steps,
        batch=batch,
        method=method,
        rate=rate,
    )
