"""Verbs that die after every save and begin again: bit for bit what they give when nothing befalls them."""

import numpy as np
import pytest

from devnet._core import stopping
from devnet._core.errors import BusyError, InterruptedRunError
from devnet.growth import grow
from devnet.io import Checkpoints, save
from devnet.organization import organize, organize_stack
from devnet.spec import BalanceSpec, LayerSpec, PairSTDPSpec, RewireSpec, StackSpec, load_model
from devnet.waves import simulate
from tests.crash.mortal import Mortal


def through_deaths(verb, folder):
    """Call a verb with a checkpoint until it comes to its end; return its result and how often it died."""
    for deaths in range(100):
        try:
            return verb(Mortal(folder)), deaths
        except InterruptedRunError:
            continue
    raise AssertionError("it never ends")


def same(a, b, *names):
    for name in names:
        left, right = getattr(a, name), getattr(b, name)
        assert np.array_equal(left, right), name
        assert np.asarray(left).dtype == np.asarray(right).dtype, name


def test_growth_goes_on_bit_for_bit(tmp_path):
    model = load_model("raghavan2019_grown_pooling/small")
    found, deaths = through_deaths(lambda place: grow(model, rng=0, checkpoint=place), tmp_path)
    assert deaths >= 1
    same(found, grow(model, rng=0), "positions", "parent", "born", "unit_parent", "emitted", "unit_height")


@pytest.mark.parametrize("backend", ["numba", "reference", "torch-cpu"])
def test_a_recording_goes_on_bit_for_bit(sheet, tmp_path, backend):
    pytest.importorskip("torch" if backend == "torch-cpu" else "numpy")

    def verb(place):
        return simulate(sheet, "rate_map", steps=4300, rng=1, backend=backend, checkpoint=place)

    found, deaths = through_deaths(verb, tmp_path)
    assert deaths == 2
    same(found, verb(None), "time", "cell", "steps")


@pytest.mark.parametrize(("field", "activity"), [("exact", "waves"), ("fast", "waves"), ("exact", "noise")])
def test_learning_goes_on_bit_for_bit(sheet, tmp_path, field, activity):
    def verb(place):
        return organize(
            sheet,
            "rate_map",
            units=9,
            steps=7000,
            rng=2,
            field=field,
            activity=activity,
            snapshots=4,
            checkpoint=place,
        )

    found, deaths = through_deaths(verb, tmp_path)
    assert deaths == 3
    names = ("weights", "initial_weights", "thresholds", "wins", "late_wins", "snapshots", "snapshot_steps")
    same(found, verb(None), *names)


@pytest.mark.parametrize(("activity", "deaths"), [("waves", 3), ("shuffled", 1)])
def test_a_stack_goes_on_bit_for_bit_to_the_same_file(sheet, tmp_path, activity, deaths):
    lower = LayerSpec(units=16, min_active=8, mature_after=900, psp=3, depression=0.2)
    upkeep = {"grow": RewireSpec(every=700), "even": BalanceSpec(every=900)}
    rule = PairSTDPSpec(w_max=5.0, upkeep=upkeep) if activity == "waves" else None
    upper = LayerSpec(units=9, mature_after=600, patience=2, recurrence=0.5, h=0.02, rule=rule)
    spec = StackSpec(dynamics="rate_map", layers={"lower": lower, "upper": upper})
    steps = 7000 if activity == "waves" else 2 * 16384 + 500

    def verb(place):
        return organize_stack(sheet, spec, steps=steps, rng=2, activity=activity, checkpoint=place)

    found, died = through_deaths(verb, tmp_path / "state")
    assert died == deaths
    whole = verb(None)
    assert whole.layers[0].maturity > 0.5
    assert (whole.layers[0].weights == 0).any(), "weak synapses went"
    for name, stack in (("found", found), ("whole", whole)):
        save(stack, tmp_path / f"{name}.safetensors")
    assert (tmp_path / "found.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    with pytest.raises(BusyError, match="holds the state of another computation"):
        organize_stack(
            sheet, spec, steps=steps + 1, rng=2, activity=activity, checkpoint=Mortal(tmp_path / "state")
        )


@pytest.mark.parametrize("kind", ["sparsify", "recover", "null space"])
def test_a_path_goes_on_bit_for_bit_from_any_step(tmp_path, kind):
    torch = pytest.importorskip("torch")
    from devnet import fip

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    inputs = torch.randn(300, 6)
    damage = fip.Damage.weights(module, 0.5, rng=0)
    parts = {
        "sparsify": {"objective": fip.Sparsity(0.8, refresh=2)},
        "recover": {
            "objective": damage,
            "metric": fip.Euclidean(),
            "direction": fip.DampedNatural(iterations=3),
            "step": fip.Backtrack(),
        },
        "null space": {
            "objective": fip.ToWeights(damage.apply(module), pull=0.01),
            "direction": fip.NullSpace(count=4, examples=8, refresh=5),
            "step": fip.FunctionalBudget(0.01),
        },
    }
    problem = fip.Problem(inputs, stop=fip.StopWhen(steps=12), keep=5, **parts[kind])
    found, deaths = through_deaths(
        lambda place: fip.traverse(module, problem, rng=3, checkpoint=place), tmp_path
    )
    assert deaths == 11  # a save before every step, two in a life
    whole = fip.traverse(module, problem, rng=3)
    same(found, whole, "steps", "deltas", "distance", "objective", "weight_distance", "sparsity")
    assert found.stop is whole.stop


def test_the_state_of_another_computation_is_refused(sheet, tmp_path):
    with pytest.raises(InterruptedRunError):
        simulate(sheet, "rate_map", steps=4096, rng=1, checkpoint=Mortal(tmp_path))
    for other in ({"rng": 2}, {"steps": 5000}, {"spec": "izhikevich"}, {"backend": "reference"}):
        with pytest.raises(BusyError, match="holds the state of another computation"):
            simulate(
                sheet,
                **({"spec": "rate_map", "steps": 4096, "rng": 1, "checkpoint": Mortal(tmp_path)} | other),
            )
    with pytest.raises(BusyError):
        organize(sheet, "rate_map", units=4, steps=4096, rng=1, checkpoint=Mortal(tmp_path))


def test_the_state_of_another_path_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    from dataclasses import replace

    from devnet import fip

    module = torch.nn.Linear(6, 4)
    x = torch.linspace(-1, 1, 60).reshape(10, 6)
    problem = fip.Problem(
        x,
        fip.Sum(fip.Sparsity(0.5), fip.NewTask(x, torch.arange(10) % 4)),
        stop=fip.StopWhen(steps=9),
        direction=fip.PenalizedGradient(penalty=1.0),
    )
    with pytest.raises(InterruptedRunError):
        fip.traverse(module, problem, rng=1, checkpoint=Mortal(tmp_path))
    others = {
        "another goal": {"objective": fip.Sum(fip.Sparsity(0.6), fip.NewTask(x, torch.arange(10) % 4))},
        "other labels": {"objective": fip.Sum(fip.Sparsity(0.5), fip.NewTask(x, torch.arange(10) % 3))},
        "other inputs": {"inputs": x + 1},
        "another rate": {"step": fip.Adam(1e-4)},
        "counted": {"counted": ["bias"]},
        "keep": {"keep": 3},
    }
    for change in others.values():
        with pytest.raises(BusyError, match="holds the state of another computation"):
            fip.traverse(module, replace(problem, **change), rng=1, checkpoint=Mortal(tmp_path))
    same_again = replace(problem, inputs=x.numpy())
    with pytest.raises(InterruptedRunError):
        fip.traverse(module, same_again, rng=1, checkpoint=Mortal(tmp_path))


def test_a_request_to_stop_is_followed_at_the_next_cut(sheet, tmp_path):
    place = Checkpoints(tmp_path, every=1e9)
    stopping.ask()
    try:
        with pytest.raises(InterruptedRunError, match="stopped, as asked"):
            simulate(sheet, "rate_map", steps=4096, rng=1, checkpoint=place)
    finally:
        stopping.forget()
    found = simulate(sheet, "rate_map", steps=4096, rng=1, checkpoint=Checkpoints(tmp_path))
    same(found, simulate(sheet, "rate_map", steps=4096, rng=1), "time", "cell", "steps")
