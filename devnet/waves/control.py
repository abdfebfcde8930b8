"""The control without waves: the same cells, no coupling, and noise strong enough that as many of them fire."""

from __future__ import annotations

import numpy as np

from devnet._core.random import Key
from devnet.backends.base import SheetModel, State, backend_of
from devnet.sheet import Sheet
from devnet.spec import DynamicsSpec

_PROBE_STEPS = 1024
_PROBES = 16
"""A sheet may be silent in its first probe; it is asked again so often."""
_HALVINGS = 12


def _active(sheet: Sheet, spec: DynamicsSpec, key: Key, more_than: int) -> float:
    """Return the mean number of firing cells over the steps with more than so many, in the first probe that has one."""
    model = SheetModel.build(sheet, spec, key)
    state = State.initial(model)
    for probe in range(_PROBES):
        spikes = backend_of("numba").advance(model, state, _PROBE_STEPS)
        counts = np.bincount(spikes.time - probe * _PROBE_STEPS, minlength=_PROBE_STEPS)
        counts = counts[_PROBE_STEPS // 4 if probe == 0 else 0 :]  # the start is not at rest
        counts = counts[counts > more_than]
        if len(counts):
            return float(counts.mean())
    return 0.0


def uncoupled(sheet: Sheet, spec: DynamicsSpec, key: Key) -> DynamicsSpec:
    """Return dynamics without coupling whose cells fire as often, by noise alone, as cells in a wave do.

    Without coupling the published noise makes next to no cell fire, and a rule that never sees activity proves
    nothing. So the noise is raised, by bisection on its logarithm, until the mean number of firing cells equals that
    of the coupled sheet in steps with a wave (over 20 cells firing).

    Args:
        sheet: Where the cells are.
        spec: The coupled dynamics.
        key: Key of the short probes.

    Returns:
        The dynamics with a_i = a_o = 0 and stronger noise; of a sheet without a wave in 16384 steps, the same noise.
    """
    wanted = _active(sheet, spec, key, 20)
    silent = spec.coupling.replace(a_i=0.0, a_o=0.0)
    low, high = 0.0, 5.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        trial = spec.replace(coupling=silent, noise=spec.noise * float(np.exp(middle)))
        low, high = (middle, high) if _active(sheet, trial, key, -1) < wanted else (low, middle)
    return spec.replace(coupling=silent, noise=spec.noise * float(np.exp((low + high) / 2)))
