"""Chooses the rates of all methods on 10 000 held-out training images, one seed: run it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import connect
import torch
import vit
from _two_goals import CANDIDATES, first_task, halves, second_task

from devnet.data import load_images
from devnet.study import lenet
from devnet.study.figure import Effort
from devnet.study.tuning import SEEDS, held_out, tune
from devnet.tasks import accuracy, connection

if __name__ == "__main__":
    digits = held_out(lenet.images(Effort.FULL))
    x, x_test = lenet.seen(digits.x_train), torch.from_numpy(lenet.seen(digits.x_test))
    ends = cache(lambda seed: [lenet.dense(digits, Effort.FULL, s) for s in (seed, seed + 1)])

    def lowest(method: str, rate: float, seed: int) -> float:
        """Return minus the barrier of the loss, in thousandths."""
        first, last = ends(seed)
        labels = digits.y_train if method == connect.LABELED else None
        curve = connection.connect(
            first, connection.match_weights(first, last), x, labels=labels, steps=3000, rate=rate, rng=seed
        )
        return -1000 * connection.barrier(
            list(connect.heights(curve, x_test, torch.from_numpy(digits.y_test.copy()), 17)[:, 0])
        )

    tune(__file__, "connect", connect.CANDIDATES, lowest, SEEDS[:1])

    case = vit.case(Effort.FULL)
    case = replace(case, training=case.training // 2, steps=case.steps // 2)
    images = held_out(load_images(case.images))
    train, test = halves(images)
    sparse = cache(lambda seed: first_task(case, images, train[0], seed)[1])

    def score(method: str, candidate: tuple[float, ...], seed: int) -> float:
        """Return the mean accuracy on both tasks, %."""
        module = second_task(method, candidate, case, sparse(seed), train, seed)
        return 50 * sum(accuracy(module, x[: case.test], y[: case.test]) for x, y in test)

    tune(__file__, "vit", CANDIDATES, score, SEEDS[:1])
