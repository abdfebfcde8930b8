"""The laws on tensors, behind the interface of all backends.

Each law of ``dynamics`` is evaluated as it stands, with ``torch.where`` for its ``select``. Sums over cells are folded
in halves by elementwise additions, one stated order, because torch's own sums depend on the number of threads and on
the device. So a CPU and a CUDA device give the same bits, and a CPU those of any number of threads.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from devnet._core.errors import ConfigError
from devnet.backends.base import NOISE, Backend, SheetModel, Spikes, State, check_finite
from devnet.backends.torch_.philox import normal
from devnet.dynamics.plasticity import Learner, rule_of
from devnet.dynamics.plasticity.base import total
from devnet.spec import HebbianWTASpec, RuleSpec

REFRESH = 1024
"""The field is summed afresh at every step number that this divides, so that sums by changes cannot drift."""
CHECK = 64
"""Steps between two looks for NaN and infinity."""
ROWS = 256
"""Most rows of a matrix gathered at a time."""
SAMPLES = 1 << 20
"""About as many noise samples are drawn at a time."""


def _law(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a law that chooses by ``torch.where``."""
    names = {**function.__globals__, "select": torch.where}
    return types.FunctionType(function.__code__, names, function.__name__)


def fold(rows: Tensor) -> Tensor:
    """Sum over the first axis by adding its second half to its first, again and again."""
    if len(rows) == 0:
        return rows.new_zeros(rows.shape[1:])
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = rows[:half] + rows[half : 2 * half]
        if len(rows) % 2:
            pairs[0] += rows[-1]
        rows = pairs
    return rows[0]


def sum_rows(matrix: Tensor, index: Tensor, signs: Tensor | None = None) -> Tensor:
    """Sum rows of a matrix, each with its sign, in an order that depends on their number alone."""
    result = matrix.new_zeros(matrix.shape[1:])
    for first in range(0, len(index), ROWS):
        part = matrix[index[first : first + ROWS]]
        if signs is not None:
            part = part * signs[first : first + ROWS, None]
        result = result + fold(part)
    return result


def _silence(dead: Int[np.ndarray, " k"], fired: Tensor, a: Tensor, b: Tensor) -> None:
    if len(dead):
        fired[dead], a[dead], b[dead] = False, 0.0, 0.0


class _HostLearning:
    """Any rule, by its law in NumPy."""

    def __init__(self, rule: RuleSpec, learner: Learner) -> None:
        self.rule, self.learner, self.law = rule, learner, rule_of(rule).learn

    def step(self, firing: Tensor, fired: Tensor, step: int) -> None:
        self.law(self.rule, self.learner, firing.cpu().numpy(), step)

    def write_back(self) -> None:
        """Leave all as it is: the law works on the learner itself."""


class _HebbianLearning:
    """Weights, thresholds, wins and peaks on the device; ``hebbian_wta.learn`` without a look from the host."""

    def __init__(self, rule: HebbianWTASpec, learner: Learner, like: dict[str, Any]) -> None:
        self.rule, self.learner = rule, learner
        n, units = learner.weights.shape
        self.weights, self.thresholds, self.peak = (
            torch.tensor(a, **like) for a in (learner.weights, learner.thresholds, learner.peak)
        )
        self.wins = torch.tensor(learner.wins, device=like["device"])
        # Numbers as tensors, because torch divides by a plain number through its reciprocal on some devices.
        self.total = torch.tensor(total(rule, n), **like)
        self.divisor = torch.tensor(rule.recruit_divisor, **like)
        self.places = torch.tensor(learner.places, **like)
        self.decay = rule.c_decay / units

    def step(self, firing: Tensor, fired: Tensor, step: int) -> None:
        rule = self.rule
        if len(firing) >= rule.min_active:
            one_bump = self._one_bump(firing)
            y = sum_rows(self.weights, firing)
            self.peak = torch.where(one_bump, torch.maximum(self.peak, y), self.peak)
            margin = y - self.thresholds
            winner = torch.argmax(margin).reshape(1)  # the first of equals
            f = (margin if rule.factor == "excess" else y)[winner]
            learns = one_bump & (f > 0)
            before = self.weights[:, winner[0]]
            after = before + rule.eta * f * fired.to(before.dtype)
            after = after * (self.total / fold(after))
            self.weights.index_copy_(1, winner, torch.where(learns, after, before)[:, None])
            fallen = self.thresholds - self.thresholds * self.decay
            rise = rule.c_plus * (f if rule.c_rise == "factor" else torch.ones_like(f))
            fallen.index_copy_(0, winner, fallen[winner] + rise)
            self.thresholds = torch.where(learns, fallen, self.thresholds)
            self.wins.index_copy_(0, winner, self.wins[winner] + learns)
        if rule.recruit_every and (step + 1) % rule.recruit_every == 0:
            rare = self.wins < rule.recruit_wins
            self.thresholds = torch.where(rare, self.peak / self.divisor, self.thresholds)

    def _one_bump(self, firing: Tensor) -> Tensor:
        """Say whether the firing cells are as close together as the rule asks."""
        limit = self.rule.max_spread
        if limit == 0:
            return torch.ones((), dtype=torch.bool, device=firing.device)
        count = self.total.new_tensor(float(len(firing)))
        places = self.places[firing]
        offsets = places - fold(places) / count
        return (fold(offsets * offsets) / count).sum() <= limit**2

    def write_back(self) -> None:
        for name in ("weights", "thresholds", "wins", "peak"):
            getattr(self.learner, name)[...] = getattr(self, name).cpu().numpy()


@final
class TorchBackend(Backend):
    """Torch tensors on a CPU or a CUDA device.

    The Hebbian rule learns on the device, other rules by their NumPy law on the host.

    Args:
        device: Such as ``"cpu"`` or ``"cuda"``; None takes a CUDA device where there is one.
        dtype: ``"float64"``, or ``"float32"``, with which no equality of long runs is promised.
        field: ``"changes"``: the rows of cells whose firing changed are added and subtracted, in one stated order; or
            ``"product"``: a dense matrix product each step, whose rounding depends on device and threads.

    Raises:
        ConfigError: No such device, dtype or field.
    """

    name = "torch"

    def __init__(
        self,
        device: str | None = None,
        dtype: Literal["float64", "float32"] = "float64",
        field: Literal["changes", "product"] = "changes",
    ) -> None:
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if chosen.partition(":")[0] not in ("cpu", "cuda"):
            raise ConfigError("device", device, "'cpu' or 'cuda'")
        if chosen != "cpu" and not torch.cuda.is_available():
            raise ConfigError("device", device, "'cpu': torch finds no CUDA device")
        if dtype not in ("float64", "float32"):
            raise ConfigError("dtype", dtype, "'float64' or 'float32'")
        if field not in ("changes", "product"):
            raise ConfigError("field", field, "'changes' or 'product'")
        self._device = torch.device(chosen)
        self._dtype = torch.float64 if dtype == "float64" else torch.float32
        self._by_changes = field == "changes"
        self._coupling: tuple[SheetModel, Tensor] | None = None

    def field(self, model: SheetModel) -> str:
        """Say how the coupling is summed; see ``Backend.field``."""
        exact = "exact: float64" if self._dtype == torch.float64 else "rounded: float32"
        way = "updated by changes" if self._by_changes else "dense product"
        return f"{exact} matrix, {way}, torch on {self._device.type}"

    def _matrix(self, model: SheetModel) -> Tensor:
        if self._coupling is None or self._coupling[0] is not model:
            self._coupling = None  # one matrix at a time
            matrix = torch.from_numpy(model.coupling.matrix).to(self._device, self._dtype)
            self._coupling = (model, matrix)
        return self._coupling[1]

    @torch.no_grad()
    def advance(
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
        matrix, k = self._matrix(model), model.constants.tolist()
        a, b = torch.tensor(state.cells, **like)
        p, q = torch.tensor(model.cells, **like)
        before = torch.tensor(state.fired, device=self._device)
        field = sum_rows(matrix, torch.nonzero(before)[:, 0])
        learning = None
        if rule is not None and state.learner is not None:
            if isinstance(rule, HebbianWTASpec):
                learning = _HebbianLearning(rule, state.learner, like)
            else:
                learning = _HostLearning(rule, state.learner)
        stream, first, last = model.key.stream(NOISE), state.step, state.step + steps
        hold = model.hold if noise is None else 1
        at_once = max(1, SAMPLES // model.n)
        samples, first_row, rows = torch.empty(0, model.n), 0, 0
        fired_cells: list[Tensor] = []
        for step in range(first, last):
            fired = fires(a, b, k)
            _silence(model.dead, fired, a, b)
            firing = torch.nonzero(fired)[:, 0]
            if self._by_changes:
                changed = torch.nonzero(fired ^ before)[:, 0]
                if step % REFRESH == 0 or len(changed) >= len(firing):
                    field = sum_rows(matrix, firing)
                else:
                    field = field + sum_rows(matrix, changed, fired[changed].to(self._dtype) * 2.0 - 1.0)
            else:
                field = matrix @ fired.to(self._dtype)
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
