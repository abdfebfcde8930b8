from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.measure import wave_statistics
from devnet.sheet import Recording, Sheet
from devnet.waves import simulate


def record(sheet: Sheet, frames: list[np.ndarray]) -> Recording:
    """Return a recording in which the given cells fire, one array a step."""
    time = np.concatenate([np.full(len(cells), step) for step, cells in enumerate(frames)])
    dynamics = sheet.model.dynamics["rate_map"]
    return Recording(
        sheet, dynamics, Key(0), "none", "none", len(frames), time, np.concatenate(frames).astype(int)
    )


def bump(sheet: Sheet, x: float, y: float, radius: float = 1.5) -> np.ndarray:
    return np.flatnonzero(np.hypot(*(sheet.positions - (x, y)).T) < radius)


NOTHING = np.empty(0, int)


def test_a_bump_that_travels(sheet: Sheet) -> None:
    frames = [bump(sheet, 3 + 0.1 * step, 7.5) for step in range(90)]
    stats = wave_statistics(record(sheet, frames))
    sizes = np.array([len(cells) for cells in frames])
    assert stats.spikes == sizes.sum()
    assert stats.active_mean == pytest.approx(sizes.mean())
    assert stats.active_median == np.median(sizes)
    assert stats.active_share_of_steps == 1
    assert stats.g19_share_of_steps == 0  # 21 cells are fewer than 31
    assert stats.radius_mean == pytest.approx(1.5 * 0.8**0.5, rel=0.05)
    assert stats.speed == pytest.approx(0.1, rel=0.25)
    assert stats.components == stats.single_share == 1
    assert stats.waves == 1
    assert stats.start_spread is None
    assert stats.starts[0] == pytest.approx(sheet.positions[frames[0]].mean(axis=0))
    assert stats.visited == len(np.unique(np.concatenate(frames))) / sheet.n


def test_speed_and_radius_are_those_of_the_definition(sheet: Sheet) -> None:
    frames = [bump(sheet, 3 + step, 4 + step % 2, 2.0 + 0.2 * step) for step in range(6)]
    stats = wave_statistics(record(sheet, frames))
    centers = np.array([sheet.positions[cells].mean(axis=0) for cells in frames])
    way = np.hypot(*np.diff(centers, axis=0).T)
    radius = [
        np.quantile(np.hypot(*(sheet.positions[cells] - center).T), 0.8)
        for cells, center in zip(frames, centers, strict=True)
    ]
    assert stats.speed == pytest.approx(way.mean())
    assert stats.radius_mean == pytest.approx(np.mean(radius))
    assert stats.g19_share_of_steps == np.mean([len(cells) > 30 for cells in frames])


def test_separate_waves_and_where_they_start(sheet: Sheet) -> None:
    here, there = bump(sheet, 3, 3), bump(sheet, 12, 12)
    both = np.union1d(here, there)
    frames = [here] * 4 + [NOTHING] * 2 + [there] * 3 + [both] * 5 + [here] * 3 + [NOTHING]
    stats = wave_statistics(record(sheet, frames))
    assert stats.waves == 3
    assert stats.start_frames.tolist() == [0, 6, 9]
    places = [sheet.positions[cells].mean(axis=0) for cells in (here, there, here)]
    assert stats.starts == pytest.approx(np.array(places))
    assert stats.active_share_of_steps == pytest.approx(15 / 18)
    assert stats.components == pytest.approx(20 / 15)
    assert stats.single_share == pytest.approx(10 / 15)
    assert stats.start_spread == pytest.approx(np.sqrt(np.var(places, axis=0).sum()) / sheet.rms_radius)
    # Cells here and there each began to fire twice and once.
    assert stats.visited == len(both) / sheet.n
    visits = np.zeros(sheet.n)
    visits[here] += 2
    visits[there] += 1
    assert stats.visits_cv == pytest.approx(visits.std() / visits.mean())


def test_a_wave_that_dwindles_and_regrows_or_hops_within_reach_is_one(sheet: Sheet) -> None:
    cells = bump(sheet, 7, 7)
    dwindling = [cells, cells[:2], cells[:1], cells[:2], cells]
    assert wave_statistics(record(sheet, dwindling)).waves == 1
    ring = [
        np.setdiff1d(bump(sheet, 7, 7, r + 0.6), bump(sheet, 7, 7, r)) for r in (0, 0.6, 1.2, 1.8, 2.4, 3.0)
    ]
    hopping = wave_statistics(record(sheet, ring))
    assert hopping.waves == 1
    assert hopping.visits_cv is not None
    # Noise that grows into a wave started it nowhere else.
    growing = [bump(sheet, 5, 5, 0.4), bump(sheet, 5, 5, 0.8), bump(sheet, 5, 5, 1.5)]
    assert wave_statistics(record(sheet, growing)).waves == 1


def test_chunks_do_not_show(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = simulate(sheet, steps=600, rng=2)
    whole = wave_statistics(recording)
    monkeypatch.setattr("devnet.measure._parts.CHUNK", 150)
    cut = wave_statistics(recording)
    assert whole.waves > 0
    assert cut.numbers() == pytest.approx(whole.numbers())
    assert np.array_equal(cut.start_frames, whole.start_frames)
    assert cut.starts == pytest.approx(whole.starts)


def test_a_window_joins_steps(sheet: Sheet) -> None:
    cells = bump(sheet, 7, 7)
    single = [cells[step::5] for step in range(5)] * 4 + [cells]
    stats = wave_statistics(record(sheet, single), window=5)
    assert stats.frames == 4  # the last step fills no frame
    assert stats.active_mean == len(cells)
    assert stats.speed == pytest.approx(0, abs=1e-12)
    assert stats.visits_cv == pytest.approx(np.sqrt(sheet.n / len(cells) - 1))
    twice = wave_statistics(record(sheet, [cells, cells]), window=2)
    assert twice.active_mean == len(cells)
    moving = [bump(sheet, 4 + 0.5 * (step // 2), 7) for step in range(10)]
    by_two = wave_statistics(record(sheet, moving), window=2)
    assert by_two.speed == pytest.approx(wave_statistics(record(sheet, moving)).speed * 9 / 8, rel=0.01)


def test_silence_and_noise_are_no_waves(sheet: Sheet) -> None:
    silent = wave_statistics(record(sheet, [NOTHING] * 5))
    assert silent.active_mean == silent.active_share_of_steps == silent.waves == silent.visited == 0
    for name in ("active_median", "radius_mean", "speed", "components", "single_share", "visits_cv"):
        assert getattr(silent, name) is None
    assert silent.starts.shape == (0, 2)
    scattered = np.array([0, 200, 400, 600, 675])
    noise = wave_statistics(record(sheet, [scattered] * 3))
    assert noise.active_share_of_steps == 1
    assert noise.waves == noise.components == 0
    assert noise.numbers().keys() == silent.numbers().keys()


@pytest.mark.parametrize("window", [0, 11, 1.5, True])
def test_a_wrong_window_is_named(sheet: Sheet, window: int) -> None:
    with pytest.raises(ConfigError, match=r"^window: "):
        wave_statistics(record(sheet, [NOTHING] * 10), window=window)
