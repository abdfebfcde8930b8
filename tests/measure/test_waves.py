from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.measure import Health, WaveTally, wave_statistics
from devnet.sheet import Recording, Sheet
from devnet.spec import load_model
from devnet.waves import simulate, stream


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


def pieces(recording: Recording, lengths: list[int]) -> list[Recording]:
    """Cut a recording into parts of the given lengths, the last of which takes the rest."""
    ends = np.concatenate([[0], np.cumsum(lengths), [recording.steps]])
    parts = []
    for first, last in pairwise(ends):
        a, b = np.searchsorted(recording.time, [first, last])
        parts.append(
            replace(
                recording, steps=int(last - first), time=recording.time[a:b] - first, cell=recording.cell[a:b]
            )
        )
    return parts


@pytest.mark.parametrize("window", [1, 7])
@pytest.mark.parametrize("lengths", [[300], [1] * 40, [5, 13, 200, 2, 111]])
def test_how_a_run_is_cut_changes_no_bit(sheet: Sheet, window: int, lengths: list[int]) -> None:
    recording = simulate(sheet, "izhikevich" if window > 1 else "rate_map", steps=600, rng=2)
    whole = wave_statistics(recording, window=window)
    tally = WaveTally(sheet, recording.dynamics, window=window)
    bodies = [tally.update(part) for part in pieces(recording, lengths)]
    cut = tally.statistics()
    assert whole.waves > 0
    assert whole.body_speed is not None
    assert cut.numbers() == whole.numbers()
    assert cut.health is whole.health
    for name in ("start_frames", "starts", "visits"):
        assert np.array_equal(getattr(cut, name), getattr(whole, name)), name
    for field in fields(whole.series):
        assert np.array_equal(getattr(cut.series, field.name), getattr(whole.series, field.name)), field.name
    together = WaveTally(sheet, recording.dynamics, window=window).update(recording)
    for field in fields(together):
        joined = np.concatenate([getattr(part, field.name) for part in bodies])
        assert np.array_equal(joined, getattr(together, field.name), equal_nan=field.name == "speed"), (
            field.name
        )


def test_statistics_of_a_stream_are_those_of_its_recording(sheet: Sheet) -> None:
    tally = WaveTally(sheet, sheet.model.dynamics["rate_map"])
    for part in stream(sheet, steps=2500, rng=2):
        tally.update(part)
    assert tally.statistics().numbers() == wave_statistics(simulate(sheet, steps=2500, rng=2)).numbers()


def test_bodies_are_measured_and_followed_one_by_one(sheet: Sheet) -> None:
    frames = [
        np.union1d(bump(sheet, 3 + 0.2 * step, 3, 2.0), bump(sheet, 11, 12 - 0.3 * step, 2.0))
        for step in range(12)
    ]
    recording = record(sheet, frames)
    bodies = WaveTally(sheet, recording.dynamics).update(recording)
    assert np.array_equal(bodies.frame, np.repeat(np.arange(12), 2))
    left = bodies.centroid[:, 0] < 8
    assert left.sum() == 12
    assert bodies.centroid[left] == pytest.approx(
        np.array([sheet.positions[bump(sheet, 3 + 0.2 * step, 3, 2.0)].mean(axis=0) for step in range(12)])
    )
    assert np.sqrt(2) * bodies.rms_radius == pytest.approx(2.0, rel=0.06)
    assert bodies.radius == pytest.approx(2.0 * 0.8**0.5, rel=0.1)
    assert np.isnan(bodies.speed[:2]).all()
    assert np.nanmean(bodies.speed[left]) == pytest.approx(0.2, rel=0.2)
    assert np.nanmean(bodies.speed[~left]) == pytest.approx(0.3, rel=0.2)
    stats = wave_statistics(recording)
    assert stats.body_cells == bodies.cells.mean()
    assert stats.body_radius == pytest.approx(bodies.radius.mean())
    assert stats.body_speed == pytest.approx(np.nanmean(bodies.speed))


def test_a_body_that_splits_or_melts_is_not_followed(sheet: Sheet) -> None:
    one = bump(sheet, 7, 7, 2.0)
    halves = one[np.abs(sheet.positions[one, 0] - 7) > 0.8]
    recording = record(sheet, [one, halves, halves, one])
    bodies = WaveTally(sheet, recording.dynamics).update(recording)
    assert bodies.frame.tolist() == [0, 1, 1, 2, 2, 3]
    assert np.isnan(bodies.speed).tolist() == [True, True, True, False, False, True]
    assert wave_statistics(recording).waves == 1


def test_on_a_large_sheet_a_bump_is_a_body_however_many_cells_there_are() -> None:
    places = np.stack(np.meshgrid(np.arange(120.0), np.arange(120.0)), axis=-1).reshape(-1, 2)
    side = {"outline": ((0, 0), (120, 0), (120, 120), (0, 120)), "holes": (), "seed_cell": (60, 60)}
    model = load_model("raghavan2019_grown_pooling/small")
    large = Sheet.declared(model.replace(scaffold=model.scaffold.replace(**side)), places)
    cells = np.union1d(bump(large, 20, 20, 3.0), bump(large, 90, 80, 3.0))
    assert len(cells) < 0.005 * large.n
    stats = wave_statistics(record(large, [cells, NOTHING, cells]))
    assert stats.components == 2
    assert stats.waves == 4
    assert stats.active_share_of_steps == pytest.approx(2 / 3)
    assert stats.body_cells == len(cells) / 2
    # Fewer cells than half of an excitation disc (r_i = 3: 28 cells) are noise there.
    assert wave_statistics(record(large, [bump(large, 20, 20, 1.5)])).waves == 0


def test_only_what_belongs_to_a_wave_is_a_visit(sheet: Sheet) -> None:
    here, lone = bump(sheet, 3, 3), np.array([sheet.n - 1])
    stats = wave_statistics(record(sheet, [np.union1d(here, lone)] * 3))
    assert stats.visits.sum() == len(here)
    assert stats.visited == len(here) / sheet.n


def test_numbers_stand_frame_by_frame(sheet: Sheet) -> None:
    frames = [NOTHING, bump(sheet, 3, 3), np.union1d(bump(sheet, 3, 3), bump(sheet, 12, 12)), NOTHING]
    series = wave_statistics(record(sheet, frames)).series
    assert series.active.tolist() == [len(cells) for cells in frames]
    assert series.components.tolist() == [0, 1, 2, 0]
    assert series.wave.tolist() == [1, 2]
    places = [sheet.positions[cells] for cells in frames[1:3]]
    assert series.centroid == pytest.approx(np.array([place.mean(axis=0) for place in places]))
    rms = [np.sqrt(place.var(axis=0).sum()) for place in places]
    assert series.rms_radius == pytest.approx(np.array(rms))


def test_health_tells_waves_from_silence_and_from_runaway(sheet: Sheet) -> None:
    cells, everyone = bump(sheet, 7, 7), np.arange(sheet.n)
    waves = wave_statistics(record(sheet, [cells, NOTHING] * 10)).health
    dead = wave_statistics(record(sheet, [cells] * 4 + [NOTHING] * 16)).health
    never = wave_statistics(record(sheet, [NOTHING] * 5)).health
    runaway = wave_statistics(record(sheet, [cells, everyone, NOTHING] * 5)).health
    assert (waves, dead, never, runaway) == (Health.WAVES, Health.DEAD, Health.DEAD, Health.RUNAWAY)
    # One burst at the start, as the leaky form has it, is no runaway.
    assert wave_statistics(record(sheet, [everyone, *[cells] * 60])).health is Health.WAVES
    assert len({health.help for health in Health}) == len(Health)


def test_a_sheet_without_inhibition_runs_away_and_one_without_noise_is_dead(sheet: Sheet) -> None:
    spec = sheet.model.dynamics["rate_map"]
    wild = spec.replace(coupling=spec.coupling.replace(a_o=0.0))
    assert wave_statistics(simulate(sheet, wild, steps=4000, rng=0)).health is Health.RUNAWAY
    assert wave_statistics(simulate(sheet, spec.replace(noise=0.1), steps=2000, rng=0)).health is Health.DEAD
    assert wave_statistics(simulate(sheet, spec, steps=4000, rng=0)).health is Health.WAVES


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


def test_a_recording_of_another_sheet_and_a_tally_of_nothing_are_refused(sheet: Sheet) -> None:
    recording = record(sheet, [NOTHING])
    shifted = replace(sheet, positions=sheet.positions + 1.0)
    tally = WaveTally(shifted, recording.dynamics, window=2)
    with pytest.raises(ConfigError, match=r"^recording: "):
        tally.update(recording)
    with pytest.raises(ConfigError, match=r"^window: "):
        tally.statistics()
    with pytest.raises(ConfigError, match=r"^window: "):
        WaveTally(sheet, recording.dynamics, window=0)


@pytest.mark.parametrize("window", [0, 11, 1.5, True])
def test_a_wrong_window_is_named(sheet: Sheet, window: int) -> None:
    with pytest.raises(ConfigError, match=r"^window: "):
        wave_statistics(record(sheet, [NOTHING] * 10), window=window)
