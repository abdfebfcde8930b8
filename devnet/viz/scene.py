"""What the page draws in space: sheet, waves and weights as quantized arrays, small enough to travel in one file.

A part is packed as: length of the header (4 bytes, little-endian), header (JSON: ``meta``, and name, type and shape of
each array), the arrays one after another, each padded to 4 bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import shapely
from jaxtyping import Float, Int, UInt8
from matplotlib.colors import to_rgba_array

from devnet.io.records import read_json
from devnet.measure import organized_on
from devnet.sheet import Recording, Sheet, Wiring
from devnet.spec import ModelSpec
from devnet.viz._growth import clones
from devnet.viz._learning import times
from devnet.viz._pools import centers, neighbor_colors, spread_units
from devnet.viz._run import Run, WayPoints, path_names, sources
from devnet.viz._waves import form_name
from devnet.viz.style import PATCHES

MOST_WEIGHTS = 24_000_000
"""Bytes of weights in a page before they are compressed; more units than fit are left out, evenly."""
MOST_SPIKES = 1_000_000
"""Spikes of one recording; later steps are left out."""
MOST_LINES = 36_000
"""Connections of the units that are always drawn."""
_TYPES = {"u1": np.uint8, "u2": np.uint16, "u4": np.uint32, "f4": np.float32}


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a scene: text and numbers, and arrays of bytes, of unsigned integers or of float32."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def packed(self) -> bytes:
        """Return the part as bytes."""
        kind = {np.dtype(dtype): name for name, dtype in _TYPES.items()}
        listed = [[name, kind[a.dtype], list(a.shape)] for name, a in self.arrays.items()]
        header = json.dumps({"meta": self.meta, "arrays": listed}, allow_nan=False).encode()
        header += b" " * (-len(header) % 4)
        body = [np.ascontiguousarray(a).tobytes() for a in self.arrays.values()]
        padded = [part + bytes(-len(part) % 4) for part in body]
        return b"".join([len(header).to_bytes(4, "little"), header, *padded])

    def compressed(self) -> bytes:
        """Return the packed part in the deflate format (RFC 1950), which browsers inflate by themselves."""
        return zlib.compress(self.packed(), 9)


def parts(run: Run) -> dict[str, Callable[[], Part]]:
    """Return how to make each part of a run's scene, by its id, for what the run holds so far.

    Args:
        run: The run.

    Returns:
        Makers of ``sheet``, ``waves-0``, ``waves-1``, ..., ``wiring`` and ``paths``, as far as there is something.
    """
    found: dict[str, Callable[[], Part]] = {}
    if run.has("grow/sheet-0"):
        found["sheet"] = lambda: sheet_part(run.sheets[0])
        for number, name in enumerate(run.model.dynamics):
            if run.has(f"simulate/{name}-0"):
                found[f"waves-{number}"] = lambda n=name: waves_part(
                    run.recordings[n], form_name(run.model, n), run.summary.get("waves", {}).get(n)
                )
        if run.has("organize/wiring-0"):
            found["wiring"] = lambda: wiring_part(cast("Wiring", run.wiring))
    if any(run.has(f"fip/path-{name}-0") for name in path_names(run.model)):
        found["paths"] = lambda: paths_part(run.paths)
    if run.summary.get("readout"):
        found["readout"] = lambda: Part(dict(run.summary["readout"]))
    return found


def versions(path: Path, model: ModelSpec) -> dict[str, str]:
    """Return which parts the scene of a run has so far, and which version of each; reads no file's content.

    Args:
        path: The run folder.
        model: What runs.

    Returns:
        A version by the part's id; it changes when a file from which the part is made does.
    """
    found: dict[str, str] = {}
    for name, files in sources(model).items():
        states: dict[str, str] = {}
        for file in files:
            with suppress(OSError):
                state = (path / file).stat()
                states[file] = f"{state.st_mtime_ns:x}-{state.st_size:x}"
        if states and (list(states) != ["summary.json"] or files == ["summary.json"]):
            found[name] = ".".join(states.values())
    return found


def part_so_far(path: Path, model: ModelSpec, name: str) -> Part | None:
    """Return a part of the scene of a run that goes on.

    Args:
        path: The run folder.
        model: What runs.
        name: The part's id.

    Returns:
        The part; None where there is no such part or not yet.

    Raises:
        CorruptFileError: A file is damaged.
    """
    numbers, used = path / "summary.json", sources(model).get(name, [])
    summary = read_json(numbers) if numbers.name in used and numbers.is_file() else {}
    make = parts(Run(path, model, summary, going_on=True)).get(name)
    return None if make is None else make()


def sheet_part(sheet: Sheet) -> Part:
    """Return a sheet: places as 16-bit shares of the bounds, mothers, births, units, outline."""
    x0, y0, x1, y1 = sheet.scaffold.bounds
    extent = max(x1 - x0, y1 - y0)
    place = np.round((sheet.positions - [x0, y0]) / extent * 65535)
    rings = [
        np.asarray(ring.coords)[:, :2]
        for polygon in shapely.get_parts(sheet.scaffold.polygon)
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    height = sheet.model.growth.height
    meta = {
        "cells": sheet.n,
        "units": sheet.m,
        "sweeps": int(sheet.sweeps),
        "spacing": sheet.spacing / extent,
        "size": [(x1 - x0) / extent, (y1 - y0) / extent],
        "rings": [len(ring) for ring in rings],
        "rise": sheet.model.growth.rise / height,
        "scattered": bool(sheet.model.growth.scattered),
    }
    arrays = {
        "place": np.clip(place, 0, 65535).astype(np.uint16),
        "parent": np.where(sheet.parent < 0, np.arange(sheet.n), sheet.parent).astype(np.uint32),
        "born": sheet.born.astype(np.uint32),
        "clone": clones(sheet, 8).astype(np.uint8),
        "unit_parent": sheet.unit_parent.astype(np.uint32),
        "emitted": sheet.emitted.astype(np.uint32),
        "unit_height": (sheet.unit_height / height).astype(np.float32),
        "outline": ((np.concatenate(rings) - [x0, y0]) / extent).astype(np.float32),
    }
    return Part(meta, arrays)


def waves_part(recording: Recording, title: str, numbers: Mapping[str, Any] | None = None) -> Part:
    """Return a recording: how many cells fire in each step, and which, one step after the other."""
    ends = np.cumsum(recording.active)
    steps = max(1, int(np.searchsorted(ends, MOST_SPIKES, side="right")))
    meta = {
        "title": title,
        "steps": min(steps, recording.steps),
        "all_steps": recording.steps,
        "numbers": dict(numbers or {}),
    }
    return Part(
        meta, spike_arrays(recording.active[:steps], recording.cell[: int(ends[min(steps, len(ends)) - 1])])
    )


def spike_arrays(active: Int[np.ndarray, " steps"], cell: Int[np.ndarray, " K"]) -> dict[str, np.ndarray]:
    """Return spikes as arrays of a part: cells per step, and the cells."""
    return {"count": active.astype(np.uint32), "cell": cell.astype(np.uint32)}


def wiring_part(wiring: Wiring) -> Part:
    """Return weights at the times at which they were kept, as 64 levels of each unit's largest."""
    steps, weights = times(wiring)
    room = max(1, MOST_WEIGHTS // (len(steps) * wiring.sheet.n))
    unit = np.unique(np.linspace(0, wiring.units - 1, min(room, wiring.units)).astype(np.int64))
    share = [100.0 * float(organized_on(wiring.sheet, w, wiring.late_wins).mean()) for w in weights]
    return Part(
        {
            "steps": wiring.steps,
            "time": steps.tolist(),
            "units": wiring.units,
            "own": wiring.units == wiring.sheet.m,
            "organized": share,
        },
        {
            "unit": unit.astype(np.uint32),
            "share": np.stack([levels(w[:, unit]) for w in weights]),
            **shown_units(wiring.weights[:, unit], wiring.sheet),
        },
    )


def shown_units(weights: Float[np.ndarray, "n M"], sheet: Sheet) -> dict[str, np.ndarray]:
    """Choose units that are always drawn, whose fields reach most cells and overlap least, and their colors."""
    shown = spread_units(weights, most_shown(sheet))
    color = neighbor_colors(centers(weights[:, shown], sheet))[:, :3]
    return {"shown": shown.astype(np.uint32), "color": np.round(255 * color).astype(np.uint8)}


def even_units(sheet: Sheet) -> dict[str, np.ndarray]:
    """Choose units to be drawn before anything is known of their fields: by number, at even steps."""
    shown = np.unique(np.linspace(0, max(sheet.m - 1, 0), most_shown(sheet)).astype(np.uint32))
    color = to_rgba_array(PATCHES)[np.arange(len(shown)) % len(PATCHES), :3]
    return {"shown": shown, "color": np.round(255 * color).astype(np.uint8)}


def most_shown(sheet: Sheet) -> int:
    """Return of how many units all connections can be drawn at once."""
    return int(np.clip(MOST_LINES // sheet.n, 4, 24))


def levels(weights: Float[np.ndarray, "n M"]) -> UInt8[np.ndarray, "M n"]:
    """Return weights over each unit's largest in 64 levels, times 4: 128 and more means half of the largest and more.

    As in receptive fields, signs do not count.
    Those are the steps of the page's threshold. Below a sixteenth, the lowest, nothing is shown, so that the rest is 0
    and the whole packs well.
    """
    strength = np.abs(weights)
    largest = np.maximum(strength.max(axis=0), np.finfo(np.float64).tiny)
    level = np.minimum(63, 64.0 * (strength / largest)).astype(np.uint8)
    level[level < 64 // 16] = 0
    return (4 * level).T.copy()


def paths_part(paths: Mapping[str, WayPoints]) -> Part:
    """Return what changes along paths, which are short."""
    told: list[dict[str, Any]] = []
    for name, path in paths.items():
        told.append(
            {
                "name": name,
                "step": path.steps.tolist(),
                "accuracy": None if path.accuracy is None else path.accuracy.tolist(),
                "sparsity": (100.0 * path.sparsity).tolist(),
                "distance": path.distance.tolist(),
            }
        )
    return Part({"paths": told})
