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
from devnet.study.beside import second_learners
from devnet.study.networks import (
    scores_along,
    second_task,
    seen,
    trained,
    untrained,
)
from devnet.study.plan import Plan
from devnet.study.stages import training_images, wiring_of
from devnet.study.workers import in_processes
from devnet.tasks import accuracy, baselines, recover, save_path, sparsify

SPARSIFY_STEPS = 1000
SECOND_STEPS = 600
STORED = 200
"""Images of the first task that are kept for the second."""
BASELINE_STEPS = 1800
"""Steps of a baseline: 1000 steps of FIP cost as much as 1400 of a baseline, 20 rounds of recovery as much as 1200."""

LABELS = {"fip": False, "magnitude": True, "gradual": True, "finetune": True, "replay": True, "naive": False}
"""Whether a method is given the labels of its images; in the second task, of the first one's images."""

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Job:
    """One perceptron: its images seen through pools, and what is asked of it."""

    part: Part
    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]
    turned_train: npt.NDArray[np.float32]
    turned_test: npt.NDArray[np.float32]
    start: Arrays
    sparsity: tuple[float, ...]
    cut: float
    key: Key
    keep: bool
    train_steps: int
    path_steps: int
    baseline_steps: int
    second_steps: int


def take_paths(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Sparsify and recover one perceptron a seed and teach it a second task, with FIP and with the baselines."""
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
        "both": [one["both"] for one in found],
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
        "steps": {
            "fip": SPARSIFY_STEPS,
            "baselines": BASELINE_STEPS,
            "second": SECOND_STEPS,
            "dense": networks.TRAIN_STEPS,
        },
        "stored": STORED,
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
        turned_train=seen(network, _turned(images.x_train[chosen])).numpy(),
        turned_test=seen(network, _turned(images.x_test)).numpy(),
        start={name: value.numpy() for name, value in network.readout.state_dict().items()},
        sparsity=spec.sparsity,
        cut=spec.cut,
        key=key,
        keep=number == 0,
        train_steps=networks.TRAIN_STEPS,
        path_steps=SPARSIFY_STEPS,
        baseline_steps=BASELINE_STEPS,
        second_steps=SECOND_STEPS,
    )


def _turned(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return square images turned by a quarter: the second task."""
    return np.ascontiguousarray(np.rot90(images, axes=(1, 2)))


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
    steps = job.baseline_steps
    pruning, tuning = (baselines.Training(steps, rate=rate) for rate in (6e-3, 3e-3))
    tasks: dict[str, dict[str, Callable[[Checkpoints], Any]]] = {}
    for share in job.sparsity:
        mine = key.child("sparsify", round(1000 * share))
        tasks[f"sparsify{100 * share:g}"] = {
            "fip": lambda c, s=share, k=mine: sparsify(
                dense, x, sparsity=s, steps=job.path_steps, rng=k, checkpoint=c
            ),
            "magnitude": lambda _, s=share, k=mine: baselines.magnitude_pruning(
                dense, x, y, sparsity=s, training=pruning, rng=k
            ),
            "gradual": lambda _, s=share, k=mine: baselines.gradual_magnitude_pruning(
                dense, x, y, sparsity=s, training=pruning, rng=k
            ),
        }
    mine = key.child("recover")
    tasks["recover"] = {
        "fip": lambda c: recover(dense, x, damage=damage, rng=mine, checkpoint=c),
        "finetune": lambda _: baselines.fine_tuning(dense, x, y, damage=damage, training=tuning, rng=mine),
    }
    tasks["second"] = _second_task(job, dense)
    return {
        "dense": _score(job, dense),
        "both": _score(job, dense, "second"),
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


def _second_task(job: Job, dense: nn.Module) -> dict[str, Callable[[Checkpoints], Any]]:
    """Teach the perceptron the same images turned by a quarter; few images of the first task are kept."""
    x, new, y = (torch.from_numpy(np.array(a)) for a in (job.x_train, job.turned_train, job.y_train))
    steps, key = job.second_steps, job.key.child("second")
    replay, naive = second_learners(dense, (x[:STORED], y[:STORED]), (new, y), steps, key)
    return {
        "fip": lambda place: second_task(dense, x[:STORED], new, y, steps=steps, rng=key, checkpoint=place),
        "replay": lambda _: replay.run(),
        "naive": lambda _: naive.run(),
    }


def _measured(job: Job, part: Part, name: str, run: Callable[[Checkpoints], Any]) -> dict[str, Any]:
    """Run one method and score it; the first replicate's paths are kept."""
    place = part.checkpoint()
    outcome = run(place)
    seconds = round(place.cpu_seconds, 4)
    module = outcome.module() if isinstance(outcome, Path) else outcome
    if job.keep and isinstance(outcome, Path):
        along = scores_along(outcome, job.x_test, job.y_test)
        save_path(outcome, part.file(f"path-{name}-0.safetensors"), accuracy=along)
    return {"accuracy": _score(job, module, name), "cpu_seconds": seconds}


def _score(job: Job, module: nn.Module, name: str = "") -> float:
    """Return the test accuracy in per cent: on the images, and in the second task the mean over both tasks."""
    first = 100.0 * accuracy(module, job.x_test, job.y_test)
    return first if name != "second" else (first + 100.0 * accuracy(module, job.turned_test, job.y_test)) / 2


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
