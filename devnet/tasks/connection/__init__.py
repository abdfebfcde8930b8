"""Connecting two networks: bring their units into one order, then bend a curve between them, without labels."""

from devnet.tasks.connection._curve import Curve as Curve
from devnet.tasks.connection._curve import barrier as barrier
from devnet.tasks.connection._curve import connect as connect
from devnet.tasks.connection._curve import straight as straight
from devnet.tasks.connection._match import match_activations as match_activations
from devnet.tasks.connection._match import match_weights as match_weights
