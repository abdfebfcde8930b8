"""Nouns whose pictures are known: random cells in the scaffold with a hole, a bump that walks around it, Gaussian pools."""

from __future__ import annotations

import numpy as np
import pytest

from devnet._core.random import Key
from devnet.io import save, write_json, write_tensors, write_text
from devnet.sheet import Recording, Scaffold, Sheet, Wiring
from devnet.spec import dump_model, load_model

CELLS, UNITS, STEPS = 260, 12, 120


@pytest.fixture(scope="session")
def model():
    return load_model("raghavan2019_grown_pooling/small")


@pytest.fixture(scope="session")
def holed(model):
    """Return a sheet of 260 cells around a hole, with 12 layer-II units."""
    scaffold = Scaffold.from_spec(model.scaffold)
    x0, y0, x1, y1 = scaffold.bounds
    draws = Key(3).stream("places")
    box = np.stack([draws.uniform(axis, 4 * CELLS) for axis in (0, 1)], axis=1)
    places = np.array([x0, y0]) + box * np.array([x1 - x0, y1 - y0])
    places = places[scaffold.contains(places)][:CELLS]
    born = np.arange(CELLS) // 20
    parents = (Key(3).stream("mothers").uniform(0, CELLS) * np.arange(CELLS)).astype(int)
    return Sheet(
        model=model,
        key=Key(3),
        positions=places,
        parent=np.where(np.arange(CELLS) > 0, parents, -1),
        born=born,
        unit_parent=np.arange(UNITS) * 20,
        emitted=np.arange(UNITS) + 14,
        unit_height=np.full(UNITS, 0.8),
        sweeps=30,
    )


@pytest.fixture(scope="session")
def scattered(holed):
    """Return the same cells as if they had been placed at random instead of grown."""
    growth = holed.model.growth.replace(scattered=CELLS)
    return Sheet.declared(holed.model.replace(growth=growth), holed.positions)


@pytest.fixture(scope="session")
def bump(model, holed):
    """Return a recording of a bump that walks around the hole from step 20 to 100, at 0.2 radians in ten steps."""
    middle = holed.positions.mean(axis=0)
    time, cell = [], []
    for step in range(20, 100):
        angle = 0.02 * step
        place = middle + 8.0 * np.array([np.cos(angle), np.sin(angle)])
        fired = np.flatnonzero(np.hypot(*(holed.positions - place).T) < 3.0)
        time += [step] * len(fired)
        cell += fired.tolist()
    return Recording(
        sheet=holed,
        dynamics=model.dynamics["rate_map"],
        key=Key(4),
        backend="declared",
        field="exact",
        steps=STEPS,
        time=np.array(time),
        cell=np.array(cell),
    )


def wire(model, sheet, activity, *, snapshots=False):
    """Return a wiring with a Gaussian pool around every 20th cell, or, under noise, random weights."""
    noise = Key(5).stream("weights").uniform(0, sheet.n * UNITS).reshape(sheet.n, UNITS)
    distance = np.hypot(
        *(sheet.positions[:, None] - sheet.positions[None, ::20][:, :UNITS]).transpose(2, 0, 1)
    )
    pools = np.exp(-0.5 * (distance / 2.0) ** 2)
    weights = pools if activity == "waves" else noise**4
    start = 1.0 + 0.05 * noise
    extra = {}
    if snapshots:
        extra = {
            "snapshot_steps": np.array([400, 2000]),
            "snapshots": np.stack([0.5 * start + 0.5 * pools, pools]).astype(np.float32),
        }
    return Wiring(
        sheet=sheet,
        learning=model.learning["rate_map"],
        dynamics=model.dynamics["rate_map"],
        key=Key(6),
        backend="declared",
        field="exact",
        activity=activity,
        steps=2000,
        weights=weights,
        initial_weights=start,
        thresholds=np.zeros(UNITS),
        wins=np.full(UNITS, 50),
        late_wins=np.full(UNITS, 10),
        **extra,
    )


@pytest.fixture(scope="session")
def wiring(model, holed):
    return wire(model, holed, "waves", snapshots=True)


@pytest.fixture(scope="session")
def noise(model, holed):
    return wire(model, holed, "noise")


def stat(*values):
    return {"mean": float(np.mean(values)), "sd": float(np.std(values)), "values": list(values)}


def job(**accuracy):
    first, second = accuracy["fip"], accuracy["gradual"]
    difference = [a - b for a, b in zip(first, second, strict=True)]
    return {
        "methods": {
            name: {"accuracy": stat(*values), "cpu_seconds": stat(0.5, 0.7), "labels": name != "fip"}
            for name, values in sorted(accuracy.items(), reverse=True)
        },
        "best_baseline": "gradual",
        "difference": {"mean": float(np.mean(difference)), "low": -1.5, "high": 2.5, "values": difference},
    }


@pytest.fixture
def summary(model):
    """Return a summary, for one test to change."""
    return summed(model)


def summed(model):
    """Return a summary as a run writes it: one target reached, two not."""
    pools = {
        name: {
            "units": stat(12, 13),
            "organized": stat(share, share),
            "coverage": stat(share, share),
            "field_size": stat(20, 22),
            "radius_ratio": stat(0.2, 0.3),
            "overlap": stat(2.0, 2.1),
        }
        for name, share in (
            ("grown", 0.97),
            ("step0", 0.0),
            ("noise", 0.01),
            ("pools16", 1.0),
            ("izhikevich", 0.2),
        )
    }
    rows = [
        {
            "units": units,
            "kind": kind,
            "accuracy": stat(80.0 + k, 82.0 + k),
            "validation": stat(81.0),
            "field_size": stat(9.0),
        }
        for units in (16, 36)
        for k, kind in enumerate(("grown", "hand_made", "random_discs", "random_scattered"))
    ]
    rows.append(
        {
            "units": 64,
            "kind": "raw",
            "accuracy": stat(93.0, 94.0),
            "validation": stat(94.0),
            "field_size": stat(1.0),
        }
    )
    wave = {
        "active_share_of_steps": 0.7,
        "active_mean": 11.0,
        "radius_mean": None,
        "speed": 0.2,
        "waves": 3,
        "visited": 1.0,
    }
    return {
        "schema": 1,
        "model": model.name,
        "seed": 7,
        "key": "99",
        "devnet": "0.1.0",
        "versions": {"numpy": "2.3.5"},
        "machine": {"system": "Linux"},
        "seconds": {"grow": 0.5, "total": 0.5},
        "growth": {"cells": stat(260), "units": stat(12), "density": stat(0.5), "sweeps": stat(30)},
        "waves": {"rate_map": wave},
        "pools": {"main": "rate_map", **pools},
        "readout": {"data": "digits", "note": "", "rows": rows},
        "fip": {
            "dense": stat(94.0, 95.0),
            "sparsify": {"0.95": job(fip=[93.0, 94.0], gradual=[91.0, 92.5], magnitude=[30.0, 40.0])},
            "recover": job(fip=[94.0, 93.0], gradual=[94.5, 94.0]) | {"damaged": stat(70.0, 75.0)},
        },
        "targets": {
            "organized": {
                "text": "Units that became pools",
                "unit": "share",
                "bar": 0.95,
                "sense": ">=",
                "value": 0.97,
                "reached": True,
            },
            "recover": {
                "text": "Recovered: FIP - best baseline",
                "unit": "points",
                "bar": -0.5,
                "sense": ">=",
                "value": -0.75,
                "reached": False,
            },
            "noise_organized": {
                "text": "Pools under noise",
                "unit": "share",
                "bar": 0.05,
                "sense": "<=",
                "value": None,
                "reached": False,
            },
        },
    }


@pytest.fixture(scope="session")
def way():
    """Return the arrays of a path's file."""
    return {
        "steps": np.array([0, 50, 100]),
        "deltas": np.zeros((3, 4)),
        "distance": np.array([0.0, 0.1, 0.05]),
        "objective": np.array([9.0, 2.0, 0.0]),
        "weight_distance": np.array([0.0, 1.0, 1.5]),
        "sparsity": np.array([0.0, 0.5, 0.95]),
        "accuracy": np.array([94.0, 93.5, 93.0]),
    }


def fill(folder, model, sheet, recording, wiring, noise, summary, way):
    """Write what a finished run leaves in its folder."""
    for stage in ("grow", "simulate", "organize", "fip"):
        (folder / stage).mkdir(parents=True)
        write_json(folder / stage / "stage.json", {})
    write_text(folder / "config.toml", dump_model(model))
    for i in (0, 1):
        save(sheet, folder / f"grow/sheet-{i}.safetensors")
    save(recording, folder / "simulate/rate_map-0.safetensors")
    save(wiring, folder / "organize/wiring-0.safetensors")
    save(noise, folder / "organize/noise-0.safetensors")
    for name in ("sparsify95", "recover"):
        write_tensors(folder / f"fip/path-{name}-0.safetensors", way, "path", {})
    write_json(folder / "summary.json", summary)
    return folder


@pytest.fixture
def run(tmp_path, model, holed, bump, wiring, noise, summary, way):
    """Return a finished run's folder, for one test to change."""
    return fill(tmp_path / "run", model, holed, bump, wiring, noise, summary, way)


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, model, holed, bump, wiring, noise, way):
    """Return a finished run's folder, for all tests to read."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return fill(folder, model, holed, bump, wiring, noise, summed(model), way)
