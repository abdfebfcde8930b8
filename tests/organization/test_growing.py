from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet._core.random import as_key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.dynamics import plasticity
from devnet.growth import grow
from devnet.organization import grow_and_organize, organize
from devnet.organization.growing import _join, _none, _part
from devnet.sheet import Sheet
from devnet.spec import HebbianWTASpec, ModelSpec, load_model


def small() -> ModelSpec:
    """The demo's model on a disc of about 300 cells, its units risen soon."""
    model = load_model("raghavan2019_grown_pooling/small")
    turns = 2 * np.pi * np.arange(24) / 24
    disc = tuple((6 * float(np.cos(t)), 6 * float(np.sin(t))) for t in turns)
    return model.replace(
        scaffold=model.scaffold.replace(outline=disc, holes=(), seed_cell=(0.0, 0.0)),
        growth=model.growth.replace(rise=0.2),
    )


def test_a_sheet_that_was_there_from_the_beginning_is_wired_as_by_organize(sheet: Sheet) -> None:
    ready = replace(sheet, born=0 * sheet.born, emitted=0 * sheet.emitted, sweeps=0)
    while_growing = grow_and_organize(ready, steps=3000, rng=4)
    after = organize(ready, steps=3000, rng=4)
    assert while_growing.weights == pytest.approx(after.weights, rel=1e-9, abs=1e-15)
    assert np.array_equal(while_growing.wins, after.wins)
    assert np.array_equal(while_growing.late_wins, after.late_wins)


def test_a_cells_noise_does_not_change_when_others_join(sheet: Sheet) -> None:
    spec = sheet.model.dynamics["izhikevich"]
    alone = spec.replace(coupling=spec.coupling.replace(a_i=0.0, a_o=0.0))
    whole = SheetModel.build(sheet, alone, as_key(3))
    rule = HebbianWTASpec()
    first = plasticity.start(rule, whole.coupling.places, 5, as_key(3))
    stepper = backend_of("reference")
    together = State.initial(whole)
    stepper.advance(whole, together, 60)
    part = _part(whole, 7)
    state = State.initial(_part(whole, 1), _none(first))
    _join(state, part, first, 0, rule)
    stepper.advance(part, state, 25)
    _join(state, whole, first, 5, rule)
    assert state.cells.shape == (2, sheet.n)
    stepper.advance(whole, state, 35, rule=rule)
    assert np.array_equal(state.cells[:, :7], together.cells[:, :7])
    assert not np.array_equal(state.cells[:, 7:], together.cells[:, 7:])  # these came later, from rest


def test_units_learn_from_their_emission_and_keep_their_norm() -> None:
    model = small()
    wired = grow_and_organize(model, "rate_map", steps_per_sweep=60, steps=6000, rng=0)
    sheet = wired.sheet
    assert wired.units == sheet.m > 20
    assert wired.activity == "waves while growing"
    assert wired.weights.sum(axis=0) == pytest.approx(np.ones(sheet.m))
    assert (wired.weights >= 0).all()
    assert wired.wins.sum() > wired.late_wins.sum() > 0
    again = grow_and_organize(sheet, "rate_map", steps_per_sweep=60, steps=6000, rng=0)
    assert np.array_equal(wired.weights, again.weights)  # growth lived through again is the same growth


def test_the_compiled_and_the_plain_backend_agree_while_the_sheet_grows() -> None:
    sheet = grow(small(), rng=1)
    a, b = (
        grow_and_organize(sheet, "rate_map", steps_per_sweep=15, steps=1600, rng=1, backend=backend)
        for backend in ("numba", "reference")
    )
    assert np.array_equal(a.wins, b.wins)
    assert np.abs(a.weights - b.weights).max() < 1e-10


def test_growth_must_fit_into_the_steps() -> None:
    with pytest.raises(ConfigError, match=r"^steps: "):
        grow_and_organize(small(), "rate_map", steps_per_sweep=100, steps=1000, rng=0)
    scattered = small().replace(growth=small().growth.replace(scattered=50))
    with pytest.raises(ConfigError, match=r"^model: "):
        grow_and_organize(scattered, "rate_map", rng=0)
