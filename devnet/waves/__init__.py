"""Spontaneous waves: running them, and the control in which cells fire without them."""

from devnet.waves.control import uncoupled as uncoupled
from devnet.waves.simulate import named as named
from devnet.waves.simulate import simulate as simulate
from devnet.waves.simulate import stream as stream
from devnet.waves.surrogates import shifted_trains as shifted_trains
from devnet.waves.surrogates import shuffled_frames as shuffled_frames
