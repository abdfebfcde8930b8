"""Brian2 as backend and as guest: the same laws as Brian2 objects, with Brian2's own targets and a user's monitors."""

from devnet.backends.brian2_.network import to_brian2 as to_brian2
from devnet.backends.brian2_.network import wiring_synapses as wiring_synapses
from devnet.backends.brian2_.standalone import run_standalone as run_standalone
from devnet.backends.brian2_.standalone import standalone as standalone
