"""The stages of a run up to the read-out. Each reads the files of stages before it and writes its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from devnet._core.progress import task
from devnet._core.random import Key
from devnet.data import ImageSet
from devnet.growth import grow
from devnet.io import RunFolder, save
from devnet.io.nouns import load_sheet, load_wiring
from devnet.io.stages import Part, Stage
from devnet.measure import initial_statistics, layer_statistics, wave_statistics, wiring_statistics
from devnet.organization import organize, organize_stack
from devnet.organization.controls import hand_made, random_discs, random_scattered
from devnet.sheet import Sheet, Wiring
from devnet.sheet.sampling import receptive_fields
from devnet.study.plan import Plan, refuse_units
from devnet.study.readout import Split, percent_right, pixel_pools
from devnet.study.workers import in_threads, one_thread
from devnet.waves import simulate

SNAPSHOTS = 6
"""Times at which the first wiring's weights are kept for pictures."""

BESIDE_LIMIT = 20_000
"""A learning that is run beside the main one runs for its own steps, but for at most so many."""


def grow_sheets(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Grow one sheet a seed."""

    def one(i: int) -> dict[str, Any]:
        def work(part: Part) -> dict[str, Any]:
            sheet = grow(plan.model, rng=plan.key.child("grow", i), checkpoint=part.checkpoint())
            refuse_units(plan.model, sheet.n, f"the cells of sheet {i}")
            save(sheet, part.file(f"sheet-{i}.safetensors"))
            return {
                "cells": sheet.n,
                "units": sheet.m,
                "density": sheet.density,
                "sweeps": int(sheet.sweeps),
            }

        return stage.once(f"sheet-{i}", work)

    sheets = in_threads("sheets", [lambda i=i: one(i) for i in plan.seeds], plan.workers)
    stage.numbers = {name: [sheet[name] for sheet in sheets] for name in sheets[0]}


def simulate_forms(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Record the waves of every form of the model on the first sheet."""
    sheet = sheet_of(run, 0)

    def record(form: str) -> dict[str, Any]:
        def work(part: Part) -> dict[str, Any]:
            recording = simulate(
                sheet,
                form,
                steps=plan.model.study.wave_steps,
                rng=plan.key.child("simulate", form, 0),
                checkpoint=part.checkpoint(),
            )
            save(recording, part.file(f"{form}-0.safetensors"))
            return {"steps": recording.steps} | wave_statistics(recording).numbers()

        return stage.once(form, work)

    forms = list(plan.model.dynamics)
    found = in_threads("forms", [lambda form=form: record(form) for form in forms], plan.workers)
    stage.numbers = dict(zip(forms, found, strict=True))


@dataclass(frozen=True)
class WiringJob:
    """One wiring to be made.

    Attributes:
        label: What it is: first part of its file's name.
        seed: Number of the sheet.
        learning: Name of the learning.
        units: Number of units, None for the sheet's own.
        activity: As ``organize`` takes it.
        steps: As ``organize`` takes it.
    """

    label: str
    seed: int
    learning: str
    units: int | None = None
    activity: str = "waves"
    steps: int | None = None

    @property
    def snapshots(self) -> int:
        """How often its weights are kept on the way."""
        return SNAPSHOTS if (self.label, self.seed) == ("wiring", 0) else 0


def wiring_jobs(plan: Plan) -> list[WiringJob]:
    """Return what the stage ``organize`` wires."""
    jobs: list[WiringJob] = []
    for name in plan.beside:  # the longest first
        steps = min(plan.model.learning[name].steps, BESIDE_LIMIT)
        jobs.append(WiringJob(name, 0, name, steps=steps))
    jobs += [WiringJob("wiring", i, plan.main) for i in plan.seeds]
    jobs += [WiringJob("noise", i, plan.main, activity="noise") for i in plan.seeds]
    jobs += [WiringJob(f"pools{units}", i, plan.few, units) for units in plan.pool_units for i in plan.seeds]
    return jobs


def organize_sheets(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Let waves wire each sheet's own units and given numbers of pools, and its stack; noise and other learnings beside."""
    sheets = [sheet_of(run, i) for i in plan.seeds]
    jobs = wiring_jobs(plan)

    def wire(job: WiringJob) -> dict[str, dict[str, float]]:
        name = f"{job.label}-{job.seed}"

        def work(part: Part) -> dict[str, Any]:
            wiring = organize(
                sheets[job.seed],
                job.learning,
                units=job.units,
                steps=job.steps,
                rng=plan.key.child("organize", job.label, job.seed),
                activity=job.activity,
                snapshots=job.snapshots,
                checkpoint=part.checkpoint(),
            )
            save(wiring, part.file(f"{name}.safetensors"))
            found = {job.label: wiring_statistics(wiring).numbers()}
            if job.label == "wiring":
                found["step0"] = initial_statistics(wiring).numbers()
            return found

        return stage.once(name, work)

    def pile(i: int) -> dict[str, dict[str, float]]:
        def work(part: Part) -> dict[str, Any]:
            key = plan.key.child("organize", "stack", i)
            stack = organize_stack(sheets[i], rng=key, checkpoint=part.checkpoint())
            save(stack, part.file(f"stack-{i}.safetensors"))
            found: dict[str, dict[str, float]] = {}
            for number, (name, below) in enumerate(
                zip(stack.spec.layers, stack.spec.feeding, strict=True), start=2
            ):
                found[name] = layer_statistics(stack, number).numbers()
                if below > 1:
                    found[f"{name}, seen in layer 1"] = layer_statistics(stack, number, seen_in=1).numbers()
            return found

        return stage.once(f"stack-{i}", work)

    found = in_threads("wirings", [lambda job=job: wire(job) for job in jobs], plan.workers)
    stage.numbers = dict(_by_label(found))
    if plan.model.stack is not None:
        stacks = in_threads("stacks", [lambda i=i: pile(i) for i in plan.seeds], plan.workers)
        stage.numbers["stack"] = _by_label(stacks)


def _by_label(found: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Return each number's values, in the order of what they are found in: so that seeds are in order."""
    numbers: dict[str, dict[str, list[float]]] = {}
    for statistics in found:
        for label, row in statistics.items():
            for name, value in row.items():
                numbers.setdefault(label, {}).setdefault(name, []).append(value)
    return numbers


def export_network(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Hand the first pools to PyTorch, check that its features are those of the wiring, and train the read-out.

    The network is the one with which the first replicate of the stage ``fip`` starts.
    """
    import torch

    from devnet.study import networks
    from devnet.study.networks import accuracy, save_network, seen, trained, untrained

    images, path = plan.images, plan.model.path
    wiring, key = wiring_of(run, f"pools{plan.path_units}", 0), plan.key.child("fip", 0)
    chosen = training_images(plan, key)
    network = untrained(wiring, images, path.hidden, chosen, key)
    some = images.x_test[:256].copy()  # PyTorch takes no read-only arrays
    with torch.no_grad():
        theirs = network.features(torch.from_numpy(some)).numpy()
    ours = some.reshape(len(some), -1) @ pixel_pools(wiring.sheet, wiring.weights, images.image_shape)
    with one_thread():
        x, y = seen(network, images.x_train[chosen]), images.y_train[chosen]
        readout = trained(network.readout, x, y, key, networks.TRAIN_STEPS)
    network.readout.load_state_dict(readout.state_dict())
    save_network(network, stage.file("network-0.safetensors"))
    stage.numbers = {
        "units": plan.path_units,
        "parameters": sum(parameter.numel() for parameter in network.readout.parameters()),
        "feature_error": float(np.abs(theirs - ours).max()),
        "accuracy": 100.0 * accuracy(network.readout, seen(network, images.x_test), images.y_test),
    }


def training_images(plan: Plan, key: Key) -> np.ndarray:
    """Draw the training images of a replicate without replacement."""
    return key.stream("images").permutation(0, len(plan.images.x_train))[: plan.model.readout.train_images]


def read_out(plan: Plan, run: RunFolder, stage: Stage) -> None:
    """Compare linear read-outs of images through grown, hand-made and random pools, and of raw pixels."""
    images, spec = plan.images, plan.model.readout

    def one(i: int) -> dict[str, Any]:
        key = plan.key.child("readout", i)
        split = Split.draw(images, spec, key)
        found = [_scored(images.x_train[0].size, "raw", percent_right(split, None), 1.0)]
        for units in plan.pool_units:
            found += seen_through(wiring_of(run, f"pools{units}", i), split, images, key.child(units))
        return {"rows": found}

    rows: dict[tuple[int, str], dict[str, Any]] = {}
    with task("read-outs", len(plan.seeds)) as tick:
        for i in plan.seeds:
            for row in stage.once(f"seed-{i}", lambda _, i=i: one(i))["rows"]:
                place = rows.setdefault(
                    (row["units"], row["kind"]),
                    {"units": row["units"], "kind": row["kind"]} | {name: [] for name in _SCORES},
                )
                for name in _SCORES:
                    place[name].append(row[name])
            tick()
    stage.numbers = {
        "data": images.name,
        "note": images.note,
        "image_shape": list(images.image_shape),
        "rows": sorted(rows.values(), key=lambda r: (r["kind"] == "raw", r["units"])),
    }


def seen_through(wiring: Wiring, split: Split, images: ImageSet, key: Key) -> list[dict[str, Any]]:
    """Return one seed's scores through grown pools and those that they are compared with."""
    return [
        _scored(
            wiring.units,
            kind,
            percent_right(split, pixel_pools(wiring.sheet, weights, images.image_shape)),
            mean_size(weights),
        )
        for kind, weights in _pools(wiring, key).items()
    ]


_SCORES = ("accuracy", "validation", "field_size")


def _scored(units: int, kind: str, scores: tuple[float, float], size: float) -> dict[str, Any]:
    """Return one seed's scores through pools of a kind."""
    return {"units": units, "kind": kind, "accuracy": scores[1], "validation": scores[0], "field_size": size}


def _pools(wiring: Wiring, key: Key) -> dict[str, np.ndarray]:
    sheet, units = wiring.sheet, wiring.units
    size = max(1.0, mean_size(wiring.weights))
    return {
        "grown": wiring.weights,
        "hand_made": hand_made(sheet, units, size),
        "random_discs": random_discs(sheet, units, size, rng=key.child("discs")),
        "random_scattered": random_scattered(sheet, units, size, rng=key.child("scattered")),
    }


def mean_size(weights: np.ndarray) -> float:
    """Return the mean number of cells in a unit's receptive field."""
    return float(receptive_fields(weights).sum(axis=0).mean())


def sheet_of(run: RunFolder, seed: int) -> Sheet:
    """Load a sheet that the stage ``grow`` wrote."""
    return load_sheet(run.path / "grow" / f"sheet-{seed}.safetensors")


def wiring_of(run: RunFolder, label: str, seed: int) -> Wiring:
    """Load a wiring that the stage ``organize`` wrote."""
    return load_wiring(run.path / "organize" / f"{label}-{seed}.safetensors")


StageOf = Callable[[Plan, RunFolder, Stage], None]
"""What a stage does."""
