"""Pools that wire themselves: winner-take-all Hebbian learning on waves, and hand-made and random controls."""

from devnet.organize.organize import learning_of as learning_of
from devnet.organize.organize import organize as organize
