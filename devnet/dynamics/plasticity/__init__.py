"""Learning rules, one small file each: the law in NumPy and the same for the compiled backend."""

from devnet.dynamics.plasticity import bcm as bcm
from devnet.dynamics.plasticity import hebbian_wta as hebbian_wta
from devnet.dynamics.plasticity import k_winners as k_winners
from devnet.dynamics.plasticity import oja as oja
from devnet.dynamics.plasticity import stdp as stdp
from devnet.dynamics.plasticity import temporal_difference as temporal_difference
from devnet.dynamics.plasticity import upkeep as upkeep
from devnet.dynamics.plasticity.base import Learner as Learner
from devnet.dynamics.plasticity.base import Rule as Rule
from devnet.dynamics.plasticity.base import register as register
from devnet.dynamics.plasticity.base import rule_of as rule_of
from devnet.dynamics.plasticity.base import start as start
