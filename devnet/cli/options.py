"""Options that several commands share, and what they do with a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Model = Annotated[str, typer.Argument(help="Name of a model (see `devnet models`) or path of a TOML file.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write; an existing one is replaced.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness.")]
Backend = Annotated[str, typer.Option(help="Who steps the sheet: numba, reference, brian2 or torch.")]
Field = Annotated[str, typer.Option(help="How the coupling is summed: exact, or fast (numba, torch).")]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads for sheets of 8000 cells and more with a fast field.")
]
Network = Annotated[
    Path | None,
    typer.Option(
        "--network",
        help="Where the network at the end of the path goes (of a curve its middle, of an ensemble the last).",
    ),
]
Every = Annotated[float, typer.Option(min=0, help="Seconds between two checkpoints: what a kill may cost.")]
Images = Annotated[str, typer.Option("--data", help="Image set: digits, mnist, fashion-mnist or cifar10.")]


def model_of(name: str) -> Any:
    """Return the model that a command was given, by name or file."""
    from devnet.spec import load_model

    return load_model(name)


def save(noun: Any, out: Path) -> None:
    """Save what a verb returned, and say what it is."""
    from devnet import io
    from devnet._core.errors import printable

    io.save(noun, out)
    typer.echo(printable(f"{out}: {noun}"))


def tell(numbers: dict[str, Any]) -> None:
    """Print measured numbers on one line."""
    typer.echo("  ".join(f"{name} {value:.3g}" for name, value in numbers.items() if value is not None))
