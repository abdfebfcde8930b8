"""A form and a rule that devnet does not know, each written in one file outside the package: this one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.dynamics import Form, form_of, register, select
from devnet.dynamics.plasticity import Rule, rule_of
from devnet.dynamics.plasticity import base as rules
from devnet.io import save
from devnet.organization import organize
from devnet.sheet import Sheet
from devnet.spec import CompetitionSpec, CouplingSpec, LearningSpec, Spec
from devnet.waves import simulate


class IntegrateAndFireSpec(Spec):
    """Leaky integrate-and-fire cells with a refractory count."""

    form: Literal["integrate_and_fire"] = "integrate_and_fire"
    coupling: CouplingSpec = CouplingSpec(r_i=2, r_o=5, a_i=2, a_o=1)
    noise: float = 1.2
    tau: float = 10.0
    refractory: int = 5


def advance(v, rest, fired, drive, noise, unused0, unused1, k):
    rest = select(fired, k[1], rest - 1.0)
    v = select(fired | (rest > 0.0), 0.0, v + (drive + k[2] * noise - v) / k[0])
    return v, rest


register(
    Form(
        "integrate_and_fire",
        9,
        ("v", "rest"),
        constants=lambda spec: np.array([spec.tau, float(spec.refractory), spec.noise * np.sqrt(spec.tau)]),
        cells=lambda spec, positions, key: np.zeros((2, len(positions))),
        start=lambda spec, cells: np.zeros_like(cells),
        fires=lambda v, rest, k: v > 1.0,
        advance=advance,
        hold=lambda spec: 1,
    )
)


class OjaSpec(CompetitionSpec):
    """The winner moves toward the input: w_k += eta (s / sum s - w_k)."""

    rule: Literal["toward_input"] = "toward_input"
    norm: Literal["sum"] = "sum"
    eta: float = 0.05


def learn(spec, learner, firing, step):
    winner = rules.compete(spec, learner, firing)
    if winner is not None:
        k = winner[0]
        learner.weights[:, k] *= 1 - spec.eta
        learner.weights[firing, k] += spec.eta / len(firing)
        rules.won(spec, learner, k, 1.0)
    rules.recruit(spec, learner, step)


def kernel(firing, k, y, drives, scale, stored_sum, weights, thresholds, pre, post, r):
    if k < 0:
        return 0.0
    for i in range(len(weights)):
        weights[i, k] *= 1 - r[9]
    for i in firing:
        weights[i, k] += r[9] / len(firing)
    return 1.0


def constants(spec, n, units):
    shared = rules.shared_constants(spec, n)
    shared[8] = 1.0  # weights change otherwise than by scale: sum the drives afresh
    return np.array([*shared, spec.eta])


rules.register(Rule("toward_input", 9, constants, learn, kernel))

OJA = OjaSpec(weight=1, c_mean=0, c_sd=0, c_plus=0.03, c_decay=0.05, recruit_every=0, min_active=5)


def test_an_own_form_runs_compiled_and_equals_its_oracle(sheet: Sheet) -> None:
    spec = IntegrateAndFireSpec()
    ours = simulate(sheet, spec, steps=300, rng=0)
    oracle = simulate(sheet, spec, steps=300, rng=0, backend="reference")
    assert len(ours.cell) > 500
    assert np.array_equal(ours.time, oracle.time)
    assert np.array_equal(ours.cell, oracle.cell)


def test_a_file_that_could_not_be_read_again_is_not_written(sheet: Sheet, tmp_path: Path) -> None:
    recording = simulate(sheet, IntegrateAndFireSpec(), steps=5, rng=0, backend="reference")
    with pytest.raises(ConfigError, match=r"'integrate_and_fire' .*come with devnet"):
        save(recording, tmp_path / "file")
    model = sheet.model.replace(dynamics=sheet.model.dynamics | {"own": IntegrateAndFireSpec()})
    for noun in (own := replace(sheet, model=model), simulate(own, steps=5, rng=0)):
        with pytest.raises(ConfigError, match=r"^model: .*come with devnet"):
            save(noun, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_an_own_rule_learns_compiled_and_equals_its_oracle(sheet: Sheet) -> None:
    learning = LearningSpec(dynamics="rate_map", rule=OJA, steps=1500, units=8)
    ours = organize(sheet, learning, rng=0)
    oracle = organize(sheet, learning, rng=0, backend="reference")
    assert ours.wins.sum() > 300
    assert np.array_equal(ours.wins, oracle.wins)
    assert np.abs(ours.weights - oracle.weights).max() < 1e-12
    assert ours.weights.sum(axis=0) == pytest.approx(np.ones(8))


def test_an_own_rule_on_an_own_form(sheet: Sheet) -> None:
    form, rule = form_of(IntegrateAndFireSpec()), rule_of(OJA)
    assert (form.name, rule.name) == ("integrate_and_fire", "toward_input")


def test_unregistered_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="or register one"):
        form_of(IntegrateAndFireSpec.model_construct(form="unheard_of"))
    with pytest.raises(ConfigError, match="or register one"):
        rule_of(OjaSpec.model_construct(rule="unheard_of"))
