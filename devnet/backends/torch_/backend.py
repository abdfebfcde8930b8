"""The laws on tensors, behind the interface of all backends.

Each law of ``dynamics`` is evaluated as it stands, with ``torch.where`` for its ``select``. Sums over cells are folded
in halves by elementwise additions, one stated order, because torch's own sums depend on the number of threads and on
the device. So a CPU and a CUDA device give the same bits, and a CPU those of any number of threads; with the fast
field, whose Fourier transforms are the device's own, they agree within its error.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet.backends.base import NOISE, Backend, SheetModel, Spikes, State, check_finite
from devnet.backends.mesh import MESH_FROM
from devnet.backends.torch_.fields import ChangesField, LateralField, MeshField, ProductField
from devnet.backends.torch_.learning import HebbianLearning, HostLearning
from devnet.backends.torch_.philox import normal
from devnet.sheet import PLANE
from devnet.spec import RuleSpec

CHECK = 64
"""Steps between two looks for NaN and infinity."""
SAMPLES = 1 << 20
"""About as many noise samples are drawn at a time."""


def _law(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a law that chooses by ``torch.where``."""
    names = {**function.__globals__, "select": torch.where}
    return types.FunctionType(function.__code__, names, function.__name__)


def _silence(dead: Int[np.ndarray, " k"], fired: Tensor, a: Tensor, b: Tensor) -> None:
    if len(dead):
        fired[dead], a[dead], b[dead] = False, 0.0, 0.0


@final
class TorchBackend(Backend):
    """Torch tensors on a CPU or a CUDA device.

    The Hebbian rule learns on the device, other rules by their NumPy law on the host.

    Args:
        device: Such as ``"cpu"`` or ``"cuda"``; None takes a CUDA device where there is one.
        dtype: ``"float64"``, or ``"float32"``, with which no equality of long runs is promised.
        field: ``"exact"``: the rows of cells whose firing changed are added and subtracted, in one stated order;
            ``"product"``: a dense matrix product each step, whose rounding depends on device and threads; or
            ``"fast"``: large sheets of the plane by a particle mesh, smaller ones as ``"exact"``.

    Raises:
        ConfigError: No such device, dtype or field.
    """

    name = "torch"

    def __init__(
        self,
        device: str | None = None,
        dtype: str = "float64",
        field: str = "exact",
    ) -> None:
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if chosen.partition(":")[0] not in ("cpu", "cuda"):
            raise ConfigError("device", device, "'cpu' or 'cuda'")
        if chosen != "cpu" and not torch.cuda.is_available():
            raise ConfigError("device", device, "'cpu': torch finds no CUDA device")
        if dtype not in ("float64", "float32"):
            raise ConfigError("dtype", dtype, "'float64' or 'float32'")
        if field not in ("exact", "product", "fast"):
            raise ConfigError("field", field, "'exact', 'product' or 'fast'")
        self._device = torch.device(chosen)
        self._dtype = torch.float64 if dtype == "float64" else torch.float32
        self._way = field
        self._lateral: tuple[SheetModel, LateralField] | None = None

    def field(self, model: SheetModel) -> str:
        """Say how the coupling is summed; see ``Backend.field``."""
        dtype = str(self._dtype).removeprefix("torch.")
        if self._takes_mesh(model):
            return f"fast: {MeshField.name}, {dtype}, torch on {self._device.type}"
        exact = "exact" if self._dtype == torch.float64 else "rounded"
        way = ProductField.name if self._way == "product" else ChangesField.name
        return f"{exact}: {dtype} {way}, torch on {self._device.type}"

    def _takes_mesh(self, model: SheetModel) -> bool:
        return self._way == "fast" and model.n >= MESH_FROM and model.coupling.surface == PLANE

    def _lateral_field(self, model: SheetModel, like: dict[str, Any]) -> LateralField:
        if self._lateral is None or self._lateral[0] is not model:
            self._lateral = None  # one matrix at a time
            if self._takes_mesh(model):
                made: LateralField = MeshField(model.coupling, like)
            else:
                matrix = torch.from_numpy(model.coupling.matrix).to(**like)
                made = ProductField(matrix) if self._way == "product" else ChangesField(matrix)
            self._lateral = (model, made)
        return self._lateral[1]

    @torch.no_grad()
    def take(
        self,
        model: SheetModel,
        state: State,
        steps: int,
        *,
        rule: RuleSpec | None = None,
        noise: Float[np.ndarray, "steps n"] | None = None,
        record: bool = True,
    ) -> Spikes:
        """Take steps; see ``Backend.advance``."""
        like: dict[str, Any] = {"dtype": self._dtype, "device": self._device}
        fires, advance = _law(model.form.fires), _law(model.form.advance)
        lateral, k = self._lateral_field(model, like), model.constants.tolist()
        a, b = torch.tensor(state.cells, **like)
        p, q = torch.tensor(model.cells, **like)
        before = torch.tensor(state.fired, device=self._device)
        lateral.start(before)
        learning = None
        if rule is not None and state.learner is not None:
            if rule.rule == "hebbian_wta" and not rule.structural:
                learning = HebbianLearning(rule, state.learner, like)
            else:
                learning = HostLearning(rule, state.learner)
        stream, first, last = model.key.stream(NOISE), state.step, state.step + steps
        hold = model.hold if noise is None else 1
        at_once = max(1, SAMPLES // model.n)
        samples, first_row, rows = torch.empty(0, model.n), 0, 0
        fired_cells: list[Tensor] = []
        for step in range(first, last):
            fired = fires(a, b, k)
            _silence(model.dead, fired, a, b)
            firing = torch.nonzero(fired)[:, 0]
            field = lateral.step(fired, step)
            row = step // hold if noise is None else step - first
            if not first_row <= row < first_row + rows:
                first_row, rows = row, min(at_once, (last - 1) // hold - step // hold + 1)
                if noise is None:
                    samples = normal(stream, row, rows, model.n, self._device)
                else:
                    samples = torch.tensor(noise[row : row + rows], **like)
            a, b = advance(a, b, fired, field, samples[row - first_row].to(self._dtype), p, q, k)
            if learning is not None:
                learning.step(firing, fired, step)
            if record:
                fired_cells.append(firing)
            before = fired
            state.step = step + 1
            if state.step % CHECK == 0 and not bool(torch.isfinite(a + b).all()):
                break
        state.cells[:] = torch.stack([a, b]).cpu().numpy()
        state.fired[:] = before.cpu().numpy()
        check_finite(model, state)
        if learning is not None:
            learning.write_back()
        counts = [len(cells) for cells in fired_cells]
        time = np.repeat(np.arange(first, first + len(counts), dtype=np.int32), counts)
        cell = torch.cat(fired_cells).cpu().numpy() if fired_cells else np.empty(0)
        return Spikes(time, cell.astype(np.int32))
