"""A whole run: stage after stage, each restartable, into one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet._core import stopping
from devnet._core.errors import ConfigError, CorruptFileError, InterruptedRunError
from devnet._core.lock import refuse_busy
from devnet._core.progress import task
from devnet._core.random import Key, as_key
from devnet.io import EVERY, RunFolder, read_run, verify, write_json
from devnet.io.stages import Stage
from devnet.spec import ModelSpec
from devnet.study import stages
from devnet.study.estimate import checked
from devnet.study.plan import Plan
from devnet.study.summary import read_summary, summarize


def _take_paths(plan: Plan, run: RunFolder, stage: Stage) -> None:
    from devnet.study.paths import take_paths

    take_paths(plan, run, stage)


def _report(plan: Plan | None, run: RunFolder, stage: Stage) -> None:
    """Draw the figures and write the page."""
    from devnet.viz.report import write_report

    write_report(run.path)
    figures = sorted(path.name for path in (run.path / "figures").glob("*"))
    for name in ["report.html", *(f"figures/{figure}" for figure in figures)]:
        stage.run_file(name)


@dataclass(frozen=True)
class Step:
    """A stage of the run.

    Attributes:
        name: Its name and the name of its folder.
        after: Stages whose files it reads.
        run: What it does.
        share: Its share of the time, in per cent: about what it was on the demo. Only the time left is told by it.
    """

    name: str
    after: tuple[str, ...]
    run: stages.StageOf
    share: int


STEPS = (
    Step("grow", (), stages.grow_sheets, 3),
    Step("simulate", ("grow",), stages.simulate_forms, 4),
    Step("organize", ("grow",), stages.organize_sheets, 22),
    Step("export", ("organize",), stages.export_network, 3),
    Step("readout", ("organize",), stages.read_out, 6),
    Step("fip", ("organize",), _take_paths, 44),
)
_REPORT = Step("report", tuple(step.name for step in STEPS), _report, 18)

STAGES = tuple(step.name for step in (*STEPS, _REPORT))
"""Names of the stages, in order."""

REPEATABLE = STAGES[:-1]
"""Those whose files are functions of model and key alone; the page also tells times."""


def shares() -> dict[str, int]:
    """Return about how many per cent of a run's time each stage takes, in order."""
    return {step.name: step.share for step in (*STEPS, _REPORT)}


def run_model(
    model: str | Path | ModelSpec,
    out: str | Path,
    *,
    rng: Any = 0,
    data: str | None = None,
    workers: int | None = None,
    every: float = EVERY,
) -> dict[str, Any]:
    """Run a model: grow, simulate, organize, export, read out, take paths, report.

    What an earlier call finished in the same folder is checked by digest and skipped, and what it had under way goes
    on from its last checkpoint, to the same end bit for bit. With more than one worker the FIP stage starts
    processes: call this from a script's ``if __name__ == "__main__":`` block.

    Args:
        model: Catalog name, path of a TOML file, or a spec.
        out: The run folder: new, empty, or one that holds the start of this very run.
        rng: Seed.
        data: Image set (``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``), or None for the model's.
        workers: Replicates that run at a time, or None for the number of cores. Results do not depend on it.
        every: Seconds between two checkpoints: what a kill may cost.

    Returns:
        The summary, as in ``summary.json``.

    Raises:
        ConfigError: The model or an argument does not fit; nothing has been written.
        ResourceError: This machine has not enough memory or disk; nothing has been written.
        BusyError: The folder is in use or holds something else.
        StorageError: A file could not be written.
        CorruptFileError: The folder's configuration is damaged, or it holds a link, pipe or device.
        InterruptedRunError: Ctrl-C, or it was asked to stop; what was done is kept.
    """
    refuse_busy(out)
    plan = Plan.of(model, rng, data, workers)
    if not (Path(out) / "manifest.json").exists():
        checked(plan, out)
    with RunFolder.open(
        out, plan.model, {"key": str(plan.key.value)}, notes={"seed": plan.seed}, every=every
    ) as run:
        if run.complete():
            return read_summary(run.path)
        try:
            return _run(plan, run)
        except (KeyboardInterrupt, InterruptedRunError):
            kept = [name for name in STAGES if (run.path / name / "stage.json").exists()]
            raise InterruptedRunError(
                f"{run.path}: stopped; finished and kept: {', '.join(kept) or 'nothing yet'}; "
                f"devnet resume {run.path} goes on from there"
            ) from None
        finally:
            stopping.forget()


def resume_run(path: str | Path, *, workers: int | None = None, every: float = EVERY) -> dict[str, Any]:
    """Go on with a run where it was stopped or killed; it ends as if it never had been. A finished one stays as it is.

    Args:
        path: The run folder.
        workers: As in ``run_model``.
        every: As in ``run_model``.

    Returns:
        The summary.

    Raises:
        ConfigError: It is no run folder.
        BusyError: Another process writes there, or another devnet began it.
        CorruptFileError: Its configuration is damaged, or it holds a link, pipe or device.
        InterruptedRunError: As in ``run_model``.
    """
    model, record = read_run(path)
    try:
        key, seed = Key(int(record["key"])), record["notes"]["seed"]
    except (KeyError, TypeError, ValueError, ConfigError):
        raise CorruptFileError(f"{Path(path) / 'run.json'}: names no key") from None
    with RunFolder.existing(path) as run:
        if run.complete():
            return read_summary(run.path)
    same = isinstance(seed, int) and as_key(seed) == key
    return run_model(model, path, rng=seed if same else key, workers=workers, every=every)


def _run(plan: Plan, run: RunFolder) -> dict[str, Any]:
    with task("run", sum(shares().values())) as tick:
        for step in STEPS:
            _do(plan, run, step)
            tick(step.share)
        write_json(run.path / "summary.json", summarize(plan, run, STAGES[:-1]))
        _do(plan, run, _REPORT)
        tick(_REPORT.share)
    summary = summarize(plan, run, STAGES)
    write_json(run.path / "summary.json", summary)
    run.write_manifest(REPEATABLE)
    return summary


def _do(plan: Plan, run: RunFolder, step: Step) -> None:
    stopping.check()
    if run.finished(step.name, step.after):
        with task(f"{step.name} (kept)"):
            return
    with task(step.name), run.stage(step.name, step.after) as stage:
        step.run(plan, run, stage)


def report_again(path: str | Path) -> Path:
    """Draw the figures of a run anew and write its page.

    Args:
        path: The run folder.

    Returns:
        The page.

    Raises:
        ConfigError: The folder holds no run, or one without a summary.
        BusyError: Another process writes there.
        CorruptFileError: A file that the page is drawn from is not as it was written; nothing has been changed.
    """
    with RunFolder.existing(path) as run:
        read_summary(run.path)
        verify(run.path, but=_drawn(run.path))  # a new manifest signs what lies there
        with run.stage(_REPORT.name, [name for name in _REPORT.after if (run.path / name).is_dir()]) as stage:
            _report(None, run, stage)
        if all(run.finished(step.name, step.after) for step in STEPS):
            run.write_manifest(REPEATABLE)
    return run.path / "report.html"


def _drawn(path: Path) -> set[str]:
    """Return the files that the last stage writes."""
    figures = {f"figures/{file.name}" for file in (path / "figures").glob("*")}
    return figures | {"report.html", *(f"{_REPORT.name}/{name}.json" for name in ("stage", "times"))}
