"""How long a run will take: every kind of work is done for a few steps on this machine, and the steps are counted.

Processor time is taken, which other programs disturb least. A work's time is a fixed part and a part a step; two short
runs of different length tell both.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from devnet._core.progress import task
from devnet._core.random import Key
from devnet.measure import wave_statistics, wiring_statistics
from devnet.organization import organize, organize_stack
from devnet.sheet import Sheet, Wiring
from devnet.study.estimate import Estimate, estimate, first_sheet, libraries
from devnet.study.plan import Plan
from devnet.study.readout import Split, percent_right
from devnet.study.stages import seen_through, training_images, wiring_jobs
from devnet.study.workers import one_thread
from devnet.waves import simulate

STEPS = 1024
"""Steps of a sheet that a calibration takes first, then twice as many."""
TRAINING = 40
ROUNDS = 1
PASSES = 5
"""How often a run reads each of its bytes for a digest."""
DRAWINGS = 57
"""How many of the figures drawn here take as long as a report."""


@dataclass(frozen=True)
class Rate:
    """Processor seconds of a work: a fixed part, and a part a step."""

    fixed: float
    step: float

    @classmethod
    def of(cls, work: Callable[[int], Any], few: int) -> Rate:
        """Measure a work that takes a number of steps; its first time, which loads libraries, does not count."""
        work(few)
        short, long = spent(lambda: work(few)), spent(lambda: work(2 * few))
        step = max(0.0, (long - short) / few)
        return cls(max(0.0, short - few * step), step)

    def __call__(self, steps: int) -> float:
        """Return what so many steps take."""
        return self.fixed + self.step * steps


def spent(work: Callable[[], Any]) -> float:
    """Return the processor seconds that a work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def calibrated(plan: Plan) -> Estimate:
    """Say what a run takes: memory, disk and time.

    Args:
        plan: The run.

    Returns:
        The estimate.

    Raises:
        ResourceError: The sheet has more cells than a run can couple.
    """
    first_sheet(plan)  # what is loaded and compiled once is no part of a step's time
    base = libraries(plan)
    start = time.process_time()
    sheet = first_sheet(plan)
    seconds = {"grow": plan.model.study.seeds * (time.process_time() - start)}
    with task("plan", 5) as tick, one_thread():

        def timed(label: str, work: Callable[[], Any]) -> Any:
            with task(label):
                found = work()
            tick()
            return found

        spikes, seconds["simulate"] = timed("waves", lambda: _waves(plan, sheet))
        wiring, seconds["organize"] = timed("wirings", lambda: _wirings(plan, sheet))
        seconds["readout"] = timed("read-outs", lambda: _readouts(plan, wiring))
        seconds["export"], seconds["fip"] = timed("paths", lambda: _paths(plan, wiring))
        seconds["report"] = timed("figures", lambda: _drawings(sheet))
    found = estimate(plan, sheet, base, spikes)
    hashing = spent(lambda: hashlib.sha256(bytes(1 << 24)).digest()) / (1 << 24)
    stages = {
        name: replace(needs, seconds=seconds[name] + PASSES * hashing * needs.disk)
        for name, needs in found.stages.items()
    }
    study, jobs = plan.model.study, len(wiring_jobs(plan))
    side = {
        "grow": study.seeds,
        "simulate": len(plan.model.dynamics),
        "organize": jobs,
        "fip": study.path_seeds,
    }
    clock = sum(n.seconds / min(plan.workers, side.get(name, 1)) for name, n in stages.items())
    return replace(found, stages=stages, clock=clock)


def _waves(plan: Plan, sheet: Sheet) -> tuple[dict[str, float], float]:
    """Return the spikes a step of every form, and the seconds of the stage ``simulate``."""
    spikes: dict[str, float] = {}
    seconds = 0.0
    for form in plan.model.dynamics:

        def work(steps: int, form: str = form) -> None:
            recording = simulate(sheet, form, steps=steps, rng=plan.key.child("simulate", form, 0))
            wave_statistics(recording)
            spikes[form] = float((recording.time >= steps // 2).sum()) / (steps - steps // 2)

        seconds += Rate.of(work, STEPS)(plan.model.study.wave_steps)
    return spikes, seconds


def _wirings(plan: Plan, sheet: Sheet) -> tuple[Wiring, float]:
    """Return a wiring of the perceptron's pools, and the seconds of the stage ``organize``."""
    rates: dict[Any, Rate] = {}
    made: dict[Any, Wiring] = {}
    seconds = 0.0
    for job in wiring_jobs(plan):
        kind = job.learning, job.units, job.activity

        def work(steps: int, job: Any = job, kind: Any = kind) -> None:
            made[kind] = organize(
                sheet,
                job.learning,
                units=job.units,
                steps=steps,
                rng=plan.key.child("organize", job.label, 0),
                activity=job.activity,
            )
            wiring_statistics(made[kind])

        if kind not in rates:
            rates[kind] = Rate.of(work, STEPS)
        seconds += rates[kind](job.steps or plan.model.learning[job.learning].steps)
    if (stack := plan.model.stack) is not None:
        rate = Rate.of(lambda steps: organize_stack(sheet, steps=steps, rng=plan.key), STEPS)
        seconds += plan.model.study.seeds * rate(stack.steps)
    return made[plan.few, plan.path_units, "waves"], seconds


def _readouts(plan: Plan, wiring: Wiring) -> float:
    """Return the seconds of the stage ``readout``."""
    split = Split.draw(plan.images, plan.model.readout, plan.key)
    percent_right(split, None)  # loads libraries
    raw = spent(lambda: percent_right(split, None))
    pooled = spent(lambda: seen_through(wiring, split, plan.images, plan.key))
    return plan.model.study.seeds * (raw + len(plan.pool_units) * pooled)


def _paths(plan: Plan, wiring: Wiring) -> tuple[float, float]:
    """Return the seconds of the stages ``export`` and ``fip``."""
    from devnet.fip import Damage
    from devnet.study import networks, paths
    from devnet.tasks import recover, sparsify

    images, spec, key = plan.images, plan.model.path, Key(0)
    chosen = training_images(plan, key)
    loading = spent(lambda: networks.untrained(wiring, images, spec.hidden, chosen, key))
    network = networks.untrained(wiring, images, spec.hidden, chosen, key)
    x, y, readout = networks.seen(network, images.x_train[chosen]), images.y_train[chosen], network.readout
    looking = spent(lambda: networks.seen(network, images.x_test))
    damage = Damage.units(readout, spec.cut, rng=0)
    train = Rate.of(lambda steps: networks.trained(readout, x, y, key, steps), TRAINING)
    sparse = Rate.of(lambda steps: sparsify(readout, x, sparsity=0.9, steps=steps, rng=0), TRAINING)
    cure = Rate.of(lambda rounds: recover(readout, x, damage=damage, rounds=rounds, rng=0), ROUNDS)
    second = Rate.of(
        lambda steps: networks.second_task(readout, x[: paths.STORED], x, y, steps=steps, rng=0), TRAINING
    )
    shares, budget = len(spec.sparsity), paths.BASELINE_STEPS
    replicate = (
        train(networks.TRAIN_STEPS)
        + shares * (sparse(paths.SPARSIFY_STEPS) + 2 * train(budget))
        + cure(20)
        + train(budget)
        + second(paths.SECOND_STEPS)
        + 2 * train(paths.SECOND_STEPS)
        + 4 * (loading + looking)
    )
    return loading + 2 * looking + train(networks.TRAIN_STEPS), plan.model.study.path_seeds * replicate


def _drawings(sheet: Sheet) -> float:
    """Return the seconds of the stage ``report``, from one of its figures, a mark a cell, in both formats."""
    from devnet.viz import lineage
    from devnet.viz._files import to_png, to_svg

    def draw() -> None:
        figure = lineage(sheet)
        to_svg(figure, "plan")
        to_png(figure)

    draw()
    return DRAWINGS * spent(draw)
