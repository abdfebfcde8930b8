"""Movies: every frame shows what the noun holds, files play, and memory grows with pixels, not with cells."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from devnet._core.errors import ConfigError, MissingDependencyError, StorageError
from devnet.viz import movie
from devnet.viz._raster import Canvas, rgb
from devnet.viz.movie import film, growing, pooling, waving, write_movie


@pytest.fixture(scope="module")
def canvas(holed):
    return Canvas(holed, 320, 240)


def near(pixels, color, tolerance=25):
    return (np.abs(pixels.astype(int) - color).max(axis=2) <= tolerance).sum()


def test_a_pixel_shows_the_cell_that_lies_there(canvas, holed):
    assert set(np.unique(canvas.cell)) == {-1, *range(holed.n)}
    rows, columns = np.nonzero(canvas.cell >= 0)
    places = holed.positions[canvas.cell[rows, columns]]
    for axis, along in ((0, columns), (1, -rows)):
        assert np.corrcoef(places[:, axis], along)[0, 1] > 0.99


def test_the_sheet_grows_from_frame_to_frame(canvas):
    frames = list(growing(canvas, 12))
    drawn = [int((frame.max(axis=2) > 60).sum()) for frame in frames]
    assert drawn[-1] > 3 * drawn[0]
    assert frames[0].shape == (240, 320, 3)


def test_a_scattered_sheet_stands_there_at_once(scattered):
    first, second = growing(Canvas(scattered, 160, 120), 2)
    np.testing.assert_array_equal(first, second)
    assert near(first, rgb("#7f8fa3")) > scattered.n


def test_cells_glow_where_the_bump_is(canvas, bump):
    frames = list(waving(canvas, bump, bump.steps))
    for step, frame in enumerate(frames):
        hot = (frame[..., 0].astype(int) - frame[..., 2] > 120) & (canvas.cell >= 0)
        if step < 20:
            assert not hot.any()
        if bump.active[step]:
            assert set(bump.firing(step).tolist()) & set(canvas.cell[hot].tolist())


def test_pools_show_colors_at_the_end_that_hang_together(canvas, wiring):
    frames = list(pooling(canvas, wiring, None, 9))
    assert len(frames) == 9
    assert (np.abs(frames[0].astype(int) - frames[-1]).max(axis=2) > 30).mean() > 0.02
    assert near(frames[-1], 0.55 * rgb("#7f8fa3")) > near(frames[0], 0.55 * rgb("#7f8fa3"))


def test_a_movie_has_all_parts_and_their_ends_stay(canvas, bump, wiring, monkeypatch):
    for name, seconds in (("GROWTH", 1.0), ("WAVES", 1.0), ("POOLS", 1.0), ("REST", 0.5)):
        monkeypatch.setattr(movie, name, seconds)
    frames = list(film(canvas, 4, bump, wiring))
    assert len(frames) == 3 * (4 + 2)
    np.testing.assert_array_equal(frames[3], frames[5])
    assert len(list(film(canvas, 4, None, None))) == 6


@pytest.fixture
def short(monkeypatch):
    for name, seconds in (("GROWTH", 0.5), ("WAVES", 0.5), ("POOLS", 0.5), ("REST", 0.1)):
        monkeypatch.setattr(movie, name, seconds)


def test_a_gif_plays(whole_run, tmp_path, short):
    path = write_movie(whole_run, tmp_path / "movie.gif", height=160)
    with Image.open(path) as picture:
        assert picture.format == "GIF"
        assert picture.n_frames > 12
        assert picture.size == (214, 160)
        first = np.asarray(picture.convert("RGB"), int)
        picture.seek(picture.n_frames - 1)
        assert (np.abs(np.asarray(picture.convert("RGB"), int) - first).max(axis=2) > 30).mean() > 0.02


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_plays(whole_run, tmp_path, short):
    path = write_movie(whole_run, tmp_path / "movie.mp4", height=160)
    assert path.read_bytes()[4:8] == b"ftyp"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "null", "-"]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""


def test_without_ffmpeg_a_gif_is_written_beside_the_run(run, monkeypatch, short):
    monkeypatch.setattr(movie.shutil, "which", lambda name: None)
    with pytest.raises(MissingDependencyError, match="ffmpeg"):
        write_movie(run, run / "x.mp4")
    before = sorted(run.rglob("*"))
    assert write_movie(run, height=120) == run.parent / "run.gif"
    assert sorted(run.rglob("*")) == before


def test_an_encoder_that_fails_is_told(whole_run, tmp_path, monkeypatch, short):
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write('no such codec')\nsys.exit(3)\n")
    fake.chmod(0o755)
    monkeypatch.setattr(movie.shutil, "which", lambda name: str(fake))
    with pytest.raises(StorageError, match=r"code 3 \(no such codec\)"):
        write_movie(whole_run, tmp_path / "movie.mp4", height=120)
    assert not (tmp_path / "movie.mp4").exists()


@pytest.mark.parametrize(
    ("out", "height", "match"),
    [("x.avi", None, "out"), ("x.gif", 121, "height"), ("x.gif", 0, "height"), ("x.gif", True, "height")],
)
def test_bad_wishes_are_refused_before_anything_is_drawn(whole_run, tmp_path, out, height, match):
    with pytest.raises(ConfigError, match=match):
        write_movie(whole_run, tmp_path / out, height=height)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_run_or_without_a_sheet_is_refused(tmp_path, run):
    with pytest.raises(ConfigError, match=r"config\.toml"):
        write_movie(tmp_path / "nothing", tmp_path / "x.gif")
    shutil.rmtree(run / "grow")
    with pytest.raises(ConfigError, match="has grown its sheet"):
        write_movie(run, run / "x.gif")
