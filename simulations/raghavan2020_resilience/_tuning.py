"""Steps and rate of fine-tuning in ``recovery.py``, chosen on 10 000 held-out training images: run me."""

from __future__ import annotations

from functools import cache, partial

from _lenet import dense, images, seen

from devnet._core.random import Key
from devnet.fip import Damage
from devnet.study.figure import Effort
from devnet.study.tuning import held_out, tune
from devnet.tasks import accuracy, baselines
from devnet.tasks.baselines import Training

CANDIDATES = [Training(steps, rate=rate) for steps in (200, 1000) for rate in (1e-4, 3e-4, 1e-3, 3e-3)]

if __name__ == "__main__":
    data = held_out(images(Effort.FULL))
    x, x_test = seen(data.x_train), seen(data.x_test)
    whole = cache(partial(dense, data, Effort.FULL))

    def score(count: int, training: Training, seed: int) -> float:
        """Return the accuracy after recovery on some images, %."""
        some = Key(seed).stream("images").permutation(0, len(x))[:count]
        damage = Damage.units(whole(seed), 0.5, rng=seed)
        tuned = baselines.fine_tuning(
            whole(seed), x[some], data.y_train[some], damage=damage, training=training, rng=seed
        )
        return 100 * accuracy(tuned, x_test, data.y_test)

    tune(
        {
            f"fine-tuning on {count}": {str(c): partial(score, count, c) for c in CANDIDATES}
            for count in (1000, 200, len(x))
        }
    )
