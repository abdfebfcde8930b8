"""Chooses steps and rate of fine-tuning for ``recovery.py`` on 10 000 held-out training images: run it."""

from __future__ import annotations

from functools import cache, partial

from recovery import CANDIDATES

from devnet._core.random import Key
from devnet.fip import Damage
from devnet.study.figure import Effort
from devnet.study.lenet import dense, images, seen
from devnet.study.tuning import held_out, tune
from devnet.tasks import accuracy, baselines
from devnet.tasks.baselines import Training

if __name__ == "__main__":
    data = held_out(images(Effort.FULL))
    x, x_test = seen(data.x_train), seen(data.x_test)
    whole = cache(partial(dense, data, Effort.FULL))

    def score(count: str, training: Training, seed: int) -> float:
        """Return the accuracy after recovery on some images, %."""
        order = Key(seed).stream("images").permutation(0, len(x))
        some = order if count == "all" else order[: int(count)]
        damage = Damage.units(whole(seed), 0.5, rng=seed)
        recovered = baselines.fine_tuning(
            whole(seed), x[some], data.y_train[some], damage=damage, training=training, rng=seed
        )
        return 100 * accuracy(recovered, x_test, data.y_test)

    tune(__file__, "recovery", CANDIDATES, score)
