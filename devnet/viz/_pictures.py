"""Which figures a run folder has, each with a title, what it shows, and words for those who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from devnet.measure import organized_on, wiring_statistics
from devnet.sheet.sampling import receptive_fields
from devnet.viz._fields import fields
from devnet.viz._growth import growth, growth_curve, lineage
from devnet.viz._layers import layers, stack
from devnet.viz._learning import learning_curves, pools_forming, times
from devnet.viz._paths import comparison, method_name, path_curves
from devnet.viz._plane import path_plane
from devnet.viz._pools import owners, pools, tiling
from devnet.viz._readout import KINDS, readout
from devnet.viz._run import Run, WayPoints
from devnet.viz._space_time import initiation_map, space_time
from devnet.viz._story import story
from devnet.viz._waves import form_name, wave_frames
from devnet.viz._weights import weights_over_time


@dataclass(frozen=True)
class Picture:
    """A figure to be drawn: where on the page, the file's name, a title, a caption, words instead, and how."""

    section: str
    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


def pictures(run: Run) -> Iterator[Picture]:
    """Yield the figures that a run's files allow, in the order of the page."""
    yield from _overview(run)
    yield from _growth(run)
    yield from _waves(run)
    yield from _pools(run)
    yield from _stack(run)
    yield from _readout(run)
    yield from _paths(run)


def _overview(run: Run) -> Iterator[Picture]:
    recording = next(iter(run.recordings.values()), None)
    if run.sheets and recording is not None and run.wiring is not None:
        sparse = [path for name, path in run.paths.items() if name.startswith("sparsify")]
        path = sparse[-1] if sparse else None
        ends = " Right: a path sets weights to zero while the network still tells images." if path else ""
        sheet = run.sheets[0]
        origin = "placed at random" if run.model.growth.scattered else f"and {sheet.m} units come to be"
        alt = (
            f"{sheet.n} cells {origin}; a patch of activity moves over the sheet; fields of units at "
            f"several steps of learning.{ends}"
        )
        accuracy = path.accuracy if path else None
        yield Picture(
            "story",
            "story",
            "The whole story",
            "",
            alt,
            lambda w=run.wiring: story(sheet, recording, w, path, accuracy),
        )


def _growth(run: Run) -> Iterator[Picture]:
    if not run.sheets or run.model.growth.scattered:
        return
    sheet = run.sheets[0]
    ended = f"{sheet.n} cells and {sheet.m} layer-II units after {sheet.sweeps} sweeps"
    hole = bool(run.model.scaffold.holes)
    yield Picture(
        "growth",
        "growth",
        "The sheet at several times",
        "A dot is a layer-I cell, colored by the sweep of its birth, joined to its mother."
        + " Nothing grows in a hole." * hole,
        f"The sheet at several sweeps, from one cell to {ended}" + "; cells flow around the hole." * hole,
        lambda: growth(sheet),
    )
    yield Picture(
        "growth",
        "growth_curve",
        "Growth curve",
        f"Cells and units after each sweep, {len(run.sheets)} seeds; strong: the sheet shown above."
        if len(run.sheets) > 1
        else "Cells and units after each sweep.",
        f"Number of cells and units against the sweep: {ended}.",
        lambda: growth_curve(*run.sheets),
    )
    yield Picture(
        "growth",
        "lineage",
        "Descent",
        "Each color: the descendants of one of the first eight cells; the first cell has a ring.",
        "The sheet with each cell in the color of its early ancestor: descendants stay together in territories.",
        lambda: lineage(sheet),
    )


def _waves(run: Run) -> Iterator[Picture]:
    for name, recording in run.recordings.items():
        form = form_name(run.model, name)
        yield Picture(
            "waves",
            f"waves-{name}",
            form[:1].upper() + form[1:],
            "Frames that follow one wave; below, how many cells fire in each step.",
            f"Frames of firing cells on the sheet under the {form}, and the number of active cells over "
            f"{recording.steps} steps: {recording.active.mean():.0f} of {recording.sheet.n} on average.",
            lambda r=recording: wave_frames(r),
        )
    for name, recording in list(run.recordings.items())[:1]:
        form = form_name(run.model, name)
        yield Picture(
            "waves",
            "space_time",
            "Space and time",
            f"The {form}: where along the sheet cells fire in each step. A wave that travels is a slanted band.",
            f"Place along the sheet against {recording.steps} steps; a pixel is the darker, the more cells of its strip "
            "fire.",
            lambda r=recording: space_time(r),
        )
        yield Picture(
            "waves",
            "initiation_map",
            "Where waves start",
            f"The {form}. Numbered: the place where each wave was first large enough to count, in order.",
            "The sheet with cells colored by how often they fire, and numbered places where waves started.",
            lambda r=recording: initiation_map(r),
        )


def _pools(run: Run) -> Iterator[Picture]:
    wiring = run.wiring
    if wiring is None:
        return
    noise = run.noise if run.noise is not None and run.noise.weights.shape == wiring.weights.shape else None
    steps, weights = times(wiring)
    share = [100.0 * float(organized_on(wiring.sheet, known, wiring.late_wins).mean()) for known in weights]
    ends = f"{share[0]:.0f} % of {wiring.units} units are organized before learning, {share[-1]:.0f} % after {wiring.steps} steps"
    control = ""
    if noise is not None:
        control = f"; from noise alone {100.0 * wiring_statistics(noise).organized:.0f} %, on the right"
    yield Picture(
        "pools",
        "pools",
        "Before, after, and under noise" if noise is not None else "Before and after",
        "Receptive fields of some units, one color a unit (eight colors, equal ones far apart). A cell has the color of "
        "the unit to which it is wired most strongly.",
        f"Fields of the same units on the sheet: {ends}{control}.",
        lambda: pools(wiring, noise),
    )
    if wiring.units == wiring.sheet.m:
        yield Picture(
            "pools",
            "layers",
            "Both layers",
            "Lines lead from a layer-II unit to the cells of its receptive field. The height is not to scale.",
            "The two layers in space, before and after learning: lines join five units to the cells of their fields.",
            lambda: layers(wiring),
        )
    if len(steps) > 2:
        yield Picture(
            "pools",
            "pools_forming",
            "Pools forming",
            "The same units while they learn.",
            f"Fields of the same units at steps {', '.join(map(str, steps))} of learning.",
            lambda: pools_forming(wiring),
        )
        yield Picture(
            "pools",
            "learning_curves",
            "Over the steps of learning",
            "Share of organized units, and radius of the pools over that of the sheet.",
            f"Share of organized units and radius of the pools against the steps of learning: {ends}.",
            lambda: learning_curves(wiring),
        )
        yield Picture(
            "pools",
            "weights_over_time",
            "Weights over time",
            "Left, the connections of one unit; blue ones end in its pool. Right, how many cells remain in a field.",
            "Weights of one unit against the steps of learning; cells in a field, mean of all units: "
            f"{_field_size(weights[0]):.0f} at the start, {_field_size(weights[-1]):.0f} at the end.",
            lambda: weights_over_time(wiring),
        )
    yield Picture(
        "tiling",
        "tiling",
        "Weight maps",
        "One small sheet a unit, in the order of the places of their fields; units are taken by number, not by looks.",
        f"Small maps of the sheet, one a unit; a field holds {_field_size(wiring.weights):.0f} of {wiring.sheet.n} cells on "
        "average.",
        lambda: tiling(wiring),
    )
    yield Picture(
        "tiling",
        "fields",
        "Receptive fields",
        "An ellipse for the field of each organized unit; some that overlap least are filled.",
        f"The sheet with an ellipse for each organized unit: {share[-1]:.0f} % of {wiring.units}.",
        lambda: fields(wiring),
    )
    yield Picture(
        "tiling",
        "owners",
        "Who owns which cell",
        "Each cell in the color of the unit to which it is wired most strongly, over all units; colors repeat.",
        f"The sheet divided among {wiring.units} units.",
        lambda: owners(wiring),
    )


def _stack(run: Run) -> Iterator[Picture]:
    found = run.stack
    if found is not None:
        ends = [top for top in range(2, len(found.layers) + 2) if top not in found.spec.feeding]
        for top in ends:  # of a stack with branches a picture each
            path = found.path(top)
            *lower, last = map(str, path)
            yield Picture(
                "stack",
                "stack" if len(ends) == 1 else f"stack-{top}",
                "All layers in space" if len(ends) == 1 else f"Layers {', '.join(lower)} and {last} in space",
                "Lines lead from units of the top layer, which lie far apart, to the fields they have in the layer below, "
                "and so on down. The heights are not to scale.",
                f"{len(path)} sheets in space, one above the other; lines join units of the top to their fields below.",
                lambda top=top: stack(found, layer=top),
            )


def _readout(run: Run) -> Iterator[Picture]:
    table = run.summary.get("readout")
    if table:
        words = [
            f"{row['units']} pools, {KINDS[row['kind']]}: {row['accuracy']['mean']:.1f} %"
            for row in table["rows"]
            if row["kind"] in KINDS
        ]
        yield Picture(
            "readout",
            "readout",
            "Accuracy through pools",
            "A dot is a seed, the stroke their mean; numbers are mean ± standard deviation.",
            "; ".join(words),
            lambda: readout(table),
        )


def _paths(run: Run) -> Iterator[Picture]:
    fip: dict[str, Any] = run.summary.get("fip", {})
    sparse = {name: path for name, path in run.paths.items() if name.startswith("sparsify")}
    labels = [f"to {name.removeprefix('sparsify')} %" for name in sparse]
    if sparse:
        yield Picture(
            "sparsify",
            "paths-sparsify",
            "Along the paths",
            "One network. The objective is the distance to the sparse networks; labels are never used.",
            "Along the paths: "
            + "; ".join(f"{n}, {_moved(p)}" for n, p in zip(labels, sparse.values(), strict=True)),
            lambda: path_curves(*sparse.values(), labels=labels, accuracy=_accuracies(*sparse.values())),
        )
    if sparse:
        yield Picture(
            "sparsify",
            "path_plane",
            "In weight space",
            "The plane that shows most of the paths. Square: start; diamond: end; color: how far the outputs moved.",
            "Paths from one start to sparse networks in a plane of weight space.",
            lambda: path_plane(*sparse.values(), labels=labels),
        )
    for share, entry in fip.get("sparsify", {}).items():
        per_cent = f"{100 * float(share):g}"
        yield Picture(
            "sparsify",
            f"sparsify{per_cent}",
            f"{per_cent} % of the weights at zero",
            "A dot is a network; right, the difference on the same network, with the 95 % interval of its mean.",
            _ends(entry),
            lambda entry=entry: comparison(entry, fip.get("dense")),
        )
    recovery = run.paths.get("recover")
    if recovery is not None:
        yield Picture(
            "recover",
            "path-recover",
            "Along the path",
            "One network: it has lost hidden units and takes their part over, without labels.",
            f"Along the path: {_moved(recovery)}.",
            lambda: path_curves(recovery, accuracy=_accuracies(recovery), show=("accuracy", "distance")),
        )
    if "recover" in fip:
        yield Picture(
            "recover",
            "recover",
            "After recovery",
            "A dot is a network; right, the difference on the same network, with the 95 % interval of its mean.",
            _ends(fip["recover"]),
            lambda: comparison(fip["recover"], fip.get("dense")),
        )
    if "second" in fip:
        yield Picture(
            "second",
            "second",
            "After the second task",
            "A dot is a network, the mean of both tasks; labels meant are the first task's; right, the difference on the "
            "same network.",
            _ends(fip["second"]),
            lambda: comparison(fip["second"]),
        )


def _field_size(weights: np.ndarray) -> float:
    """Return the mean number of cells in a receptive field."""
    return float(receptive_fields(weights).sum(axis=0).mean())


def _moved(path: WayPoints) -> str:
    """Say how far the outputs are changed at both ends of a path, and the accuracy there where it is known."""
    text = f"change of outputs from {path.distance[0]:.2g} to {path.distance[-1]:.2g}"
    if path.accuracy is None:
        return text
    return f"{text}, accuracy from {path.accuracy[0]:.1f} to {path.accuracy[-1]:.1f} %"


def _accuracies(*paths: WayPoints) -> list[np.ndarray]:
    known = [path.accuracy for path in paths if path.accuracy is not None]
    return known if len(known) == len(paths) else []


def _ends(entry: dict[str, Any]) -> str:
    words = [
        f"{method_name(name)}: {row['accuracy']['mean']:.1f} %" for name, row in entry["methods"].items()
    ]
    against = method_name(entry["best_baseline"])
    return "; ".join([*words, f"FIP minus {against}: {entry['difference']['mean']:+.2f} points"])
