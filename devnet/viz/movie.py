"""Movies of a run: a sheet grows, waves run over it, pools form. MP4 through ffmpeg, or GIF."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import to_rgba_array
from PIL import Image

from devnet._core.errors import ConfigError, MissingDependencyError, StorageError
from devnet._core.progress import task
from devnet.io import write_bytes
from devnet.sheet import Recording, Wiring
from devnet.spec import load_model
from devnet.viz._growth import clones
from devnet.viz._learning import times
from devnet.viz._pools import centers, neighbor_colors, spread_units, strongest
from devnet.viz._raster import Canvas, rgb
from devnet.viz._run import Run
from devnet.viz.style import FIRE, PATCHES

GROWTH, WAVES, POOLS, REST = 6.0, 10.0, 9.0, 1.2
"""Seconds of each part, and for which its end stays."""
_CELL, _UNIT, _FIRE = rgb("#7f8fa3"), rgb("#e3b341"), rgb(FIRE) * 0.35 + rgb("#ff5a1f") * 0.65
_MOST_STEPS = 900
"""Steps of a recording that are shown: more would run too fast to follow."""

Frame = UInt8[np.ndarray, "height width 3"]


def write_movie(run_dir: str | Path, out: str | Path | None = None, *, height: int | None = None) -> Path:
    """Write a movie of a run folder, finished or not: growth, waves, pools, as far as they are there.

    Frames are made one at a time and handed to the encoder, so that memory grows with the pixels, not with the cells.

    Args:
        run_dir: The run folder.
        out: A name that ends in ``.mp4`` (needs ffmpeg) or ``.gif``; by default beside the run folder, MP4 where ffmpeg is
            installed.
        height: Lines of a frame, 120 to 2160, even; by default 720 for MP4 and 400 for GIF.

    Returns:
        The movie's file.

    Raises:
        ConfigError: The folder holds no run or no sheet yet, or a bad name or height.
        MissingDependencyError: MP4 was asked for and ffmpeg is not installed.
        StorageError: The movie could not be written.
    """
    path, ffmpeg = Path(run_dir), shutil.which("ffmpeg")
    if not (path / "config.toml").is_file():
        raise ConfigError("run", str(path), "a folder that holds a run: one with a config.toml")
    resolved = path.resolve()
    target = (
        Path(out) if out is not None else resolved.parent / f"{resolved.name}{'.mp4' if ffmpeg else '.gif'}"
    )
    kind = target.suffix.lower()
    if kind not in (".mp4", ".gif"):
        raise ConfigError("out", str(target), "a name that ends in .mp4 or .gif")
    if kind == ".mp4" and ffmpeg is None:
        raise MissingDependencyError(
            "ffmpeg", "not installed", "your system's ffmpeg, or a name that ends in .gif"
        )
    lines = height if height is not None else 720 if kind == ".mp4" else 400
    if isinstance(lines, bool) or not 120 <= lines <= 2160 or lines % 2:
        raise ConfigError("height", lines, "an even number from 120 to 2160")
    run = Run(path, load_model(path / "config.toml"), {})
    if not run.sheets:
        raise ConfigError("run", str(path), "a run that has grown its sheet")
    rate = 25 if kind == ".mp4" else 12
    width = 2 * round(lines * 4 / 3 / 2)
    canvas = Canvas(run.sheets[0], width, lines)
    recording = next(iter(run.recordings.values()), None)
    frames = film(canvas, rate, recording, run.wiring)
    data = _mp4(frames, rate, width, lines, str(ffmpeg)) if kind == ".mp4" else _gif(frames, rate)
    write_bytes(target, data)
    return target


def film(canvas: Canvas, rate: int, recording: Recording | None, wiring: Wiring | None) -> Iterator[Frame]:
    """Yield the frames of a movie.

    Args:
        canvas: What to paint on.
        rate: Frames per second.
        recording: Its waves, or None.
        wiring: Its pools, or None.

    Yields:
        Pixels, one frame after the other.
    """
    first = REST if canvas.sheet.model.growth.scattered else GROWTH
    parts = [(growing(canvas, round(first * rate)), first)]
    if recording is not None:
        parts.append((waving(canvas, recording, round(WAVES * rate)), WAVES))
    if wiring is not None:
        parts.append((pooling(canvas, wiring, recording, round(POOLS * rate)), POOLS))
    rest = round(REST * rate)
    with task("movie", sum(round(seconds * rate) + rest for _, seconds in parts)) as tick:
        for frames, _ in parts:
            held: list[Frame] = []
            for frame in frames:
                held = [frame]
                yield frame
                tick()
            for frame in held * rest:
                yield frame
                tick()


def growing(canvas: Canvas, count: int) -> Iterator[Frame]:
    """Yield frames of growth: each cell in the color of its early ancestor, bright when just born; units on top.

    Cells that were scattered have no ancestors and stand there from the first frame on.
    """
    sheet = canvas.sheet
    if sheet.model.growth.scattered:
        rest, there = np.tile(_CELL, (sheet.n, 1)).astype(np.uint8), np.ones(sheet.n, dtype=bool)
        for _ in range(count):
            yield canvas.frame(rest, there, "Sheet", f"{sheet.n:,} cells, placed at random")
        return
    tint = 255.0 * to_rgba_array(PATCHES)[clones(sheet, len(PATCHES)), :3] * 0.85 + 30.0
    yellow = np.tile(_UNIT, (sheet.m, 1)).astype(np.uint8)
    for k in range(count):
        sweep = sheet.sweeps * (k / max(count - 1, 1)) ** 1.7
        there, up = sheet.born <= sweep, sheet.emitted <= sweep
        fresh = np.exp(-np.maximum(sweep - sheet.born, 0.0) / 3.0)[:, None]
        cells = np.clip(tint + fresh * (255.0 - tint), 0, 255).astype(np.uint8)
        words = (
            f"{there.sum():,} cell{'s' if there.sum() > 1 else ''} from one"
            if there.sum() > 1
            else "one cell"
        )
        risen = f"; {up.sum():,} sent up a unit of the second layer (yellow)" if up.any() else ""
        yield canvas.frame(cells, there, f"Growth, sweep {int(sweep)}", words + risen, (yellow, up))


def waving(canvas: Canvas, recording: Recording, count: int) -> Iterator[Frame]:
    """Yield frames of waves: cells that fire glow and fade."""
    steps = min(recording.steps, _MOST_STEPS)
    glow = _Glow(recording)
    everywhere = np.ones(canvas.sheet.n, dtype=bool)
    rest = np.tile(_CELL, (canvas.sheet.n, 1))
    for k in range(count):
        step = int((steps - 1) * k / max(count - 1, 1))
        cells = glow.over(rest, step)
        text = f"{recording.active[step]} cells fire, driven by noise and their neighbors alone"
        yield canvas.frame(cells, everywhere, f"Waves, step {step:,}", text)


def pooling(canvas: Canvas, wiring: Wiring, recording: Recording | None, count: int) -> Iterator[Frame]:
    """Yield frames of learning: a cell has the color of the shown unit whose field it lies in."""
    steps, weights = times(wiring)
    shown = spread_units(wiring.weights, 24)
    color = 255.0 * neighbor_colors(centers(wiring.weights[:, shown], wiring.sheet))[:, :3]
    looks = [_owned(known[:, shown], color) for known in weights]
    glow = _Glow(recording) if recording is not None else None
    everywhere = np.ones(canvas.sheet.n, dtype=bool)
    for k in range(count):
        at = (len(looks) - 1) * k / max(count - 1, 1)
        low = min(int(at), len(looks) - 1)
        high, part = min(low + 1, len(looks) - 1), at - low
        cells = (1 - part) * looks[low] + part * looks[high]
        if glow is not None and recording is not None:
            cells = glow.over(cells, int((min(recording.steps, _MOST_STEPS) - 1) * k / max(count - 1, 1)))
        step = steps[low] + part * (steps[high] - steps[low])
        text = f"fields of {len(shown)} of {wiring.units} units; gray: in none of them"
        yield canvas.frame(np.asarray(cells, np.uint8), everywhere, f"Pools, learning step {step:,.0f}", text)


def _owned(weights: Float[np.ndarray, "n k"], color: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "n 3"]:
    owner, inside = strongest(weights)
    return np.where(inside[:, None], color[owner], 0.55 * _CELL)


class _Glow:
    """How brightly each cell glows at a step: 1 when it fires, then fading."""

    _FADE, _LOOK_BACK = 5.0, 30

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def over(self, cells: Float[np.ndarray, "n 3"], step: int) -> UInt8[np.ndarray, "n 3"]:
        """Return colors with the glow of a step over them."""
        first, last = np.searchsorted(self._recording.time, [step - self._LOOK_BACK, step + 1])
        cell, age = self._recording.cell[first:last], step - self._recording.time[first:last]
        glow = np.zeros(len(cells))
        glow[cell] = np.exp(-age / self._FADE)  # later spikes overwrite earlier ones
        return (cells + glow[:, None] * (_FIRE - cells)).astype(np.uint8)


def _gif(frames: Iterator[Frame], rate: int) -> bytes:
    """Encode a GIF of 128 colors a frame."""
    small = (
        Image.fromarray(frame).quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        for frame in frames
    )
    buffer = io.BytesIO()
    next(small).save(
        buffer, "gif", save_all=True, append_images=small, duration=round(1000 / rate), loop=0, disposal=1
    )
    return buffer.getvalue()


def _mp4(frames: Iterator[Frame], rate: int, width: int, height: int, ffmpeg: str) -> bytes:
    """Encode H.264 in an MP4 that browsers and slides play."""
    command = [
        ffmpeg, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate),
        "-i", "pipe:0", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-preset", "medium",
        "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", "pipe:1",
    ]  # fmt: skip
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as encoder:
        found: dict[str, bytes] = {}
        readers = [
            threading.Thread(target=lambda n=name, pipe=pipe: found.update({n: _all_of(pipe)}))
            for name, pipe in (("movie", encoder.stdout), ("words", encoder.stderr))
        ]
        for reader in readers:
            reader.start()
        try:
            for frame in frames:
                encoder.stdin.write(frame.tobytes())  # pyright: ignore[reportOptionalMemberAccess]
            encoder.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]
        except BrokenPipeError:
            pass  # it says why below
        except BaseException:
            encoder.kill()
            raise
        for reader in readers:
            reader.join()
    if encoder.returncode != 0:
        words = found.get("words", b"").decode("utf-8", "replace").strip()
        raise StorageError(f"ffmpeg: ended with code {encoder.returncode} ({words[-200:]})")
    return found["movie"]


def _all_of(pipe: IO[bytes] | None) -> bytes:
    return b"" if pipe is None else pipe.read()
