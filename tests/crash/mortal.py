"""A place for checkpoints in which a computation dies."""

from devnet._core.errors import InterruptedRunError
from devnet.io import Checkpoints


class Mortal(Checkpoints):
    """A place for checkpoints in which a computation dies at its second save."""

    def __init__(self, folder):
        super().__init__(folder, every=0)
        self._lives = 2

    def save(self, *state):
        super().save(*state)
        self._lives -= 1
        if not self._lives:
            raise InterruptedRunError("dead")
