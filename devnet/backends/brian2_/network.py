"""A sheet model as Brian2 objects.

Brian2's default schedule would let cells feel each other's spikes one step late. Here every step runs

    thresholds (who fires), synapses (I = sum of S_ij over who fires), groups (the law, then I = 0),

the order of ``dynamics.base``. Cells are stepped by explicit update code, never by one of Brian2's integrators, and
Gaussians come from devnet's own streams, never from Brian2's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from devnet._core.errors import ConfigError
from devnet._core.optional import require
from devnet._core.random import as_key, stream_id
from devnet.backends.base import NOISE, SheetModel
from devnet.backends.numba_.philox import fill_normal
from devnet.sheet import Sheet, Wiring
from devnet.spec import DynamicsSpec

SCHEDULE = ["start", "thresholds", "synapses", "groups", "resets", "end"]
"""Order of a step; a user's own groups are stepped before their resets, as Brian2 users expect."""

_PLAIN: dict[str, tuple[Any, str]] = dict.fromkeys(("1", "mV", "ms", "1/ms"), (1.0, "1"))


def quantities() -> dict[str, tuple[Any, str]]:
    """Return unit and Brian2's word for its dimension, by the word that ``Brian2Text`` has for the unit."""
    b = require("brian2", extra="brian2")
    return {"1": (1.0, "1"), "mV": (b.mV, "volt"), "ms": (b.ms, "second"), "1/ms": (1 / b.ms, "hertz")}


class Noise:
    """The model's Gaussians of one step after another; one sample is kept for ``model.hold`` steps."""

    def __init__(self, model: SheetModel) -> None:
        self._model = model
        self._blocks = -(-model.n // 64)
        self._values = np.empty(self._blocks * 64, np.float32)
        self._row = -1

    def at(self, step: int) -> Float[np.ndarray, " n"]:
        """Return the samples of a step, float32; the array is used again for later steps."""
        row = step // self._model.hold
        if row != self._row:
            low, high = self._model.key.words
            fill_normal(self._values, low, high, row, 0, stream_id(NOISE), 0, self._blocks)
            self._row = row
        return self._values[: self._model.n]


@dataclass(frozen=True)
class Objects:
    """Cells and lateral synapses of a sheet, and the length of a step as a Brian2 quantity."""

    cells: Any
    coupling: Any
    dt: Any

    def network(self, *more: Any) -> Any:
        """Return a network of these and further objects, in the order of a step that the laws need."""
        b = require("brian2", extra="brian2")
        network = b.Network(self.cells, self.coupling, *more)
        network.schedule = SCHEDULE
        return network


def objects(
    model: SheetModel,
    prefix: str = "",
    units: dict[str, tuple[Any, str]] | None = None,
    noise: Float[np.ndarray, "rows n"] | None = None,
    hold: int = 1,
) -> Objects:
    """Build the Brian2 objects of a model.

    Args:
        model: The model.
        prefix: Put before the objects' names.
        units: As ``quantities``; None leaves all numbers plain, so that nothing is rounded by a change of unit.
        noise: Rows of Gaussians that the network reads by itself; None leaves a variable ``noise`` to be filled.
        hold: Steps for which each row is kept.

    Returns:
        The objects.

    Raises:
        ConfigError: The form has no text for Brian2.
    """
    b = require("brian2", extra="brian2")
    text, table = model.form.brian2, units or _PLAIN
    if text is None:
        raise ConfigError("dynamics.form", model.form.name, "a form with a Brian2Text")
    constants = {
        name: value * table[unit][0]
        for (name, unit), value in zip(text.constants, model.constants.tolist(), strict=True)
    }
    dt = 1.0 * b.ms if text.step is None else constants[text.step] * (1 if units else b.ms)
    namespace: dict[str, Any] = {**constants, "millivolt": table["mV"][0]}
    lines = [f"{name} : {table[unit][1]}" for name, unit in zip(model.form.state, text.state, strict=True)]
    lines += [f"{name} : {table[unit][1]} (constant)" for name, unit in text.cells]
    lines.append(f"I : {table[text.drive][1]}")
    if noise is None:
        lines.append("noise : 1")
    else:
        namespace["noise_rows"] = b.TimedArray(noise, dt=dt * hold, name=f"{prefix}noise_rows")
        lines.append("noise = noise_rows(t, i) : 1")
    cells = b.NeuronGroup(
        model.n,
        "\n".join(lines),
        threshold=text.threshold,
        reset="",
        dt=dt,
        namespace=namespace,
        name=f"{prefix}cells",
    )
    cells.run_regularly(text.update + "\n        I = 0*I", when="groups", name=f"{prefix}cells_law")
    values = [*zip(model.form.state, text.state, model.start, strict=True)]
    values += [(name, unit, row) for (name, unit), row in zip(text.cells, model.cells, strict=False)]
    for name, unit, row in values:
        setattr(cells, name, row * table[unit][0])
    matrix = model.coupling.matrix
    unit, word = table[text.drive]
    coupling = b.Synapses(
        cells,
        cells,
        f"w : {word} (constant)",
        on_pre="I_post += w",
        clock=cells.clock,
        name=f"{prefix}coupling",
    )
    source, target = np.nonzero(matrix)
    if len(source):
        coupling.connect(i=source, j=target)
        coupling.w = matrix[source, target] * unit
    else:
        coupling.active = False
    return Objects(cells, coupling, dt)


def to_brian2(
    sheet: Sheet,
    spec: DynamicsSpec,
    *,
    rng: Any = None,
    noise: Float[np.ndarray, "steps n"] | None = None,
) -> Any:
    """Hand out a sheet's model as a Brian2 network, to which a user adds monitors and groups.

    The network holds ``cells``, a NeuronGroup with the form's two state variables, the lateral input ``I`` (0 except
    between ``"synapses"`` and ``"groups"``; monitor it with ``when="after_synapses"``) and ``noise``, and
    ``coupling``, its lateral Synapses with weights ``w``. Potentials of the Izhikevich form are in volt; the other
    forms have no units but time, of which one is a millisecond. With the same ``rng`` it fires as ``simulate`` does.

    Args:
        sheet: Where the cells are.
        spec: Their form, constants and coupling, such as ``sheet.model.dynamics["izhikevich"]``.
        rng: Seed as ``as_key`` takes it.
        noise: (steps, n), standard Gaussians to use instead of the stream's, one row a step, the last row for all
            later steps; a network with given noise also builds with Brian2's standalone devices.

    Returns:
        The ``brian2.Network``.

    Raises:
        ConfigError: ``noise`` is not of n columns.
        MissingDependencyError: Brian2 is not installed.

    Example:
        >>> import brian2
        >>> import devnet
        >>> from devnet.backends.brian2_ import to_brian2, wiring_synapses
        >>> sheet = devnet.grow("raghavan2019_grown_pooling/small", rng=0)  # doctest: +SKIP
        >>> network = to_brian2(sheet, sheet.model.dynamics["rate_map"], rng=0)
        >>> spikes = brian2.SpikeMonitor(network["cells"])
        >>> units = brian2.NeuronGroup(
        ...     wiring.units,
        ...     "dy/dt = -y/(10*ms) : 1",
        ...     threshold="y > 1",
        ...     reset="y = 0",
        ...     method="exact",
        ...     dt=1 * brian2.ms,
        ... )
        >>> pools = wiring_synapses(wiring, network["cells"], units, on_pre="y_post += w")
        >>> network.add(spikes, units, pools)
        >>> network.run(100 * brian2.ms)
        >>> bool(spikes.num_spikes > 0)
        True
    """
    b = require("brian2", extra="brian2")
    model = SheetModel.build(sheet, spec, as_key(rng))
    if noise is not None:
        if noise.ndim != 2 or len(noise) == 0 or noise.shape[1] != model.n:
            raise ConfigError("noise", f"shape {noise.shape}", f"(steps, {model.n}), at least one step")
        return objects(model, units=quantities(), noise=noise).network()
    built = objects(model, units=quantities())
    source, clock = Noise(model), built.cells.clock
    step, values = clock.variables["timestep"].get_value(), built.cells.variables["noise"].get_value()

    def fill() -> None:
        values[:] = source.at(int(step.item()))

    return built.network(b.NetworkOperation(fill, clock=clock, when="start", order=-1, name="noise_source"))


def wiring_synapses(
    wiring: Wiring, cells: Any, units: Any, *, on_pre: str = "y_post += w", name: str = "pools"
) -> Any:
    """Hand out a grown wiring as Brian2 synapses from a sheet's cells to a user's group.

    Args:
        wiring: The wiring.
        cells: ``network["cells"]`` of ``to_brian2``, or any group of as many cells.
        units: A group of as many cells as the wiring has units.
        on_pre: What a spike does; ``w`` is the weight, without unit.
        name: The synapses' name.

    Returns:
        The ``brian2.Synapses``, one for each weight above 0.

    Raises:
        ConfigError: The groups are not of the wiring's sizes.
    """
    b = require("brian2", extra="brian2")
    if (len(cells), len(units)) != wiring.weights.shape:
        raise ConfigError("cells, units", (len(cells), len(units)), f"groups of {wiring.weights.shape}")
    synapses = b.Synapses(cells, units, "w : 1", on_pre=on_pre, clock=cells.clock, name=name)
    source, target = np.nonzero(wiring.weights)
    synapses.connect(i=source, j=target)
    synapses.w = wiring.weights[source, target]
    return synapses
