"""`devnet fip`: paths of a saved network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devnet.cli.options import Images, Network, Out, Seed
from devnet.cli.targets import writable

app = typer.Typer(
    help="Move a network along a functionally invariant path, without labels.", no_args_is_help=True
)


@app.command()
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


@app.command()
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
