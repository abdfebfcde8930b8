"""Every rule and every upkeep on the projections of a stack."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.errors import ConfigError
from devnet.dynamics.layered import LayerState, Stage, layer_step
from devnet.dynamics.plasticity import Rule, base, hebbian_wta
from devnet.organization import organize_stack
from devnet.sheet import Sheet
from devnet.spec import (
    BalanceSpec,
    BCMSpec,
    HebbianWTASpec,
    KWinnersSpec,
    LayerSpec,
    NormalizeSpec,
    OjaSpec,
    PairSTDPSpec,
    RewireSpec,
    RuleSpec,
    StackSpec,
    TemporalDifferenceSpec,
    TripletSTDPSpec,
    dump_model,
    parse_model,
)

STEPS = 1200
HEBBIAN = HebbianWTASpec(norm="sum", weight=1.0, eta=0.002)
RULES: dict[str, RuleSpec] = {
    "hebbian_wta": HEBBIAN,
    "k_winners, rate": KWinnersSpec(norm="sum", weight=1.0, eta=0.002),
    "k_winners, spike": KWinnersSpec(norm="sum", weight=1.0, eta=0.002, post="spike"),
    "oja": OjaSpec(eta=0.1),
    "bcm": BCMSpec(weight=40.0, eta=0.1),
    "triplet_stdp": TripletSTDPSpec(),
} | {
    f"pair_stdp, {bounds}, {pairing}, {norm}": PairSTDPSpec(bounds=bounds, pairing=pairing, norm=norm, w_max=5.0)
    for bounds in ("hard", "soft", "mixed")
    for pairing in ("all", "nearest")
    for norm in ("mean", "none")
}  # fmt: skip
UPKEEP = {
    "unit": NormalizeSpec(every=100),
    "cell": NormalizeSpec(every=150, of="cell", by="offset"),
    "balance": BalanceSpec(every=100, gain=0.2),
    "rewire": RewireSpec(every=300, density=0.25),
}


def stack_of(sheet: Sheet, rule: RuleSpec, **options):
    lower = LayerSpec(units=16, min_active=8, rule=rule)
    spec = StackSpec(dynamics="rate_map", layers={"two": lower, "three": LayerSpec(units=9, rule=rule)})
    return organize_stack(sheet, spec, steps=STEPS, rng=1, **options)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_teaches_both_layers_of_a_stack(sheet: Sheet, name: str) -> None:
    start, found = (stack_of(sheet, RULES[name], learn=learn) for learn in (False, True))
    for before, after in zip(start.layers, found.layers, strict=True):
        assert after.weights.sum(axis=0) == pytest.approx(1.0)
        assert np.abs(after.weights - before.weights).max() > 1e-5
        assert np.isfinite(after.c).all()
        assert after.c.any()
        assert after.late_wins.sum() > 50


@pytest.mark.parametrize("name", UPKEEP)
def test_every_upkeep_is_done_on_both_layers(sheet: Sheet, name: str) -> None:
    rule = PairSTDPSpec(norm="none", w_max=5.0)
    plain, kept = (stack_of(sheet, r) for r in (rule, rule.replace(upkeep={name: UPKEEP[name]})))
    for without, layer in zip(plain.layers, kept.layers, strict=True):
        if name == "balance":
            assert not np.array_equal(layer.c, without.c)
        elif name == "rewire":
            assert ((layer.weights > 0).sum(axis=0) == round(0.25 * len(layer.weights))).all()
        else:
            assert not np.array_equal(layer.weights, without.weights)


def test_a_hebbian_unit_moves_as_one_of_the_layers_own_law() -> None:
    n, units, firing = 30, 9, np.arange(4, 10)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, (n, units))
    weights /= weights.sum(axis=0)
    own = LayerSpec(units=units, min_active=1, eta=(0.02, 0.02), prune=0)
    # w + a s, at sum 1 again, is w + e (p - w) with e = a n / (1 + a n), n the cells that fire.
    rate = 0.02 / (1 - 0.02) / len(firing)
    ruled = own.replace(rule=HEBBIAN.replace(eta=rate))
    places = np.stack(np.divmod(np.arange(units), 3), axis=1)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    states = []
    for spec in (own, ruled):
        layer = LayerState.of(weights.copy(), rule=spec.rule)
        for _ in range(3):
            layer_step(spec, Stage.at(spec, distance, 3.0, 1.0), layer, firing, learn=True)
        states.append(layer)
    law, rule = states
    assert law.events == rule.events > 0
    assert (law.c == rule.c).all()
    best = np.flatnonzero(
        np.abs(law.weights - weights).max(axis=0) > 0.9 * np.abs(law.weights - weights).max()
    )
    assert rule.weights[:, best] == pytest.approx(law.weights[:, best], abs=1e-12)
    assert rule.learner is not None
    assert rule.learner.weights is rule.weights
    assert rule.learner.wins.sum() == rule.events


def test_rules_that_cannot_serve_a_layer_are_refused(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"rule: 'temporal_difference' .* no signs"):
        LayerSpec().replace(rule=TemporalDifferenceSpec())
    with pytest.raises(ConfigError, match=r"depression: 0\.5 .* beside a rule"):
        LayerSpec().replace(rule=OjaSpec(), depression=0.5)
    with pytest.raises(ConfigError, match=r"eta: .* above 0 at first"):
        LayerSpec().replace(rule=OjaSpec(), eta=(0.0, 0.1))
    bare = Rule("bare", 9, hebbian_wta.constants, hebbian_wta.learn, hebbian_wta.kernel)
    for room in ("dynamics.layered", "backends.layers"):
        monkeypatch.setattr(f"devnet.{room}.rule_of", lambda _: bare)
    with pytest.raises(ConfigError, match=r"rule: 'hebbian_wta' .*Rule\.teach"):
        stack_of(sheet, HEBBIAN)


def test_a_layers_rule_is_a_table_in_toml(sheet: Sheet) -> None:
    spec = StackSpec(
        layers={"two": LayerSpec(units=16, rule=PairSTDPSpec(a_plus=0.02, upkeep={"even": NormalizeSpec()}))}
    )
    model = sheet.model.replace(stack=spec)
    text = dump_model(model)
    assert "[stack.layers.two.rule.upkeep.even]" in text
    assert parse_model(text).stack == spec
    assert base.rule_of(spec.layers["two"].rule).name == "pair_stdp"
