"""One picture for any noun, for notebooks: what a verb returned, drawn the way that tells most."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.sheet import Recording, Sheet, Stack, Wiring
from devnet.viz._fields import topography
from devnet.viz._growth import growth
from devnet.viz._paths import PathLike, path_curves
from devnet.viz._pools import pools
from devnet.viz._waves import wave_frames


@singledispatch
def plot(noun: Any) -> Figure:
    """Draw a noun in the way that tells most of it.

    A Sheet as it grew, a Recording's wave in frames, a Wiring's pools, the map of a Stack's top layer, the curves
    along a Path.

    Args:
        noun: What a verb returned.

    Returns:
        The figure; each kind has further ones, see the other functions of ``devnet.viz``.

    Raises:
        ConfigError: Nothing that is known here.
    """
    if isinstance(noun, PathLike):
        return path_curves(noun)
    raise ConfigError("noun", type(noun).__name__, "a Sheet, Recording, Wiring, Stack or Path")


@plot.register
def _(noun: Sheet) -> Figure:
    return growth(noun)


@plot.register
def _(noun: Recording) -> Figure:
    return wave_frames(noun)


@plot.register
def _(noun: Wiring) -> Figure:
    return pools(noun)


@plot.register
def _(noun: Stack) -> Figure:
    return topography(noun, layer=len(noun.layers) + 1)
