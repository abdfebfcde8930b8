"""Growth: one cell divides until its scaffold is full, and a second layer rises from the cells that have come to rest.

``grow`` is the verb; ``reference`` is the same law in plain NumPy and gives the same sheet bit for bit.
"""

from devnet.growth.emission import emitted_units as emitted_units
from devnet.growth.grow import grow as grow
