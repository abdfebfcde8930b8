from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from devnet._core.errors import ConfigError, InterruptedRunError
from devnet._core.progress import listening
from devnet._core.random import as_key
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
    """A listener in whose place the user presses Ctrl-C."""

    def __init__(self) -> None:
        self.ticks = 0

    @contextmanager
    def open(self, label: str, total: int | None) -> Iterator[Any]:
        yield self.tick

    def tick(self, amount: int = 1) -> None:
        self.ticks += 1
        if self.ticks == 2:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_what_was_run(sheet: Sheet) -> None:
    whole = simulate(sheet, steps=2500, rng=2)
    with (
        listening(StopsAtSecondTick()),
        pytest.raises(InterruptedRunError, match="after 2048 of 2500") as info,
    ):
        simulate(sheet, steps=2500, rng=2)
    assert info.value.kept.steps == 2048
    assert np.array_equal(info.value.kept.active, whole.active[:2048])
