"""Pools that wire themselves: winner-take-all Hebbian learning on waves, and hand-made and random controls."""

from devnet.organization.growing import grow_and_organize as grow_and_organize
from devnet.organization.organize import organize as organize
from devnet.organization.replay import replay as replay
from devnet.organization.stack import organize_stack as organize_stack
from devnet.organization.stack import simulate_stack as simulate_stack
