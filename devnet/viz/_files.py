"""How a figure becomes SVG or PNG: the same bytes every time, and small."""

from __future__ import annotations

import base64
import io
import re

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from devnet.viz.style import styled

_RASTER_DPI = 180
_ID = re.compile(r'(\bid="|href="#|url\(#)')


_PNG = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=\s]+")


def _smaller(found: re.Match[str]) -> str:
    """Write a PNG inside an SVG again in 256 colors."""
    with Image.open(io.BytesIO(base64.b64decode(found.group()))) as picture:
        flat = picture.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    flat.save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def settle(figure: Figure) -> None:
    """Lay a figure out for good: the solver of layouts leaves last digits to chance, and they would show in files."""
    if figure.get_layout_engine() is None:
        return
    for _ in range(2):  # panels that keep their shape find their places at the second time
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        box = np.round(axes.get_position(original=True).bounds, 5)
        axes.set_position(box.tolist(), which="original")


@styled
def to_svg(figure: Figure, name: str) -> str:
    """Write a figure as SVG text: same nouns, same bytes; text stays text; clouds of cells are one picture each.

    Args:
        figure: The figure.
        name: Prefix of all ids, so that several figures can stand on one page.

    Returns:
        The text, beginning with ``<svg``.
    """
    settle(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, dpi=_RASTER_DPI, metadata=nothing)
    text = _PNG.sub(_smaller, buffer.getvalue())
    return _ID.sub(rf"\g<1>{name}-", text[text.index("<svg") :].replace("xlink:href", "href"))


@styled
def to_png(figure: Figure, dpi: float = 144) -> bytes:
    """Write a figure as PNG on white ground, in 256 colors: a third of the size, and no eye sees the difference."""
    settle(figure)
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    buffer.seek(0)
    with Image.open(buffer) as picture:
        flat = picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    flat.putpalette([255 if value > 252 else value for value in flat.getpalette() or []])  # white stays white
    flat.save(small, "png", dpi=(dpi, dpi))
    return small.getvalue()
