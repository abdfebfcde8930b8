"""Stacks for other programs: PyTorch, snnTorch, ONNX, NIR. ``LOST`` says what each of them leaves behind."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from devnet._core.errors import ConfigError
from devnet._core.optional import require
from devnet.export._laws import LayerLaw, laws_of
from devnet.io import write_bytes
from devnet.sheet import Stack

if TYPE_CHECKING:
    import torch

    from devnet.export._stack import SpikingStack, StackNetwork

_ALWAYS = (
    "the sheet's own cells and waves: the input is what its cells do",
    "learning, homeostasis and maturation: weights are as they are",
    "a layer's own wave: recurrence and adaptation; of spiking units, set-back and rising thresholds",
    "the gate on spread: frames of two bumps are taken as they come",
    "the hold of input: a layer with psp above 1 is driven by the frame at hand alone, not by spikes of the steps before",
)
_SUMS = "the gate min_active, division by the number of active cells, gain control, gap junctions, conscience and winners"
LOST: dict[str, tuple[str, ...]] = {
    "sums": (*_ALWAYS, f"{_SUMS}: units answer with their weighted sum"),
    "relay": (*_ALWAYS, "integration over steps: the answer is the one into which a constant input settles"),
    "spiking": (*_ALWAYS, f"{_SUMS}: any number of units may fire"),
}
"""What an answer leaves behind: of ``stack_to_torch`` and ``to_onnx`` sums and relay; of ``to_snntorch`` and ``to_nir``
spiking."""

Answer = Literal["sums", "relay"]
OPSET = 17
"""ONNX operators that are used."""


def stack_to_torch(
    stack: Stack,
    *,
    answer: Answer = "sums",
    layers: Literal["dense", "sparse"] = "dense",
    dtype: torch.dtype | None = None,
) -> StackNetwork:
    """Turn a stack into a PyTorch module, from values at the cells of its sheet (N, n) to its top layer (N, M).

    Args:
        stack: The stack.
        answer: ``"sums"``, weighted sums, each unit's weights summing to 1; or ``"relay"``: zeros and ones, the firing
            into which the layers settle when the cells that are 1 go on firing; see ``LayerLaw``.
        layers: ``"dense"``, masked matrices, or ``"sparse"``, present synapses alone.
        dtype: Floating-point type; None means float32.

    Returns:
        The module, on the CPU; its synapses are frozen, ``requires_grad_()`` frees them.

    Raises:
        ConfigError: Another answer, or other layers.
        MissingDependencyError: PyTorch is not installed.
    """
    torch = require("torch", extra="torch")
    from devnet.export._stack import RelayLayer, StackNetwork, synapses

    kind = torch.float32 if dtype is None else dtype
    made = []
    for law in laws_of(stack):
        projection = synapses(law.weights, layers, kind)
        made.append(RelayLayer(law, projection, kind) if _checked(answer) == "relay" else projection)
    return StackNetwork(made, stack.spec.feeding, [layer.positions for layer in stack.layers], kind)


def to_snntorch(
    stack: Stack, *, layers: Literal["dense", "sparse"] = "dense", dtype: torch.dtype | None = None
) -> SpikingStack:
    """Turn a stack into spiking units of snnTorch, with surrogate gradients (fast sigmoid) for training through spikes.

    A unit's x += (sum_i W_ij s_i - x) / tau_x, from 0, and it fires while x is above the layer's threshold: when that
    share of its weight is active.

    Args:
        stack: The stack.
        layers: ``"dense"`` or ``"sparse"``.
        dtype: Floating-point type; None means float32.

    Returns:
        The module: spikes (steps, N, n) to the spikes of every layer.

    Raises:
        ConfigError: Other layers.
        MissingDependencyError: PyTorch or snnTorch is not installed.
    """
    torch, snntorch = require("torch", extra="torch"), require("snntorch", extra="snn")
    from devnet.export._stack import SpikingLayer, SpikingStack, synapses

    kind = torch.float32 if dtype is None else dtype
    made = [SpikingLayer(law, synapses(law.weights, layers, kind), snntorch) for law in laws_of(stack)]
    return SpikingStack(made, stack.spec.feeding)


def to_nir(stack: Stack) -> Any:
    """Turn a stack into a graph of the Neuromorphic Intermediate Representation: the units of ``to_snntorch``.

    Each layer is a ``Linear``, an ``LI`` (dx/dt = (I - x) / tau, time in steps) and a ``Threshold``. The last layer goes to
    ``output``, the end of any other branch to ``output_`` and its number.

    Args:
        stack: The stack.

    Returns:
        The ``nir.NIRGraph``; ``nir.write(path, graph)`` writes it.

    Raises:
        MissingDependencyError: The package nir is not installed.
    """
    nir = require("nir", extra="nir")
    nodes: dict[str, Any] = {"input": nir.Input(np.array([stack.sheet.n]))}
    ends = ["input", *(f"spikes_{number}" for number in range(2, len(stack.layers) + 2))]
    edges: list[tuple[str, str]] = []
    for number, (law, below) in enumerate(zip(laws_of(stack), stack.spec.feeding, strict=True), start=2):
        ones = np.ones(law.weights.shape[1], np.float32)
        nodes |= {
            f"synapses_{number}": nir.Linear(law.weights.T.astype(np.float32)),
            f"units_{number}": nir.LI(np.float32(law.tau_x) * ones, ones, 0 * ones),
            f"spikes_{number}": nir.Threshold(np.float32(law.threshold) * ones),
        }
        edges += pairwise([ends[below - 1], f"synapses_{number}", f"units_{number}", f"spikes_{number}"])
        if number not in stack.spec.feeding:
            out = "output" if number == len(ends) else f"output_{number}"
            nodes[out] = nir.Output(np.array([len(ones)]))
            edges.append((f"spikes_{number}", out))
    return nir.NIRGraph(nodes, edges)


def to_onnx(stack: Stack, *, answer: Answer = "sums") -> Any:
    """Turn a stack into an ONNX model in float32, from ``cells`` (N, n) to ``layer_2``, ``layer_3`` and so on.

    Args:
        stack: The stack.
        answer: As in ``stack_to_torch``.

    Returns:
        The ``onnx.ModelProto``, checked; what is left behind stands in its doc_string.

    Raises:
        ConfigError: Another answer.
        MissingDependencyError: The package onnx is not installed.
    """
    onnx = require("onnx", extra="onnx")
    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {}
    outputs, real = [], onnx.TensorProto.FLOAT
    for number, (law, feeding) in enumerate(zip(laws_of(stack), stack.spec.feeding, strict=True), start=2):
        name, below = f"layer_{number}", "cells" if feeding == 1 else f"layer_{feeding}"
        constants[f"{name}.weights"] = law.weights.astype(np.float32)
        summed = name if _checked(answer) == "sums" else f"{name}.sums"
        nodes.append(onnx.helper.make_node("MatMul", [below, f"{name}.weights"], [summed]))
        if answer == "relay":
            _relay(onnx, law, below, name, nodes, constants)
        outputs.append(onnx.helper.make_tensor_value_info(name, real, ["N", law.weights.shape[1]]))
    graph = onnx.helper.make_graph(
        nodes,
        "stack",
        [onnx.helper.make_tensor_value_info("cells", real, ["N", stack.sheet.n])],
        outputs,
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="devnet",
        doc_string=f"answer: {answer}. Left behind: " + "; ".join(LOST[answer]),
    )
    onnx.checker.check_model(model)
    return model


def _relay(
    onnx: Any, law: LayerLaw, below: str, name: str, nodes: list[Any], constants: dict[str, np.ndarray]
) -> None:
    """Write the settled law of one layer, node by node; names follow ``LayerLaw``."""

    def constant(kind: str, value: Any, dtype: Any = np.float32) -> str:
        constants[f"{name}.{kind}"] = np.asarray(value, dtype)
        return f"{name}.{kind}"

    def node(operator: str, *inputs: str, out: str, **options: Any) -> str:
        nodes.append(onnx.helper.make_node(operator, list(inputs), [f"{name}.{out}"], **options))
        return f"{name}.{out}"

    axis, one = constant("axis", [1], np.int64), constant("one", 1.0)
    zero = constant("zero", 0.0)
    count = node("ReduceSum", below, axis, out="count", keepdims=1)
    share = node("Div", f"{name}.sums", node("Max", count, one, out="some"), out="share")
    z = node("Div", share, constant("length", law.length), out="z")
    mean = node("ReduceMean", z, out="mean", axes=[1], keepdims=1)
    top = node("ReduceMax", z, out="max_z", axes=[1], keepdims=1)
    above = node("Sub", top, mean, out="above")
    uneven = node("Greater", above, zero, out="uneven")
    gain = node(
        "Div",
        node("Sub", z, mean, out="centered"),
        node("Where", uneven, above, one, out="divisor"),
        out="gain",
    )
    smooth = node("MatMul", gain, constant("spread", law.spread.T), out="smooth")
    u = node("Where", uneven, smooth, one, out="drive")
    u = node("Div", u, node("ReduceMax", u, out="max_u", axes=[1], keepdims=1), out="scaled")
    u = node("Sub", u, constant("c", law.c), out="u")
    best = [f"{name}.best", f"{name}.best_at"]  # of ties the lowest, by TopK's definition
    nodes.append(onnx.helper.make_node("TopK", [u, constant("k", [law.winners], np.int64)], best, axis=1))

    def both(first: str, second: str, out: str) -> str:
        return node("And", first, second, out=out)

    enough = node("GreaterOrEqual", count, constant("min_active", law.min_active), out="enough")
    driven = node("Greater", top, zero, out="driven")
    most = node("ReduceMax", u, out="max_drive", axes=[1], keepdims=1)
    part = node("Mul", most, constant("part", law.share), out="of_most")
    bar = node("Max", part, constant("threshold", law.threshold), out="bar")
    over = node("Greater", best[0], bar, out="over")
    fires = both(over, both(enough, driven, "open"), "fires")
    ones = node("Cast", fires, out="ones", to=onnx.TensorProto.FLOAT)
    silent = node("ConstantOfShape", node("Shape", u, out="shape"), out="silent")
    nodes.append(onnx.helper.make_node("ScatterElements", [silent, best[1], ones], [name], axis=1))


def _checked(answer: str) -> str:
    if answer not in ("sums", "relay"):
        raise ConfigError("answer", answer, "'sums' or 'relay'")
    return answer


def write_stack(
    stack: Stack,
    path: str | Path,
    format: str,  # noqa: A002  # as users say it
    *,
    answer: Answer | None = None,
) -> tuple[str, ...]:
    """Write a stack as a file of another program.

    Args:
        stack: The stack.
        path: Where.
        format: ``"torch"``: the ``state_dict`` of ``stack_to_torch`` as safetensors; ``"onnx"``; or ``"nir"`` (HDF5).
        answer: Of torch and ONNX: ``"sums"``, which None means, or ``"relay"``; of NIR, whose units spike, none.

    Returns:
        What is left behind.

    Raises:
        ConfigError: Another format or answer, or an answer of NIR.
        MissingDependencyError: The format's package is not installed.
        StorageError: It could not be written.
    """
    if format == "nir" and answer is not None:
        raise ConfigError("answer", answer, "nothing: it does not apply to nir, whose units spike")
    answer = answer or "sums"
    if format == "torch":
        from safetensors.torch import save

        write_bytes(path, save(stack_to_torch(stack, answer=answer).state_dict()))
    elif format == "onnx":
        write_bytes(path, to_onnx(stack, answer=answer).SerializeToString())
    elif format == "nir":
        import io

        buffer = io.BytesIO()
        require("nir", extra="nir").write(buffer, to_nir(stack))
        write_bytes(path, buffer.getvalue())
    else:
        raise ConfigError("format", format, "'torch', 'onnx' or 'nir'")
    return LOST["spiking" if format == "nir" else answer]
