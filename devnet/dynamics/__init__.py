"""The LAWS: one small file a form of cell and, in ``plasticity``, one a learning rule."""

from devnet.dynamics.base import Form as Form
from devnet.dynamics.base import form_of as form_of
