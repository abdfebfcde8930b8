"""Pools that wire themselves: winner-take-all Hebbian learning on waves, and hand-made and random controls."""

from devnet.organization.organize import organize as organize
