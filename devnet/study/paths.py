"""The stage ``fip``: perceptrons behind grown pools taken along functionally invariant paths, and baselines.

Every method starts from the same trained network and sees the same images; the baselines see their labels too, FIP
does not. So that results can be repeated, budgets are steps, not seconds: every baseline takes ``BASELINE_STEPS``
steps, with which it spends at least the CPU seconds of FIP; both are measured and reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devnet._core.random import Key
from devnet.fip import Damage, Path
from devnet.io import Checkpoints, RunFolder
from devnet.io.stages import Part, Stage
from devnet.study import networks
from devnet.study.networks import scores_along, seen, trained, untrained, write_path
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

    part: Part
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


def take_paths(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Sparsify and recover one perceptron a seed, with FIP and with the baselines."""
    jobs = [_job(plan, run, stage.part(f"network-{j}"), j) for j in range(plan.model.study.path_seeds)]
    results = in_processes("perceptrons", replicate, jobs, plan.workers)
    found = [numbers for numbers, _ in results]
    stage.files += [name for _, files in results for name in files]
    first = found[0]["scores"]
    stage.numbers = {
        "units": plan.path_units,
        "images": len(jobs[0].x_train),
        "dense": [one["dense"] for one in found],
        "damaged": [one["damaged"] for one in found],
        "tasks": {
            name: {
                method: {
                    "accuracy": [one["scores"][name][method]["accuracy"] for one in found],
                    "labels": LABELS[method],
                }
                for method in methods
            }
            for name, methods in first.items()
        },
        "steps": {"fip": SPARSIFY_STEPS, "baselines": BASELINE_STEPS, "dense": networks.TRAIN_STEPS},
    }
    stage.times = {
        "cpu_seconds": {
            name: {
                method: [one["scores"][name][method]["cpu_seconds"] for one in found] for method in methods
            }
            for name, methods in first.items()
        }
    }


def _job(plan: Plan, run: RunFolder, part: Part, number: int) -> Job:
    """Draw the images of a replicate and look at them through the pools of sheet ``number`` modulo the sheets."""
    images, spec = plan.images, plan.model.path
    key = plan.key.child("fip", number)
    chosen = training_images(plan, key)
    network = untrained(
        wiring_of(run, f"pools{plan.path_units}", number % len(plan.seeds)), images, spec.hidden, chosen, key
    )
    return Job(
        part=part,
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


def replicate(job: Job) -> tuple[dict[str, Any], list[str]]:
    """Train one perceptron, then sparsify it and let it recover from damage, with every method.

    Args:
        job: The perceptron.

    Returns:
        Accuracies in per cent and CPU seconds by task and method; names of the files that were written.
    """
    return job.part.do(lambda: _compared(job)), job.part.files


def _compared(job: Job) -> dict[str, Any]:
    x, y, key = job.x_train, job.y_train, job.key
    dense = _trained(job)
    damage = Damage.units(dense, job.cut, rng=key.child("damage"))
    budget = {"steps": job.baseline_steps}
    tasks: dict[str, dict[str, Callable[[Checkpoints], Any]]] = {}
    for share in job.sparsity:
        mine = key.child("sparsify", round(1000 * share))
        tasks[f"sparsify{100 * share:g}"] = {
            "fip": lambda c, s=share, k=mine: sparsify(
                dense, x, sparsity=s, steps=job.path_steps, rng=k, checkpoint=c
            ),
            "magnitude": lambda _, s=share, k=mine: baselines.magnitude_pruning(
                dense, x, y, sparsity=s, rng=k, **budget
            ),
            "gradual": lambda _, s=share, k=mine: baselines.gradual_magnitude_pruning(
                dense, x, y, sparsity=s, rng=k, **budget
            ),
        }
    mine = key.child("recover")
    tasks["recover"] = {
        "fip": lambda c: recover(dense, x, damage=damage, rng=mine, checkpoint=c),
        "finetune": lambda _: baselines.fine_tuning(dense, x, y, damage=damage, rng=mine, **budget),
    }
    return {
        "dense": _score(job, dense),
        "damaged": _score(job, damage.apply(dense)),
        "scores": {
            name: {
                method: job.part.once(
                    f"{name}-{method}", lambda part, n=name, r=run: _measured(job, part, n, r)
                )
                for method, run in methods.items()
            }
            for name, methods in tasks.items()
        },
    }


def _measured(job: Job, part: Part, name: str, run: Callable[[Checkpoints], Any]) -> dict[str, Any]:
    """Run one method and score it; the first replicate's paths are kept."""
    place = part.checkpoint()
    outcome = run(place)
    seconds = round(place.cpu_seconds, 4)
    module = outcome.module() if isinstance(outcome, Path) else outcome
    if job.keep and isinstance(outcome, Path):
        write_path(
            part.file(f"path-{name}-0.safetensors"), outcome, scores_along(outcome, job.x_test, job.y_test)
        )
    return {"accuracy": _score(job, module), "cpu_seconds": seconds}


def _score(job: Job, module: nn.Module) -> float:
    return 100.0 * accuracy(module, job.x_test, job.y_test)


def _trained(job: Job) -> nn.Module:
    """Train the perceptron with labels, or take it from where it was kept."""
    network, place = _readout(job.start), job.part.checkpoint("dense")
    saved = place.load({"key": str(job.key.value)})
    if saved is not None:
        network.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in saved.arrays.items()}
        )
        return network
    dense = trained(network, torch.from_numpy(job.x_train), job.y_train, job.key, job.train_steps)
    place.save({name: value.numpy() for name, value in dense.state_dict().items()}, {})
    return dense


def _readout(start: Arrays) -> nn.Module:
    """Build the read-out of a grown network from its weights alone: linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for name, weight in start.items():
        if name.endswith("weight"):
            layers += [nn.ReLU(), nn.Linear(weight.shape[1], weight.shape[0])]
    readout = nn.Sequential(*layers[1:])
    readout.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in start.items()})
    return readout
