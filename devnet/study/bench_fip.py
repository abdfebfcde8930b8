"""`devnet bench fip`: what a step along a path costs beside a step of plain training, in one run on one machine.

All take turns on the same batch in the same mode; a ratio is formed pair by pair. On a CPU one thread works and its CPU
seconds count, so that other work on the machine tells less; on a GPU it is wall time between two synchronizations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet._core.progress import task
from devnet._core.random import Key
from devnet.fip import (
    Adam,
    Damage,
    Euclidean,
    Network,
    Objective,
    PenalizedGradient,
    Problem,
    Sparsity,
    Step,
    StopWhen,
    UnitLength,
)
from devnet.fip._traverse import advance, begun
from devnet.study.claims import Answer, claims_of
from devnet.study.processes import in_process, peak_memory
from devnet.study.workers import one_thread
from devnet.tasks.models import build

REPEATS = 5
PRODUCTS = 5
"""Gauss-Newton products a solve."""


@dataclass(frozen=True)
class Case:
    """A network and a batch.

    Attributes:
        name: Name of the network.
        image: Shape of an image.
        batch: Examples a step.
        steps: Steps that are timed together.
        device: Where.
        precision: ``"bfloat16"`` lets both ours and plain training compute in it (autocast); else ``"float32"``.
    """

    name: str
    image: tuple[int, ...]
    batch: int
    steps: int
    device: str = "cpu"
    precision: str = "float32"

    @property
    def autocast(self) -> torch.dtype | None:
        """The type in which the network computes, or None for its own."""
        return torch.bfloat16 if self.precision == "bfloat16" else None

    @property
    def module(self) -> nn.Module:
        """A fresh network in evaluation mode, the same one each time."""
        return build(self.name, self.image, 10, rng=0).eval().to(self.device)

    @property
    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs and class numbers: four batches, made up, and never all-zero in a pixel."""
        count = 4 * self.batch
        draws = Key(1).stream("images").uniform(0, count * int(np.prod(self.image)))
        x = torch.from_numpy(draws.astype(np.float32)).reshape(count, *self.image)
        return x.to(self.device), (torch.arange(count) % 10).to(self.device)

    def seconds(self, run: Callable[[], object]) -> float:
        """Return the time of one call, over ``steps`` calls."""
        clock = process_time
        if self.device != "cpu":
            clock = perf_counter
            torch.cuda.synchronize()
        began = clock()
        for _ in range(self.steps):
            run()
        if self.device != "cpu":
            torch.cuda.synchronize()
        return (clock() - began) / self.steps


def plain(case: Case) -> Callable[[], object]:
    """Return plain training: cross-entropy and gradient descent, PyTorch's own fused update where it has one."""
    module, (x, y) = case.module, case.data
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, foreach=case.device != "cpu")
    state = {"step": 0}

    def step() -> None:
        rows = (torch.arange(case.batch, device=case.device) + state["step"] * case.batch) % len(x)
        state["step"] += 1
        optimizer.zero_grad()
        with torch.autocast(case.device, dtype=case.autocast, enabled=case.autocast is not None):
            loss = nn.functional.cross_entropy(module(x.index_select(0, rows)), y.index_select(0, rows))
        loss.backward()
        optimizer.step()

    return step


def path(case: Case, step: Step, objective: Objective | None = None) -> Callable[[], object]:
    """Return one step of a path; it starts from a slightly damaged network, so that the gradient is not zero."""
    module, (x, _) = case.module, case.data
    goal = Damage.noise(module, 0.02, rng=0) if objective is None else objective
    problem = Problem(
        x,
        goal,
        direction=PenalizedGradient(case.batch),
        step=step,
        stop=StopWhen(10**6),
        precision=case.autocast,
    )
    walk = begun(module, problem, Key(2), None)
    if objective is not None:
        walk.weights.mul_(1.0 + 1e-3)
    return lambda: advance(walk, problem)


def refresh(case: Case, goal: Sparsity) -> Callable[[], object]:
    """Return the choice of a plane by itself, as ``goal`` makes one now and then."""
    module, (x, _) = case.module, case.data
    problem = Problem(x, goal, stop=StopWhen(10**6), precision=case.autocast)
    walk = begun(module, problem, Key(2), None)

    def choose() -> None:
        goal.update(walk)
        walk.step += goal.refresh

    return choose


def released(
    case: Case, sparsity: float = 0.9, length: float = 1e-3, pull: float = 1.0
) -> Callable[[], object]:
    """Return a step as the released programs take it, written from their description (F24).

    The teacher is asked at every step, all weights are appended to one vector on the host, sorted whole, and a step of
    fixed length goes along the gradient of the Bhattacharyya distance plus the pull to the nearest sparse network.
    """
    module, teacher, (x, _) = case.module, case.module, case.data
    state = {"step": 0}

    def gathered(tensors: Sequence[Tensor]) -> np.ndarray:
        flat = np.empty(0, np.float32)
        for tensor in tensors:
            flat = np.append(flat, tensor.detach().cpu().numpy().ravel())
        return flat

    def step() -> None:
        rows = (torch.arange(case.batch, device=case.device) + state["step"] * case.batch) % len(x)
        state["step"] += 1
        seen = x.index_select(0, rows)
        with torch.no_grad():
            q = teacher(seen).softmax(-1)
        module.zero_grad()
        p = module(seen).softmax(-1)
        (-(p * q + 1e-12).sqrt().sum(-1).log()).sum().backward()
        parameters = list(module.parameters())
        weights = gathered(parameters)
        gradient = gathered([parameter.grad for parameter in parameters if parameter.grad is not None])
        sparse = weights.copy()
        sparse[np.argsort(np.abs(weights))[: round(sparsity * len(weights))]] = 0.0
        gradient += pull * (weights - sparse)
        weights -= length / np.linalg.norm(gradient) * gradient
        place = 0
        with torch.no_grad():
            for parameter in parameters:
                piece = weights[place : place + parameter.numel()].reshape(parameter.shape)
                parameter.copy_(torch.from_numpy(piece))
                place += parameter.numel()

    return step


def gauss_newton(case: Case) -> Callable[[], object]:
    """Return a linearization and several products with the metric, as a solve takes them."""
    network, (x, _) = Network(case.module), case.data
    v = torch.from_numpy(Key(3).stream("v").normal(0, len(network.weights))).to(network.weights)

    def products() -> None:
        local = Euclidean().at(network, x[: case.batch])
        for _ in range(PRODUCTS):
            local.mv(v)

    return products


def ratios(case: Case, ours: Callable[[], object], theirs: Callable[[], object]) -> list[float]:
    """Return ours over theirs, pair by pair, after two calls of each that do not count."""
    for run in (ours, theirs) * 2:
        run()
    return [case.seconds(ours) / case.seconds(theirs) for _ in range(REPEATS)]


def with_refresh(case: Case) -> list[float]:
    """Return the cost of a step towards sparsity, its share of a choice of the plane included, over a plain step."""
    goal = Sparsity(0.95, refresh=10**6)
    step, choose, theirs = path(case, Adam(1e-4), goal), refresh(case, Sparsity(0.95)), plain(case)
    for run in (step, choose, theirs) * 2:
        run()
    return [
        (case.seconds(step) + case.seconds(choose) / Sparsity(0.95).refresh) / case.seconds(theirs)
        for _ in range(REPEATS)
    ]


def peak(kind: str, case: Case) -> float:
    """Return the peak memory in bytes of a process that takes a few steps; run it in a fresh one.

    Args:
        kind: ``"plain"`` or ``"path"``.
        case: The network.

    Returns:
        Bytes: of the process, or of the GPU.
    """
    with one_thread():
        step = plain(case) if kind == "plain" else path(case, UnitLength(1e-3))
        for _ in range(3):
            step()
    return float(peak_memory() if case.device == "cpu" else torch.cuda.max_memory_allocated())


def memory(case: Case) -> list[float]:
    """Return the peak of a path over 1.15 times that of plain training plus one copy of the weights."""
    program = "from devnet.study.bench_fip import Case, peak\nprint(peak({!r}, {!r}))"
    weights = sum(p.numel() * p.element_size() for p in case.module.parameters())
    ours, theirs = (in_process(program.format(kind, case))[0][0] for kind in ("path", "plain"))
    return [ours / (1.15 * theirs + weights)]


def bench_fip(device: str = "cpu") -> dict[str, Answer]:
    """Measure every claim of group ``fip`` that this machine can answer.

    Args:
        device: ``cpu`` or ``cuda``; rows that need a CUDA device are measured there in any case.

    Returns:
        Answers by claim id.

    Raises:
        ConfigError: No such device here.
    """
    if device != "cpu" and not (device == "cuda" and torch.cuda.is_available()):
        raise ConfigError("device", device, "cpu, or cuda where there is such a device")
    lenet = Case("lenet-300-100", (28, 28), 128, 50, device)
    resnet = Case("resnet-18", (3, 32, 32), 16, 1, device)
    large = Case("resnet-18", (3, 32, 32), 128, 1, device)
    single = Case("resnet-18", (3, 32, 32), 128, 20, "cuda")
    half = replace(single, precision="bfloat16")
    measures: dict[str, Callable[[], list[float]]] = {
        "lenet_step": lambda: ratios(lenet, path(lenet, UnitLength(1e-3)), plain(lenet)),
        "lenet_adam": lambda: ratios(lenet, path(lenet, Adam(1e-4)), plain(lenet)),
        "lenet_sparsity": lambda: with_refresh(lenet),
        "lenet_released": lambda: ratios(lenet, released(lenet), path(lenet, UnitLength(1e-3))),
        "resnet_step": lambda: ratios(resnet, path(resnet, UnitLength(1e-3)), plain(resnet)),
        "resnet_adam": lambda: ratios(resnet, path(resnet, Adam(1e-4)), plain(resnet)),
        "resnet_sparsity": lambda: with_refresh(large),
        "resnet_released": lambda: ratios(resnet, released(resnet), path(resnet, UnitLength(1e-3))),
        "resnet_memory": lambda: memory(resnet),
        "gauss_newton": lambda: [r / PRODUCTS for r in ratios(resnet, gauss_newton(resnet), plain(resnet))],
        "cuda_float32": lambda: ratios(single, path(single, UnitLength(1e-3)), plain(single)),
        "cuda_bfloat16": lambda: ratios(half, path(half, UnitLength(1e-3)), plain(half)),
        "cuda_bfloat16_sparsity": lambda: with_refresh(half),
    }
    asked = claims_of("fip")
    answers: dict[str, Answer] = {}
    with task("bench fip", len(asked)) as tick, one_thread():
        for name in asked:
            began = perf_counter()
            values = measures[name]()
            answers[name] = Answer(values, perf_counter() - began)
            tick()
    return answers
