"""The LAWS: one small file a form of cell and, in ``plasticity``, one a learning rule."""

from devnet.dynamics import adaptive_leaky as adaptive_leaky
from devnet.dynamics import izhikevich as izhikevich
from devnet.dynamics import rate_map as rate_map
from devnet.dynamics.base import Form as Form
from devnet.dynamics.base import form_of as form_of
from devnet.dynamics.base import register as register
from devnet.dynamics.base import select as select
