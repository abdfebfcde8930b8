"""What a run will take: memory and disk from the sizes of its arrays, and whether this machine has as much.

The first sheet is grown, which takes a small part of a run; the other sheets are taken to be like it. Counts are those
of the files' formats and of what a stage holds at its fullest moment; what libraries take beside arrays was measured.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devnet._core.errors import ResourceError
from devnet.backends.coupling import MAX_DENSE
from devnet.growth import grow
from devnet.sheet import Sheet
from devnet.spec import dump_model
from devnet.study.machine import available_memory, resident
from devnet.study.plan import Plan
from devnet.study.stages import WiringJob, wiring_jobs

MB = 1_000_000
LIBRARIES = 460 * MB
"""What a process holds that has loaded everything and has done nothing, where the system does not tell."""
TORCH = 80 * MB
"""What PyTorch and SciPy take once they have trained and solved something, beyond being loaded."""
PAGE = 110 * MB
"""What the drawing of figures takes beyond that."""
WORKER = 330 * MB
"""What a process that takes paths holds."""
SPIKE_ROOM = 8 << 20
"""Bytes of a kernel's room for spikes."""
FIRING = 0.03
"""Share of the cells that fire in a step, where nothing was measured: an upper end of what the models do."""
WAY_POINTS = 11
"""Way-points of a path; its start is kept beside them."""


@dataclass(frozen=True)
class Needs:
    """What a stage takes.

    Attributes:
        memory: Bytes at its fullest moment, the libraries included.
        disk: Bytes of its files.
        seconds: Processor seconds; 0 where they were not measured.
    """

    memory: int
    disk: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What a run takes.

    Attributes:
        cells: Cells of the first sheet.
        units: Its layer-II units.
        workers: Replicates at a time.
        stages: Needs by stage, in order.
        clock: Seconds by the clock, with these workers on cores of their own; 0 where times were not measured.
    """

    cells: int
    units: int
    workers: int
    stages: dict[str, Needs]
    clock: float = 0.0

    @property
    def memory(self) -> int:
        """Bytes at the run's fullest moment."""
        return max(needs.memory for needs in self.stages.values())

    @property
    def disk(self) -> int:
        """Bytes of the finished run folder."""
        return sum(needs.disk for needs in self.stages.values())

    @property
    def seconds(self) -> float:
        """Processor seconds."""
        return sum(needs.seconds for needs in self.stages.values())

    def refuse(self, folder: str | Path) -> None:
        """Refuse a run that this machine cannot hold.

        Args:
            folder: The run folder, or the folder it will lie in; what a run folder holds already is not needed again.

        Raises:
            ResourceError: What is missing, and how to make the run smaller.
        """
        lines: list[str] = []
        stage = max(self.stages, key=lambda name: self.stages[name].memory)
        needed, free = self.memory - resident(), available_memory()
        if needed > free:
            fewer = f"--workers {self.workers // 2}, or " if self.workers > 1 else ""
            lines.append(
                f"memory: {size(needed)} are needed ({stage}, {self.cells} cells, {self.workers} at a time), "
                f"{size(free)} are free; give {fewer}a smaller scaffold: memory grows with the square of its area"
            )
        place = Path(folder).absolute()
        held = _held(place)
        while not place.exists():
            place = place.parent
        room, needed = shutil.disk_usage(place).free, self.disk - held
        if needed > room:
            lines.append(
                f"disk: {size(needed)} are needed in {folder}, {size(room)} are free; give another folder, "
                "fewer study.seeds or a smaller scaffold"
            )
        if lines:
            raise ResourceError("\n".join(lines))


def _held(folder: Path) -> int:
    """Return the bytes of a run folder's files; 0 of a folder that holds other runs."""
    total = 0
    if (folder / "run.json").is_file():
        for file in folder.rglob("*"):
            with suppress(OSError):  # gone meanwhile: the run is going on
                total += file.stat().st_size if file.is_file() else 0
    return total


def size(count: float) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def first_sheet(plan: Plan) -> Sheet:
    """Return the first sheet of a run.

    Args:
        plan: The run.

    Returns:
        The sheet, as the stage ``grow`` will make it.

    Raises:
        ResourceError: It has more cells than a run can couple.
    """
    sheet = grow(plan.model, rng=plan.key.child("grow", 0))
    if sheet.n > MAX_DENSE:
        raise ResourceError(
            f"scaffold: {sheet.n} cells are more than {MAX_DENSE}, the most that a run can couple; give a smaller "
            "scaffold, or step the sheet with devnet simulate --field fast"
        )
    return sheet


def libraries(plan: Plan) -> int:
    """Return what this process holds once the libraries and the images are loaded.

    Args:
        plan: The run; a sheet of it has been grown.

    Returns:
        Bytes.
    """
    images = plan.images.x_train.nbytes + plan.images.x_test.nbytes
    return resident() or LIBRARIES + images


def estimate(plan: Plan, sheet: Sheet, base: int, spikes: dict[str, float] | None = None) -> Estimate:
    """Say what memory and disk a run takes.

    Args:
        plan: The run.
        sheet: Its first sheet.
        base: Bytes that the process holds before the run; see ``libraries``.
        spikes: Spikes a step of each form, where they were measured.

    Returns:
        The estimate, without times.
    """
    n, m, model = sheet.n, sheet.m, plan.model
    wave_steps, seeds = model.study.wave_steps, model.study.seeds
    matrix = 8 * n**2
    one_sheet = 25 * n + 16 * m + len(json.dumps(dump_model(model))) + 1000

    fired = {form: (spikes or {}).get(form, FIRING * n) * wave_steps for form in model.dynamics}
    forms = [matrix + SPIKE_ROOM + 24 * count for count in fired.values()]
    jobs = wiring_jobs(plan)
    wide = {job: _units(plan, job, m) for job in jobs}
    kept = {job: 4 * n * wide[job] * _snapshots(plan, job) for job in jobs}
    files = {job: one_sheet + (16 * n + 24) * wide[job] + kept[job] for job in jobs}
    # The coupling, the weights twice and the snapshots three times; or a file's arrays three times; or, for the
    # control by noise, the coupling and a probe's spikes.
    wirings = [
        max(
            matrix + 32 * n * wide[job] + 3 * kept[job],
            3 * files[job],
            (matrix + SPIKE_ROOM) * (job.activity == "noise"),
        )
        for job in jobs
    ]
    heights, weights = _layers(plan, n, m)
    pile = (one_sheet + weights) * bool(heights)
    # Distances and two couplings of all units of each layer, and as many again while one of them is made; or the file's
    # arrays three times.
    couplings = 24 * (sum(units**2 for units in heights) + max(heights, default=0) ** 2)
    stacks = [matrix + max(couplings + pile, 3 * pile)] * seeds
    hidden, classes = model.path.hidden, plan.images.classes
    width = [plan.path_units, *([hidden] if hidden else []), classes]
    parameters = sum(a * b + b for a, b in itertools.pairwise(width))
    seen = 4 * min(model.readout.train_images, len(plan.images.x_train)) * plan.images.x_train[0].size
    first = max(files.values())

    stages = {
        "grow": Needs(base, seeds * one_sheet),
        "simulate": Needs(
            base + _most(forms, plan.workers), sum(8 * round(k) + one_sheet for k in fired.values())
        ),
        "organize": Needs(
            base + max(_most(wirings, plan.workers), _most(stacks, plan.workers)),
            sum(files.values()) + seeds * pile,
        ),
        "export": Needs(base + TORCH, 5 * n * plan.path_units + 56 * n + 4 * parameters + 6000),
        "readout": Needs(base + TORCH + 3 * seen, 3000),
        "fip": Needs(
            base + TORCH + (WORKER * min(plan.workers, model.study.path_seeds) if plan.workers > 1 else 0),
            (len(model.path.sparsity) + 2) * (4 * (WAY_POINTS + 1) * parameters + 3000),
        ),
        "report": Needs(base + TORCH + PAGE + 3 * first, _page(n, m, len(model.dynamics))),
    }
    return Estimate(n, m, plan.workers, stages)


def _units(plan: Plan, job: WiringJob, m: int) -> int:
    """Return how many units a job wires, on a sheet with m layer-II units."""
    return next(u for u in (job.units, plan.model.learning[job.learning].units, m) if u is not None)


def _layers(plan: Plan, n: int, m: int) -> tuple[list[int], int]:
    """Return the units of each layer of the model's stack, and the bytes of their arrays; nothing where it has none."""
    stack, sizes, weights = plan.model.stack, [n], 0
    if stack is None:
        return [], 0
    for layer, feeding in zip(stack.layers.values(), stack.feeding, strict=True):
        below = sizes[feeding - 1]
        sizes.append(
            layer.units if not layer.emitted else m if feeding == 1 else m * below // n
        )  # about the same share
        weights += 8 * sizes[-1] * (below + 4)
    return sizes[1:], weights


def _snapshots(plan: Plan, job: WiringJob) -> int:
    """Return how often a job keeps its weights: at most once in 1024 steps."""
    return min(job.snapshots, -(-(job.steps or plan.model.learning[job.learning].steps) // 1024))


def _most(jobs: Iterable[float], workers: int) -> int:
    """Return what the largest jobs take that can run at a time."""
    return round(sum(sorted(jobs, reverse=True)[:workers]))


def _page(n: int, m: int, forms: int) -> int:
    """Return the bytes of page and figures."""
    return round(4.1 * MB + forms * 0.25 * MB + 930 * n + 1.95 * n * m)


def checked(plan: Plan, folder: str | Path) -> None:
    """Refuse a run that this machine cannot hold, before anything of it is written.

    Args:
        plan: The run.
        folder: Its folder.

    Raises:
        ResourceError: What is missing, and how to make the run smaller.
    """
    sheet = first_sheet(plan)
    estimate(plan, sheet, libraries(plan)).refuse(folder)
