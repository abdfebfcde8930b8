"""A relative error of a millionth, planted in any constant of any law, is seen by comparing state with the oracle."""

from __future__ import annotations

import dataclasses
import warnings
from functools import cache

import numpy as np
import pytest

from devnet._core.random import as_key
from devnet.backends.base import Backend, SheetModel, State, backend_of
from devnet.dynamics.plasticity import start
from devnet.sheet import Sheet
from devnet.spec import (
    AdaptiveLeakySpec,
    BCMSpec,
    DynamicsSpec,
    HebbianWTASpec,
    IzhikevichSpec,
    KWinnersSpec,
    OjaSpec,
    PairSTDPSpec,
    RateMapSpec,
    RuleSpec,
    TemporalDifferenceSpec,
    TripletSTDPSpec,
)

# Brian2 2.9 calls pyparsing by its old names.
pytestmark = pytest.mark.filterwarnings(r"ignore:'\w+' (argument is )?deprecated:DeprecationWarning")
ERROR = 1 + 1e-6
SEEN = 1e-12
"""What parity allows in one step, relative to 1 + |x|."""

FORMS: dict[str, DynamicsSpec] = {
    "izhikevich": IzhikevichSpec(),
    "adaptive_leaky": AdaptiveLeakySpec(),
    "adaptive_leaky, euler": AdaptiveLeakySpec(integrator="euler", drive="per_tau"),
    "rate_map": RateMapSpec(h_rim=1.0),
}
POOLS = HebbianWTASpec(
    eta=0.05, norm="sum", weight=1, c_mean=0.001, c_sd=0.001, c_plus=0.03, c_decay=0.05, recruit_every=7, recruit_wins=3
)  # fmt: skip
SOFT = {"bounds": "soft", "w_max": 3.0, "c_mean": 0.0, "c_decay": 0.05, "recruit_every": 7, "recruit_wins": 3}
RATES = {
    "norm": "mean",
    "weight": 0.1,
    "eta": 0.05,
    "c_plus": 0.03,
    "c_decay": 0.05,
    "recruit_every": 7,
    "recruit_wins": 5,
}
RULES: dict[str, tuple[RuleSpec, tuple[str, ...]]] = {
    "hebbian": (POOLS, ("eta", "weight", "c_plus", "c_decay", "recruit_divisor")),
    "pair": (
        PairSTDPSpec(**SOFT),
        ("a_plus", "a_minus", "tau_plus", "tau_minus", "w_max", "weight", "c_plus", "c_decay", "recruit_divisor"),
    ),
    "triplet": (
        TripletSTDPSpec(a2_plus=0.01, **SOFT),
        ("a2_plus", "a2_minus", "a3_plus", "a3_minus", "tau_x", "tau_y", "tau_plus", "tau_minus", "w_max", "weight",
         "c_plus", "c_decay", "recruit_divisor"),
    ),
    "pair, nearest, mixed": (
        PairSTDPSpec(pairing="nearest", **SOFT | {"bounds": "mixed"}),
        ("a_plus", "a_minus", "tau_plus", "tau_minus", "weight"),
    ),
    "k winners": (
        KWinnersSpec(winners=3, c_mean=0.0, c_decay=0.05, recruit_every=7, recruit_wins=5, eta=0.01),
        ("eta", "sharpness", "weight", "c_plus", "c_decay", "recruit_divisor"),
    ),
    "oja": (OjaSpec(**RATES), ("eta", "c_plus", "c_decay", "recruit_divisor")),
    "bcm": (BCMSpec(w_max=0.12, learners="all", **RATES),
        ("eta", "tau_theta", "w_max", "c_plus", "c_decay", "recruit_divisor")),
    "temporal_difference": (
        TemporalDifferenceSpec(delay=4, min_active=2),
        ("eta", "eta_end", "eta_wins", "c_plus", "c_decay"),
    ),
}  # fmt: skip
BACKENDS = ["numba", "torch-cpu", "brian2-numpy"]


@cache
def backend(name: str) -> Backend:
    library = name.partition("-")[0]
    if library != "numba":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"'\w+' (argument is )?deprecated", DeprecationWarning)
            pytest.importorskip(library, reason=f"needs devnet[{library}]")
    return backend_of(name)


def seen(ours: State, theirs: State) -> bool:
    """Whether two states differ by more than parity allows."""
    pairs = [(ours.cells, theirs.cells)]
    if ours.learner is not None and theirs.learner is not None:
        names = ("weights", "thresholds", "peak")
        pairs += [(getattr(ours.learner, name), getattr(theirs.learner, name)) for name in names]
    return any(bool(np.any(np.abs(a - b) > SEEN * (1 + np.abs(b)))) for a, b in pairs)


def copy(state: State) -> State:
    learner = state.learner
    if learner is not None:
        arrays = {f.name: getattr(learner, f.name).copy() for f in dataclasses.fields(learner)}
        learner = dataclasses.replace(learner, **arrays)
    return State(state.cells.copy(), state.fired.copy(), state.step, learner)


@cache
def active(sheet: Sheet, form: str) -> tuple[SheetModel, State]:
    """Return a model and a state in which cells fire, in the next step too, some by a hair."""
    model = SheetModel.build(sheet, FORMS[form], as_key(1))
    state = State.initial(model)
    backend_of("reference").advance(model, state, 150)
    while not model.form.fires(*state.cells, model.constants).any():
        backend_of("reference").advance(model, state, 1)
    if form == "izhikevich":  # the peak shows only in who fires
        state.cells[0, 5] = model.constants[2] * (1 + 5e-7)
    return model, state


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("form", FORMS)
def test_in_a_constant_of_a_form_or_a_number_of_a_cell(sheet: Sheet, form: str, name: str) -> None:
    model, begin = active(sheet, form)
    theirs = copy(begin)
    backend_of("reference").advance(model, theirs, 1)

    def differs(**wrong: np.ndarray) -> bool:
        ours = copy(begin)
        backend(name).advance(dataclasses.replace(model, **wrong), ours, 1)
        return seen(ours, theirs)

    assert not differs()
    euler = "euler" in form
    for index, value in enumerate(model.constants):
        if value == 0.0:  # a switch that is off
            assert euler
            continue
        constants = model.constants.copy()
        constants[index] *= ERROR
        assert differs(constants=constants), f"constant {index}"
    for row in range(2):
        cells = model.cells.copy()
        cells[row] *= ERROR
        assert differs(cells=cells) == bool(cells[row].any()), f"number {row}"


@pytest.mark.parametrize("name", ["reference", *BACKENDS])
@pytest.mark.parametrize("part", ["a_i", "a_o", "decay", "r_i", "r_o"])
def test_in_the_coupling(sheet: Sheet, part: str, name: str) -> None:
    model, begin = active(sheet, "rate_map")
    coupling = model.coupling
    if part in ("r_i", "r_o"):  # let the radius end a hair before a cell that hears another one fire
        source = int(np.flatnonzero(model.form.fires(*begin.cells, model.constants))[0])
        distance = np.linalg.norm(coupling.positions - coupling.positions[source], axis=1)
        radius = np.sort(distance[distance > getattr(coupling, part)])[0] * (1 - 5e-7)
        coupling = dataclasses.replace(coupling, **{part: radius})
    theirs, ours, wrong = copy(begin), copy(begin), copy(begin)
    right = dataclasses.replace(model, coupling=coupling)
    planted = dataclasses.replace(coupling, **{part: getattr(coupling, part) * ERROR})
    backend_of("reference").advance(right, theirs, 1)
    stepper = backend(name) if name != "reference" else backend_of(name)
    stepper.advance(right, ours, 1)
    stepper.advance(dataclasses.replace(model, coupling=planted), wrong, 1)
    assert not seen(ours, theirs)
    assert seen(wrong, theirs)


@cache
def learning(sheet: Sheet, rule: str) -> tuple[SheetModel, State, State]:
    """Return a model, a state in which units win, and the oracle's state 20 steps later."""
    model, begin = active(sheet, "rate_map")
    begin = copy(begin)
    begin.learner = start(RULES[rule][0], model.coupling.places, 6, as_key(2))
    backend_of("reference").advance(model, begin, 60, rule=RULES[rule][0])
    theirs = copy(begin)
    backend_of("reference").advance(model, theirs, 20, rule=RULES[rule][0])
    assert theirs.learner is not None
    assert theirs.learner.wins.sum() > 20
    return model, begin, theirs


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("rule", RULES)
def test_in_a_constant_of_a_rule(sheet: Sheet, rule: str, name: str) -> None:
    model, begin, theirs = learning(sheet, rule)
    spec, names = RULES[rule]

    def differs(spec: RuleSpec) -> bool:
        ours = copy(begin)
        backend(name).advance(model, ours, 20, rule=spec)
        return seen(ours, theirs)

    assert not differs(spec)
    for field in names:
        assert differs(spec.replace(**{field: getattr(spec, field) * ERROR})), field


@pytest.mark.parametrize("name", BACKENDS)
def test_in_the_gate_on_spread(sheet: Sheet, name: str) -> None:
    model, begin, _ = learning(sheet, "hebbian")
    firing = model.form.fires(*begin.cells, model.constants)
    spread = np.sqrt(np.var(model.coupling.places[firing], axis=0).sum())
    theirs, ours, wrong = copy(begin), copy(begin), copy(begin)
    right, planted = (POOLS.replace(max_spread=float(spread) * (1 + x)) for x in (5e-7, -5e-7))
    backend_of("reference").advance(model, theirs, 1, rule=right)
    backend(name).advance(model, ours, 1, rule=right)
    backend(name).advance(model, wrong, 1, rule=planted)
    assert not seen(ours, theirs)
    assert seen(wrong, theirs)
