"""The stage ``fip``: perceptrons behind grown pools taken along functionally invariant paths, and baselines.

Every method starts from the same trained network and sees the same images; the baselines see their labels too, FIP
does not. So that results can be repeated, budgets are steps, not seconds: every baseline takes ``BASELINE_STEPS``
steps, with which it spends at least the CPU seconds of FIP; both are measured and reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.random import Key
from devnet.fip import Damage, Path
from devnet.io import RunFolder, write_tensors
from devnet.io.runs import Stage
from devnet.study import networks
from devnet.study.networks import packed, scores_along, seen, trained, untrained
from devnet.study.plan import Plan
from devnet.study.stages import training_images, wiring_of
from devnet.study.workers import in_processes
from devnet.tasks import accuracy, baselines, recover, sparsify

SPARSIFY_STEPS = 1000
BASELINE_STEPS = 1800
"""Steps of a baseline: 1000 steps of FIP cost as much as 1400 of a baseline, 20 rounds of recovery as much as 1200."""

LABELS = {"fip": False, "magnitude": True, "gradual": True, "finetune": True}
"""Whether a method is given the labels of its images."""

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Job:
    """One perceptron: its images seen through pools, and what is asked of it."""

    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]
    start: Arrays
    sparsity: tuple[float, ...]
    cut: float
    key: Key
    keep: bool
    train_steps: int
    path_steps: int
    baseline_steps: int


@dataclass(frozen=True, eq=False)
class Result:
    """Accuracies in per cent and CPU seconds by task and method; paths where they were to be kept."""

    dense: float
    damaged: float
    scores: dict[str, dict[str, tuple[float, float]]]
    paths: dict[str, tuple[Arrays, str, dict[str, Any]]]


def take_paths(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Sparsify and recover one perceptron a seed, with FIP and with the baselines."""
    jobs = [_job(plan, run, j) for j in range(plan.model.study.path_seeds)]
    results = in_processes("perceptrons", replicate, jobs, plan.workers)
    for name, path in results[0].paths.items():
        write_tensors(stage.file(f"path-{name}-0.safetensors"), *path)
    tasks: dict[str, dict[str, Any]] = {}
    for name, methods in results[0].scores.items():
        tasks[name] = {
            method: {
                "accuracy": [r.scores[name][method][0] for r in results],
                "cpu_seconds": [round(r.scores[name][method][1], 4) for r in results],
                "labels": LABELS[method],
            }
            for method in methods
        }
    stage.numbers = {
        "units": plan.path_units,
        "images": len(jobs[0].x_train),
        "dense": [r.dense for r in results],
        "damaged": [r.damaged for r in results],
        "tasks": tasks,
        "steps": {"fip": SPARSIFY_STEPS, "baselines": BASELINE_STEPS, "dense": networks.TRAIN_STEPS},
    }


def _job(plan: Plan, run: RunFolder, number: int) -> Job:
    """Draw the images of a replicate and look at them through the pools of sheet ``number`` modulo the sheets."""
    images, spec = plan.images, plan.model.path
    key = plan.key.child("fip", number)
    chosen = training_images(plan, key)
    network = untrained(
        wiring_of(run, f"pools{plan.path_units}", number % len(plan.seeds)), images, spec.hidden, chosen, key
    )
    return Job(
        x_train=seen(network, images.x_train[chosen]).numpy(),
        y_train=images.y_train[chosen],
        x_test=seen(network, images.x_test).numpy(),
        y_test=images.y_test,
        start={name: value.numpy() for name, value in network.readout.state_dict().items()},
        sparsity=spec.sparsity,
        cut=spec.cut,
        key=key,
        keep=number == 0,
        train_steps=networks.TRAIN_STEPS,
        path_steps=SPARSIFY_STEPS,
        baseline_steps=BASELINE_STEPS,
    )


def replicate(job: Job) -> Result:
    """Train one perceptron, then sparsify it and let it recover from damage, with every method."""
    x, y, key = job.x_train, job.y_train, job.key

    def score(module: nn.Module) -> float:
        return 100.0 * accuracy(module, job.x_test, job.y_test)

    dense = trained(_readout(job.start), torch.from_numpy(x), y, key, job.train_steps)
    damage = Damage.units(dense, job.cut, rng=key.child("damage"))
    budget = {"steps": job.baseline_steps}
    tasks: dict[str, dict[str, Callable[[], Any]]] = {}
    for share in job.sparsity:
        mine = key.child("sparsify", round(1000 * share))
        tasks[f"sparsify{100 * share:g}"] = {
            "fip": lambda s=share, k=mine: sparsify(dense, x, sparsity=s, steps=job.path_steps, rng=k),
            "magnitude": lambda s=share, k=mine: baselines.magnitude_pruning(
                dense, x, y, sparsity=s, rng=k, **budget
            ),
            "gradual": lambda s=share, k=mine: baselines.gradual_magnitude_pruning(
                dense, x, y, sparsity=s, rng=k, **budget
            ),
        }
    mine = key.child("recover")
    tasks["recover"] = {
        "fip": lambda: recover(dense, x, damage=damage, rng=mine),
        "finetune": lambda: baselines.fine_tuning(dense, x, y, damage=damage, rng=mine, **budget),
    }
    scores: dict[str, dict[str, tuple[float, float]]] = {}
    paths: dict[str, tuple[Arrays, str, dict[str, Any]]] = {}
    for name, methods in tasks.items():
        scores[name] = {}
        for method, run in methods.items():
            start = time.process_time()
            outcome = run()
            seconds = time.process_time() - start
            module = outcome.module() if isinstance(outcome, Path) else outcome
            scores[name][method] = (score(module), seconds)
            if job.keep and isinstance(outcome, Path):
                paths[name] = packed(outcome, scores_along(outcome, job.x_test, job.y_test))
    return Result(score(dense), score(damage.apply(dense)), scores, paths)


def _readout(start: Arrays) -> nn.Module:
    """Build the read-out of a grown network from its weights alone: linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for name, weight in start.items():
        if name.endswith("weight"):
            layers += [nn.ReLU(), nn.Linear(weight.shape[1], weight.shape[0])]
    readout = nn.Sequential(*layers[1:])
    readout.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in start.items()})
    return readout
