"""Exports of a stack: outputs equal those of the stack's own weights and law, also after a trip through a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devnet._core.errors import ConfigError, MissingDependencyError
from devnet._core.random import Key
from devnet.dynamics.layered import LayerState, Stage, layer_step, spacings
from devnet.export import LOST, stack_to_torch, to_nir, to_onnx, to_snntorch, to_torch, write_stack
from devnet.sheet import Layer, Sheet, Stack, even_places
from devnet.spec import LayerSpec, StackSpec

torch = pytest.importorskip("torch", reason="needs devnet[torch]")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def stack(sheet: Sheet) -> Stack:
    """Two layers of Gaussian fields that are cut off, with conscience, half mature and mature."""
    layers, below = [], sheet.positions
    for number, m in enumerate((36, 16)):
        places = even_places(sheet.scaffold, m)
        square = ((below[:, None] - places[None]) ** 2).sum(axis=2)
        weights = np.exp(-square / (0.6 * sheet.scaffold.area / m)) * RNG.uniform(0.5, 1.5, square.shape)
        weights = np.where(weights > 0.1, weights, 0.0)
        spec = LayerSpec(units=m, min_active=8 if number == 0 else 2, winners=(0.1, 0.3))
        c = RNG.normal(0, 0.02, m)
        layers.append(
            Layer(spec, places, weights / weights.sum(axis=0), c, 0.6 + 0.4 * number, np.ones(m, np.int64))
        )
        below = places
    spec = StackSpec(layers={f"l{layer.units}": layer.spec for layer in layers})
    dynamics = next(iter(sheet.model.dynamics.values()))
    return Stack(sheet, spec, dynamics, Key(0), "numba", "exact", "waves", 1, tuple(layers))


@pytest.fixture(scope="module")
def branched(stack: Stack) -> Stack:
    """The same with a layer of 25 beside the third, and one above that of the sheet's own."""
    layers, spec = list(stack.layers), dict(stack.spec.layers)
    for name, m, below in (("beside", 25, 2), ("alone", 9, 1)):
        weights = RNG.dirichlet(np.ones(len(stack.places(below))), m).T
        spec[name] = LayerSpec(units=m, min_active=2, below="sheet" if below == 1 else "l36")
        places = even_places(stack.sheet.scaffold, m)
        layers.append(Layer(spec[name], places, weights, np.zeros(m), 1.0, np.ones(m, np.int64)))
    return replace(stack, spec=StackSpec(layers=spec), layers=tuple(layers))


@pytest.fixture(scope="module")
def frames(stack: Stack) -> np.ndarray:
    """Bumps here and there, one frame with too few cells, and an empty one."""
    at = stack.sheet.positions[RNG.choice(stack.sheet.n, 30)]
    found = np.linalg.norm(stack.sheet.positions[None] - at[:, None], axis=2) < 2.5
    found[0] = False
    found[1] = np.arange(stack.sheet.n) < 5
    return found.astype(np.float64)


def sums(stack: Stack, x: np.ndarray) -> list[np.ndarray]:
    return [x @ stack.weights(number, 1) for number in (2, 3)]


def settled(stack: Stack, frame: np.ndarray) -> list[np.ndarray]:
    """Step the law with a constant input until each layer stays as it is."""
    firing, found = np.flatnonzero(frame), []
    for layer in stack.layers:
        stage = Stage.at(layer.spec, *spacings(layer.positions, stack.sheet.scaffold.area), layer.maturity)
        state = LayerState.of(layer.weights.copy(), layer.c.copy(), layer.maturity)
        for _ in range(200):
            layer_step(layer.spec, stage, state, firing, False)
        found.append(state.fired.astype(float))
        firing = np.flatnonzero(state.fired)
    return found


def spiking(stack: Stack, spikes: np.ndarray) -> list[np.ndarray]:
    """The equation of ``to_snntorch`` in plain NumPy."""
    found = []
    for layer in stack.layers:
        x, out = np.zeros((spikes.shape[1], layer.units)), []
        for frame in spikes:
            x = x + (frame @ layer.weights - x) / layer.spec.tau_x
            out.append((x > layer.spec.threshold).astype(float))
        spikes = np.stack(out)
        found.append(spikes)
    return found


@pytest.mark.parametrize("layers", ["dense", "sparse"])
def test_sums_are_those_of_the_stacks_weights(stack: Stack, frames: np.ndarray, layers: str) -> None:
    x = RNG.normal(size=(5, stack.sheet.n))
    module = stack_to_torch(stack, layers=layers, dtype=torch.float64)
    for ours, theirs in zip(module.each(torch.tensor(x)), sums(stack, x), strict=True):
        assert ours.numpy() == pytest.approx(theirs, abs=1e-12)
    assert module(torch.tensor(x)).shape == (5, 16)


def test_branches_hear_what_feeds_them(branched: Stack, frames: np.ndarray) -> None:
    x = RNG.random((5, branched.sheet.n))
    found = stack_to_torch(branched, dtype=torch.float64).each(torch.tensor(x))
    for number, ours in enumerate(found, start=2):
        assert ours.numpy() == pytest.approx(x @ branched.weights(number, 1), abs=1e-12)
    assert [len(ours.T) for ours in found] == [36, 16, 25, 9]


def test_branches_in_other_programs(branched: Stack, frames: np.ndarray) -> None:
    pytest.importorskip("onnx", reason="needs devnet[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="needs devnet[onnx]")
    session = runtime.InferenceSession(
        to_onnx(branched).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(["layer_4", "layer_5"], {"cells": frames.astype(np.float32)})
    for number, ours in zip((4, 5), found, strict=True):
        assert ours == pytest.approx(frames @ branched.weights(number, 1), abs=1e-4)


def test_branches_in_nir_and_snntorch(branched: Stack, frames: np.ndarray) -> None:
    pytest.importorskip("nir", reason="needs devnet[nir]")
    graph = to_nir(branched)
    assert {("spikes_2", "synapses_3"), ("spikes_2", "synapses_4"), ("input", "synapses_5")} <= set(
        graph.edges
    )
    ends = {"output_3": 16, "output_4": 25, "output": 9}
    assert {
        name: int(node.output_type["output"][0]) for name, node in graph.nodes.items() if name in ends
    } == ends
    pytest.importorskip("snntorch", reason="needs devnet[snn]")
    spikes = torch.tensor(frames.reshape(6, 5, -1))
    lower = to_snntorch(branched, dtype=torch.float64)(spikes)
    alone = to_snntorch(
        replace(
            branched,
            spec=StackSpec(layers={"alone": branched.spec.layers["alone"]}),
            layers=branched.layers[3:],
        ),
        dtype=torch.float64,
    )(spikes)
    assert torch.equal(lower[3], alone[0])


@pytest.mark.parametrize("layers", ["dense", "sparse"])
def test_the_relay_is_the_law_after_it_has_settled(stack: Stack, frames: np.ndarray, layers: str) -> None:
    module = stack_to_torch(stack, answer="relay", layers=layers, dtype=torch.float64)
    found = [layer.numpy() for layer in module.each(torch.tensor(frames))]
    assert found[0][2:].any(axis=1).all()
    assert found[1].any()
    assert not found[0][:2].any()  # too few cells
    for row, frame in enumerate(frames):
        for ours, theirs in zip(found, settled(stack, frame), strict=True):
            assert np.array_equal(ours[row], theirs)


def test_a_unit_without_synapses_silences_no_other(stack: Stack, frames: np.ndarray) -> None:
    weights = stack.layers[0].weights.copy()
    weights[:, 3] = 0.0
    bare = replace(stack, layers=(replace(stack.layers[0], weights=weights), *stack.layers[1:]))
    module = stack_to_torch(bare, answer="relay", dtype=torch.float64)
    for frame in frames[2:6]:
        found = next(iter(module.each(torch.tensor(frame[None]))))[0].numpy()
        assert np.array_equal(found, settled(bare, frame)[0])


@pytest.fixture(scope="module")
def alike(stack: Stack) -> Stack:
    """One layer of units that all have the same weights, from 64 cells: nothing is rounded."""
    n, m = stack.layers[0].weights.shape
    weights = np.zeros((n, m))
    weights[20:84] = 1 / 64
    layer = replace(stack.layers[0], weights=weights, c=np.zeros(m))
    return replace(stack, spec=StackSpec(layers={"l36": layer.spec}), layers=(layer,))


def test_of_units_that_tie_the_first_k_fire_and_none_for_cells_without_a_synapse(alike: Stack) -> None:
    x = np.zeros((2, alike.sheet.n))
    x[0, 20:36] = x[1, :16] = 1.0
    (relayed,) = stack_to_torch(alike, answer="relay", dtype=torch.float64).each(torch.tensor(x))
    assert np.array_equal(np.flatnonzero(relayed[0]), np.arange(11))  # 0.3 of 36
    assert not relayed[1].any()
    for frame, ours in zip(x, relayed.numpy(), strict=True):
        (theirs,) = settled(alike, frame)
        assert np.array_equal(ours, theirs)
    pytest.importorskip("onnx", reason="needs devnet[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="needs devnet[onnx]")
    model = to_onnx(alike, answer="relay").SerializeToString()
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"cells": x.astype(np.float32)})
    assert np.array_equal(found, relayed.numpy())


def test_soft_competition_is_relayed(stack: Stack, frames: np.ndarray) -> None:
    specs = {name: part.replace(competition="soft", share=0.6) for name, part in stack.spec.layers.items()}
    layers = tuple(
        replace(layer, spec=part) for layer, part in zip(stack.layers, specs.values(), strict=True)
    )
    soft = replace(stack, spec=StackSpec(layers=specs), layers=layers)
    module = stack_to_torch(soft, answer="relay", dtype=torch.float64)
    found = [layer.numpy() for layer in module.each(torch.tensor(frames))]
    assert len(set(found[0].sum(axis=1).tolist())) > 3
    for row, frame in enumerate(frames):
        for ours, theirs in zip(found, settled(soft, frame), strict=True):
            assert np.array_equal(ours[row], theirs)
    pytest.importorskip("onnx", reason="needs devnet[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="needs devnet[onnx]")
    model = to_onnx(soft, answer="relay").SerializeToString()
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (there,) = session.run(["layer_2"], {"cells": frames.astype(np.float32)})
    assert np.array_equal(there, found[0])


def test_what_is_left_behind_is_told() -> None:
    for kind, words in {"sums": ("psp", "min_active", "number of active cells"), "relay": ("psp",)}.items():
        assert all(any(word in line for line in LOST[kind]) for word in words)
    assert all(any(word in line for line in LOST["spiking"]) for word in ("psp", "min_active", "set-back"))


def test_only_present_synapses_learn(stack: Stack) -> None:
    for layers in ("dense", "sparse"):
        module = stack_to_torch(stack, layers=layers, dtype=torch.float64).requires_grad_()
        x = torch.tensor(RNG.random((4, stack.sheet.n)))
        module(x).square().sum().backward()
        gradient = module.layers[0].weight.grad
        if layers == "sparse":
            assert gradient.shape == (np.count_nonzero(stack.layers[0].weights),)
        else:
            assert (gradient.numpy()[stack.layers[0].weights == 0] == 0).all()
        assert gradient.abs().sum() > 0


def test_to_torch_takes_a_stack(stack: Stack) -> None:
    module = to_torch(stack)
    assert module.layers[0].weight.dtype == torch.float32
    with pytest.raises(ConfigError, match="hidden"):
        to_torch(stack, hidden=(3,))


def test_a_state_dict_in_a_file(stack: Stack, tmp_path) -> None:
    from safetensors.torch import load_file

    assert write_stack(stack, tmp_path / "stack.safetensors", "torch", answer="relay") == LOST["relay"]
    module = stack_to_torch(stack, answer="relay")
    for parameter in module.parameters():
        parameter.data.zero_()
    module.load_state_dict(load_file(tmp_path / "stack.safetensors"))
    assert module.layers[1].synapses.weight.detach().numpy() == pytest.approx(
        stack.layers[1].weights, abs=1e-7
    )


@pytest.mark.parametrize("answer", ["sums", "relay"])
def test_onnx_answers_as_torch_does(stack: Stack, frames: np.ndarray, answer: str, tmp_path) -> None:
    pytest.importorskip("onnx", reason="needs devnet[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="needs devnet[onnx]")
    write_stack(stack, tmp_path / "stack.onnx", "onnx", answer=answer)
    session = runtime.InferenceSession(str(tmp_path / "stack.onnx"), providers=["CPUExecutionProvider"])
    x = frames.astype(np.float32)
    found = session.run(["layer_2", "layer_3"], {"cells": x})
    for ours, theirs in zip(found, stack_to_torch(stack, answer=answer).each(torch.tensor(x)), strict=True):
        assert ours == pytest.approx(theirs.numpy(), abs=1e-4)
    assert found[0].any()
    assert "Left behind" in to_onnx(stack, answer=answer).doc_string


@pytest.mark.parametrize("layers", ["dense", "sparse"])
def test_spiking_units_of_snntorch(stack: Stack, frames: np.ndarray, layers: str) -> None:
    pytest.importorskip("snntorch", reason="needs devnet[snn]")
    spikes = np.repeat(frames.reshape(6, 5, -1), 4, axis=0)
    module = to_snntorch(stack, layers=layers, dtype=torch.float64)
    found = [layer.detach().numpy() for layer in module(torch.tensor(spikes))]
    for ours, theirs in zip(found, spiking(stack, spikes), strict=True):
        assert theirs.any()
        assert np.array_equal(ours, theirs)
    module.requires_grad_()
    module(torch.tensor(spikes))[-1].sum().backward()
    synapses = module.layers[0].synapses
    assert synapses.weight.grad.abs().sum() > 0  # through the spikes of two layers


def test_nir_holds_the_same_spiking_units(stack: Stack, frames: np.ndarray, tmp_path) -> None:
    nir = pytest.importorskip("nir", reason="needs devnet[nir]")
    assert write_stack(stack, tmp_path / "stack.nir", "nir") == LOST["spiking"]
    graph = nir.read(tmp_path / "stack.nir")
    order = dict(graph.edges)
    spikes = np.repeat(frames.reshape(6, 5, -1), 4, axis=0)
    name, values = order["input"], spikes
    while name != "output":
        node = graph.nodes[name]
        match type(node).__name__:
            case "Linear":
                values = values @ node.weight.T
            case "LI":
                x, out = np.zeros(values.shape[1:]), []
                for current in values:
                    x = x + (node.v_leak - x + node.r * current) / node.tau
                    out.append(x)
                values = np.stack(out)
            case "Threshold":
                values = (values > node.threshold).astype(float)
        name = order[name]
    assert values.any()
    assert np.array_equal(values, spiking(stack, spikes)[-1])
    assert to_nir(stack).nodes.keys() == graph.nodes.keys()


def test_what_is_refused(stack: Stack, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="answer"):
        stack_to_torch(stack, answer="rates")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="layers"):
        stack_to_torch(stack, layers="some")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="format"):
        write_stack(stack, tmp_path / "x", "keras")
    with pytest.raises(ConfigError, match=r"answer: 'relay'.* nir"):
        write_stack(stack, tmp_path / "x", "nir", answer="relay")
    for name, make, extra in (
        ("onnx", to_onnx, "onnx"),
        ("nir", to_nir, "nir"),
        ("snntorch", to_snntorch, "snn"),
    ):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(MissingDependencyError, match=rf"devnet\[{extra}\]"):
            make(stack)
