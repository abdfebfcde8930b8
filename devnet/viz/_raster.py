"""Pictures of a sheet as pixels, for movies: which cell a pixel shows is found once, then a frame is one look-up."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, final

import matplotlib as mpl
import numpy as np
import shapely
from jaxtyping import Float, Int, UInt8
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import KDTree

from devnet.sheet import Sheet

NIGHT = "#10151b"
"""Ground of movies and of the scene."""
_WORDS, _QUIET, _EDGE = (236, 240, 244), (160, 172, 184), (70, 82, 95)
_ROWS_AT_ONCE = 1 << 18


@final
class Canvas:
    """A sheet on a grid of pixels, with room for words below it.

    Memory grows with the pixels, not with the cells: a look-up of the pixel's cell and one of its unit.

    Args:
        sheet: The sheet.
        width: Pixels across, an even number.
        height: Pixels down, an even number.
    """

    def __init__(self, sheet: Sheet, width: int, height: int) -> None:
        self.width, self.height, self.sheet = width, height, sheet
        self._font = max(10, height // 30)
        x0, y0, x1, y1 = sheet.scaffold.bounds
        top, bottom = 0.04 * height, 0.2 * height
        self._scale = min((height - top - bottom) / (y1 - y0), 0.94 * width / (x1 - x0))
        self._left = 0.5 * (width - self._scale * (x1 - x0)) - self._scale * x0
        self._top = top + self._scale * y1
        radius = 0.48 * sheet.spacing
        self.cell = self._nearest(sheet.positions, max(radius, 0.75 / self._scale))
        self.unit = self._nearest(sheet.unit_positions, max(0.9 * radius, 1.0 / self._scale))
        self._ground = self._outlined()

    def _nearest(self, points: Float[np.ndarray, "n 2"], radius: float) -> Int[np.ndarray, "height width"]:
        """Return for each pixel the nearest point within a radius, or -1."""
        found = np.full(self.height * self.width, -1, dtype=np.int32)
        if not len(points):
            return found.reshape(self.height, self.width)
        tree = KDTree(points)
        for first in range(0, len(found), _ROWS_AT_ONCE):
            pixel = np.arange(first, min(first + _ROWS_AT_ONCE, len(found)))
            row, column = np.divmod(pixel, self.width)
            place = np.stack([column + 0.5 - self._left, self._top - row - 0.5], axis=1) / self._scale
            _, nearest = tree.query(place, distance_upper_bound=radius)
            found[pixel] = np.where(nearest < len(points), nearest, -1)
        return found.reshape(self.height, self.width)

    def _outlined(self) -> UInt8[np.ndarray, "height width 3"]:
        picture = Image.new("RGB", (self.width, self.height), NIGHT)
        pen = ImageDraw.Draw(picture)
        for polygon in shapely.get_parts(self.sheet.scaffold.polygon):
            for ring in (polygon.exterior, *polygon.interiors):
                points = np.asarray(ring.coords)[:, :2] * [self._scale, -self._scale] + [
                    self._left,
                    self._top,
                ]
                pen.line([tuple(p) for p in points.tolist()], fill=_EDGE, width=1)
        return np.asarray(picture)

    def frame(
        self,
        cells: UInt8[np.ndarray, "n 3"],
        seen: np.ndarray,
        title: str,
        text: str,
        units: Any = None,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Paint a frame.

        Args:
            cells: Color of each cell.
            seen: (n,), whether a cell is there.
            title: A line of large words.
            text: A line of smaller ones.
            units: Colors of the units and which are there, or None to leave them out.

        Returns:
            The pixels.
        """
        pixels = self._ground.copy()
        layers = [(self.cell, cells, seen)]
        if units is not None:
            layers.append((self.unit, *units))
        for owner, color, there in layers:
            if len(there):
                shown = (owner >= 0) & there[owner]
                pixels[shown] = color[owner[shown]]
        picture = Image.fromarray(pixels)
        pen = ImageDraw.Draw(picture)
        y = self.height - int(0.16 * self.height)
        pen.text((self.width // 2, y), title, fill=_WORDS, font=_font(int(1.25 * self._font)), anchor="mt")
        pen.text(
            (self.width // 2, y + int(2.0 * self._font)),
            text,
            fill=_QUIET,
            font=_font(self._font),
            anchor="mt",
        )
        return np.asarray(picture)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def rgb(color: Any) -> Float[np.ndarray, " 3"]:
    """Return a color as three numbers from 0 to 255."""
    return 255.0 * np.array(to_rgb(color))
