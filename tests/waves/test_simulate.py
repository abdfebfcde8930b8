from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devnet._core import stopping
from devnet._core.errors import ConfigError, HealthError, InterruptedRunError
from devnet._core.progress import listening
from devnet._core.random import as_key
from devnet.cli import main
from devnet.growth import grow
from devnet.io import save
from devnet.io.nouns import load_recording
from devnet.sheet import Sheet
from devnet.spec import RateMapSpec
from devnet.waves import simulate, stream, uncoupled


def test_a_recording_holds_the_spikes_of_every_step(sheet: Sheet) -> None:
    recording = simulate(sheet, steps=3000, rng=0)
    assert recording.dynamics == sheet.model.dynamics["rate_map"]
    assert recording.steps == 3000
    assert recording.active.sum() == len(recording.cell)
    busiest = int(np.argmax(recording.active))
    assert len(recording.firing(busiest)) == recording.active[busiest]
    assert recording.key == as_key(0)
    assert "rate_map" in repr(recording)


def test_the_same_seed_gives_the_same_spikes_on_either_backend(sheet: Sheet) -> None:
    ours, oracle, other = (
        simulate(sheet, "izhikevich", steps=400, rng=rng, backend=backend)
        for rng, backend in ((3, "numba"), (3, "reference"), (4, "numba"))
    )
    assert np.array_equal(ours.time, oracle.time)
    assert np.array_equal(ours.cell, oracle.cell)
    assert len(other.cell) != len(ours.cell) or not np.array_equal(other.cell, ours.cell)


def test_waves_are_local_and_need_coupling(sheet: Sheet) -> None:
    recording = simulate(sheet, steps=4000, rng=0)
    radii = []
    for step in np.flatnonzero(recording.active > 20):
        places = sheet.positions[recording.firing(step)]
        radii.append(np.sqrt(((places - places.mean(0)) ** 2).sum(1).mean()))
    assert len(radii) > 400
    assert np.median(radii) < 0.4 * sheet.rms_radius
    spec = sheet.model.dynamics["rate_map"]
    silent = spec.replace(coupling=spec.coupling.replace(a_i=0.0, a_o=0.0))
    assert simulate(sheet, silent, steps=4000, rng=0).active.max() < 20


def test_the_control_fires_as_much_without_coupling(sheet: Sheet) -> None:
    spec = RateMapSpec()
    control = uncoupled(sheet, spec, as_key(5))
    assert control.coupling.a_i == control.coupling.a_o == 0
    active = simulate(sheet, spec, steps=4000, rng=0).active
    wanted = active[active > 20].mean()
    assert simulate(sheet, control, steps=2000, rng=0).active[500:].mean() == pytest.approx(wanted, rel=0.25)


def test_the_control_waits_for_the_first_wave() -> None:
    sheet = grow("raghavan2019_wave_demo", rng=1)
    spec = sheet.model.dynamics["izhikevich"]
    key = next(
        key
        for key in map(as_key, range(20))
        if simulate(sheet, spec, steps=1024, rng=key).active[256:].max() <= 20
    )
    assert uncoupled(sheet, spec, key).noise > 1.5 * spec.noise


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"steps": 0}, "steps"), ({"spec": "sine"}, "dynamics"), ({"backend": "x"}, "backend")],
)
def test_bad_arguments_name_the_field(sheet: Sheet, arguments: dict, field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        simulate(sheet, rng=0, **arguments)


def test_a_stream_hands_out_the_same_spikes_in_pieces(sheet: Sheet) -> None:
    whole = simulate(sheet, steps=2500, rng=2)
    parts = list(stream(sheet, steps=2500, rng=2))
    assert [part.steps for part in parts] == [1024, 1024, 452]
    assert np.array_equal(np.concatenate([part.cell for part in parts]), whole.cell)
    assert np.array_equal(np.concatenate([part.active for part in parts]), whole.active)


class StopsAtSecondTick:
    """A listener in whose place the user stops the run; keeps what it is told."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.notes: list[str] = []

    @contextmanager
    def open(self, label: str, total: int | None) -> Iterator[Any]:
        yield self.tick

    def tick(self, amount: int = 1, note: str = "") -> None:
        self.notes.append(note)
        if len(self.notes) == 2:
            self.stop()


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("stop", "steps"), [(_interrupt, 2048), (stopping.ask, 3072)])
def test_a_stop_keeps_what_was_run(sheet: Sheet, stop: Callable[[], None], steps: int) -> None:
    whole = simulate(sheet, steps=4000, rng=2)
    try:
        with (
            listening(StopsAtSecondTick(stop)),
            pytest.raises(InterruptedRunError, match=f"after {steps} of 4000") as info,
        ):
            simulate(sheet, steps=4000, rng=2)
    finally:
        stopping.forget()
    assert info.value.kept.steps == steps
    assert np.array_equal(info.value.kept.active, whole.active[:steps])


def test_a_stop_at_the_end_is_no_stop(sheet: Sheet) -> None:
    ears = StopsAtSecondTick(stopping.ask)
    try:
        with listening(ears):
            recording = simulate(sheet, steps=2048, rng=2)
    finally:
        stopping.forget()
    assert recording.steps == 2048
    assert ears.notes == [f"{part.mean():.0f} firing" for part in np.split(recording.active, 2)]


@pytest.mark.parametrize(
    ("form", "variable"), [("rate_map", "x"), ("izhikevich", "v"), ("adaptive_leaky", "v")]
)
@pytest.mark.parametrize("field", ["exact", "fast"])
def test_a_state_that_leaves_the_finite_numbers_stops_within_100_steps(
    sheet: Sheet, form: str, variable: str, field: str
) -> None:
    wild = sheet.model.dynamics[form].replace(noise=1e308)
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(HealthError) as info:
        simulate(sheet, wild, steps=2000, rng=0, field=field)
    found = re.fullmatch(
        rf"{form}: {variable} of cell (\d+) is -?(nan|inf) by step (\d+); .*", str(info.value)
    )
    assert found is not None, info.value
    assert int(found[3]) <= 100
    assert info.value.exit_code == 5


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_command_keeps_what_was_run_when_it_is_stopped(
    sheet: Sheet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    out, steps = tmp_path / "out.safetensors", 10_000_000
    save(sheet, tmp_path / "sheet.safetensors")
    ears = StopsAtSecondTick(lambda: os.kill(os.getpid(), getattr(signal, name)))
    monkeypatch.setattr(sys.modules["devnet.cli.main"], "listener", lambda: ears)
    words = ["simulate", str(tmp_path / "sheet.safetensors"), "--steps", str(steps), "--out", str(out)]
    assert main(words) == 75
    told = capsys.readouterr()
    recording = load_recording(out)
    assert f"stopped after {recording.steps} of {steps} steps; they are kept" in told.err
    assert recording.steps % 1024 == 0
    assert 2048 <= recording.steps < steps
    assert "health waves: Waves came" in told.out
    assert not stopping.asked()


def test_the_command_tells_a_dead_sheet(
    sheet: Sheet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = sheet.model.dynamics["rate_map"].replace(noise=0.1)
    save(
        replace(sheet, model=sheet.model.replace(dynamics=sheet.model.dynamics | {"quiet": spec})),
        tmp_path / "sheet",
    )
    assert (
        main(
            [
                "simulate",
                str(tmp_path / "sheet"),
                "--dynamics",
                "quiet",
                "--steps",
                "1500",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert "health dead: No wave came in the second half" in capsys.readouterr().out
