"""Chooses the rate of every method of ``lenet.py`` on 10 000 held-out training images at 98 and 99 % sparsity: run it."""

from __future__ import annotations

from functools import cache, partial

from lenet import CANDIDATES, sparse

from devnet.study.figure import Effort
from devnet.study.lenet import dense, images, seen
from devnet.study.tuning import held_out, tune
from devnet.tasks import accuracy

if __name__ == "__main__":
    data = held_out(images(Effort.FULL))
    x, x_test = seen(data.x_train), seen(data.x_test)
    whole = cache(partial(dense, data, Effort.FULL))

    def score(name: str, rate: float, seed: int) -> float:
        """Return the mean accuracy at both sparsities, %."""
        made = [sparse(name, whole(seed), x, data.y_train, level, 1000, rate, seed) for level in (0.98, 0.99)]
        return 100 * sum(accuracy(module, x_test, data.y_test) for module in made) / len(made)

    tune(__file__, "lenet", CANDIDATES, score)
