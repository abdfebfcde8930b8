"""`devnet fip continual`: one image set as a sequence of tasks, learned one after the other by ours and by baselines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from devnet._core.errors import ConfigError
from devnet.fip import Network, leads
from devnet.study.beside import Method
from devnet.study.given_images import Labelled, images_of
from devnet.study.network_files import Source, opened
from devnet.study.path_files import Job
from devnet.tasks import accuracy
from devnet.tasks.continual import (
    AGEM,
    EWC,
    GPM,
    InvariantReplay,
    LwF,
    MetricAnchor,
    Naive,
    der,
    der_plus_plus,
    er,
    forgetting,
    learn_tasks,
    permute_inputs,
    split_classes,
)
from devnet.tasks.continual import Method as Rule
from devnet.tasks.continual._layers import linear_layers
from devnet.tasks.files import save_ensemble

OURS = "ours"
RULES: dict[str, dict[str, tuple[Rule, float]]] = {
    "split": {
        OURS: (InvariantReplay(1.0), 0.05),
        "ours-no-labels": (InvariantReplay(1.0, 0.0, 1.0), 0.05),
        "der++": (der_plus_plus(), 0.05),
        "der": (der(), 0.05),
        "er": (er(), 0.02),
        "a-gem": (AGEM(), 0.01),
        "ewc": (EWC(100.0), 0.15),
        "lwf": (LwF(1.0), 0.05),
        "naive": (Naive(), 0.4),
    },
    "permuted": {
        OURS: (MetricAnchor(strength=4.0), 0.1),
        "ours-no-labels": (MetricAnchor(InvariantReplay(1.0, 0.0, 1.0), strength=4.0), 0.1),
        "gpm": (GPM((0.9, 0.98)), 0.1),
        "der++": (der_plus_plus(), 0.1),
        "der": (der(), 0.1),
        "er": (er(), 0.1),
        "a-gem": (AGEM(), 0.15),
        "ewc": (EWC(3.0), 0.1),
        "naive": (Naive(), 0.1),
    },
}
"""By kind of sequence, each method with its rate: most as chosen on held-out images of MNIST (20 stored a task)."""

_LABELS = {"ours-no-labels": "new", "der": "new", "ewc": "new", "lwf": "new", "naive": "new", "gpm": "new"}


def continual_file(
    job: Job,
    *,
    kind: str,
    per_task: int,
    count: int,
    stored: int,
    steps: int,
    batch: int,
    method: str,
    rate: float | None,
) -> str:
    """Learn a sequence of tasks, save the network after each, and say what it knows at the end.

    Args:
        job: What to work on.
        kind: ``"split"``: some classes a task; ``"permuted"``: all classes, the pixels in ever other orders.
        per_task: Classes a task, of split ones.
        count: Tasks, of permuted ones.
        stored: Images kept of every task.
        steps: Mini-batch steps a task.
        batch: New images a step; a method that replays takes as many stored ones.
        method: A name of ``RULES``. On a network that is not all linear layers ``MetricAnchor`` cannot be had: ours is
            then the replay in it.
        rate: Rate of gradient descent for all methods; None takes each method's own.

    Returns:
        One line, and the table of baselines.

    Raises:
        ConfigError: An unknown kind, or a method that is unknown or cannot move this network.
    """
    if kind not in RULES:
        raise ConfigError("--tasks", kind, " or ".join(RULES))
    images = images_of(job.data)
    source = opened(job.path, job.factory, images, images.classes, job.key)
    rules = _fitting(RULES[kind], source.module)
    if method not in rules:
        raise ConfigError("--method", method, f"one of {', '.join(rules)}")
    train, test = (_tasks(images, source, kind, part, per_task, count, job) for part in ("train", "test"))

    def learned(rule: Rule, own: float) -> Callable[[], list[nn.Module]]:
        return lambda: learn_tasks(
            source.module,
            train,
            rule,
            steps=steps,
            batch=batch,
            stored=stored,
            rate=own if rate is None else rate,
            rng=job.key,
        )

    ours = learned(*rules[method])()

    def table(after: list[nn.Module]) -> np.ndarray:
        return np.array([[100 * accuracy(module, *task) for task in test] for module in after])

    def score(after: list[nn.Module]) -> dict[str, float]:
        found = table(after)
        return {"accuracy_percent": float(found[-1].mean()), "forgetting_points": forgetting(found)}

    def named(name: str, run: Callable[[], list[nn.Module]]) -> Method:
        return Method(name, _LABELS.get(name, "new and stored"), steps * len(train), run)

    others = [named(name, learned(*rule)) for name, rule in rules.items() if name != method]
    rows = job.compared([named(method, lambda: ours), *others], score)
    if not leads():
        return ""
    save_ensemble(ours, job.out, accuracy=table(ours).tolist())
    if job.network is not None:
        source.save(ours[-1], job.network)
    return job.told(
        f"{job.out}: {len(train)} {kind} tasks of {job.data}, {stored} images stored a task, {method}: test accuracy "
        f"after the last {rows[0]['accuracy_percent']:.1f} %, forgetting {rows[0]['forgetting_points']:.1f} points"
        f"{source.note}",
        rows,
    )


def _fitting(rules: dict[str, tuple[Rule, float]], module: nn.Module) -> dict[str, tuple[Rule, float]]:
    """Return the methods that can move a module: those by layers need all of it to be linear layers."""
    with suppress(ConfigError):
        linear_layers(Network(module))
        return rules
    plain = {n: (r.replay if isinstance(r, MetricAnchor) else r, rate) for n, (r, rate) in rules.items()}
    return {n: (r, rate) for n, (r, rate) in plain.items() if not isinstance(r, GPM)}


def _tasks(
    images: Labelled, source: Source, kind: str, part: str, per_task: int, count: int, job: Job
) -> list[tuple[Tensor, npt.NDArray[np.int64]]]:
    """Return the tasks of the training or test part as the network sees them."""
    x, y = getattr(images, f"x_{part}"), getattr(images, f"y_{part}")
    if kind == "split":
        tasks = split_classes(x, y, per_task=per_task)
    else:
        tasks = permute_inputs(x, y, count=count, rng=job.key.child("orders"))
    return [(source.see(x.reshape(-1, *images.image_shape)), y) for x, y in tasks]
