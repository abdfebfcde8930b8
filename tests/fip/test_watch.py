"""Who watches a walk hears of every way-point and changes nothing; precision, fallback and gradients that act."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from devnet._core import progress
from devnet._core.errors import ConfigError, MissingDependencyError, ResourceError
from devnet.fip import (
    Callback,
    Euclidean,
    NewTask,
    PenalizedGradient,
    Problem,
    Sparsity,
    StopWhen,
    TensorBoard,
    WayPoint,
    _traverse,
    resume,
    traverse,
)


def problem(inputs, **more) -> Problem:
    return Problem(inputs, Sparsity(0.7, refresh=4), stop=StopWhen(12), keep=4, **more)


class Hears:
    def __init__(self):
        self.points: list[WayPoint] = []
        self.zeros: list[float] = []

    def waypoint(self, point, module):
        self.points.append(point)
        self.zeros.append(float((module[0].weight == 0).float().mean()))


def test_callbacks_hear_the_numbers_of_the_path_once_each(mlp, inputs):
    ear, y = Hears(), mlp(inputs).argmax(1)
    assert isinstance(ear, Callback)
    path = traverse(mlp, problem(inputs), rng=0, callbacks=[ear], labelled=(inputs, y))
    for name, column in (("step", "steps"), ("distance",) * 2, ("objective",) * 2, ("sparsity",) * 2):
        assert [getattr(p, name) for p in ear.points] == list(getattr(path, column)), name
    assert ear.points[0].accuracy == 1.0
    assert ear.points[-1].accuracy == float((path.module()(inputs).argmax(1) == y).float().mean())
    assert ear.points[-1].steps == 12
    assert ear.zeros[0] == 0.0
    assert ear.zeros[-1] > 0.5


def test_watching_changes_no_bit_of_the_path(mlp, inputs):
    alone = traverse(mlp, problem(inputs), rng=3)
    watched = traverse(mlp, problem(inputs), rng=3, callbacks=[Hears()], labelled=(inputs, [0] * len(inputs)))
    assert alone.deltas.tobytes() == watched.deltas.tobytes()


def test_a_resumed_walk_goes_on_telling(mlp, inputs):
    first, second = Hears(), Hears()
    paused = traverse(mlp, problem(inputs), rng=0, until=5, callbacks=[first])
    resume(paused, problem(inputs), callbacks=[second])
    assert [p.step for p in first.points] == [0, 4, 8]
    assert [p.step for p in second.points] == [12]


class Screen:
    """A listener that keeps what is said."""

    def __init__(self):
        self.notes: list[str] = []
        self.done = 0

    def open(self, label, total):
        screen = self

        class Open:
            def __enter__(self):
                return screen.tick

            def __exit__(self, *_):
                return None

        return Open()

    def tick(self, amount=1, note=""):
        self.done += amount
        self.notes += [note] if note else []


def test_progress_says_distance_objective_and_accuracy(mlp, inputs):
    screen = Screen()
    with progress.listening(screen):
        traverse(mlp, problem(inputs), rng=0, labelled=(inputs, mlp(inputs).argmax(1)))
    assert screen.done == 12
    assert len(screen.notes) == 3
    assert all(
        note.startswith("distance ") and "objective" in note and "accuracy" in note for note in screen.notes
    )


def test_what_cannot_hear_is_refused(mlp, inputs):
    with pytest.raises(ConfigError, match=r"^callbacks: 'object'"):
        traverse(mlp, problem(inputs), callbacks=[object()])
    with pytest.raises(ConfigError, match=r"^labelled\.labels: "):
        traverse(mlp, problem(inputs), labelled=(inputs, [0]))


def test_tensorboard_gets_a_scalar_a_number(mlp, inputs, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            written.append(folder)

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def flush(self):
            pass

    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    path = traverse(mlp, problem(inputs), rng=0, callbacks=[TensorBoard("runs/one")])
    assert written[0] == "runs/one"
    assert ("path/sparsity", float(path.sparsity[-1]), 12) in written
    assert {entry[0] for entry in written[1:]} == {
        f"path/{n}" for n in ("distance", "objective", "weight_distance", "sparsity")
    }


def test_an_absent_tensorboard_is_told_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'devnet\[tensorboard\]'"):
        TensorBoard("runs/one")


def test_an_objective_that_would_be_ignored_is_refused(mlp, inputs):
    goal = NewTask(inputs, [0] * len(inputs))
    with pytest.raises(ConfigError, match=r"^direction\.penalty: 0"):
        traverse(mlp, Problem(inputs, goal))
    path = traverse(
        mlp, Problem(inputs, goal, direction=PenalizedGradient(penalty=1.0), stop=StopWhen(20)), rng=0
    )
    assert path.objective[-1] < path.objective[0]


class TestPrecision:
    def test_bfloat16_walks_to_about_the_same_place(self, mlp, inputs):
        plain, half = (traverse(mlp, problem(inputs, precision=p), rng=0) for p in (None, torch.bfloat16))
        assert half.deltas.dtype == np.float32
        assert half.distance[0] < 1e-6, "the reference is made in the precision of the walk"
        assert half.sparsity[-1] == plain.sparsity[-1]
        ends = [torch.from_numpy(path.deltas[-1].copy()) for path in (plain, half)]
        assert torch.cosine_similarity(*ends, dim=0) > 0.9
        lost = [Euclidean().divergence(p.module()(inputs), mlp(inputs)).mean() for p in (plain, half)]
        assert lost[1] < 2 * lost[0]

    def test_the_network_really_computes_in_it(self, inputs):
        seen = []

        class Spy(nn.Linear):
            def forward(self, x):
                out = super().forward(x)
                seen.append(out.dtype)
                return out

        traverse(nn.Sequential(Spy(8, 4)), Problem(inputs, stop=StopWhen(2), precision=torch.bfloat16), rng=0)
        assert set(seen) == {torch.bfloat16}

    @pytest.mark.parametrize("precision", [torch.float16, "bf16"])
    def test_others_are_refused(self, inputs, precision):
        with pytest.raises(ConfigError, match=r"^precision: "):
            Problem(inputs, precision=precision)


class Starved(nn.Linear):
    """Has no memory until it was copied to a CPU."""

    room = False

    def forward(self, x):
        if torch.is_grad_enabled() and not Starved.room:
            raise torch.OutOfMemoryError("no memory")
        return super().forward(x)


class TestFallback:
    @pytest.fixture
    def starved(self, monkeypatch):
        monkeypatch.setattr(Starved, "room", False)
        monkeypatch.setattr(_traverse, "_on_accelerator", lambda _: not Starved.room)

        def cpu(module):
            Starved.room = True
            return module

        monkeypatch.setattr(Starved, "cpu", cpu)
        return Starved(8, 3)

    def test_where_no_example_fits_the_walk_begins_again_on_the_cpu_with_one_warning(self, starved, inputs):
        with pytest.warns(RuntimeWarning, match="single example .* begins again on the CPU") as warned:
            path = traverse(starved, problem(inputs), rng=0)
        assert len(warned) == 1
        plain = nn.Linear(8, 3)
        plain.load_state_dict(starved.state_dict())
        assert path.deltas.tobytes() == traverse(plain, problem(inputs), rng=0).deltas.tobytes()

    def test_on_a_cpu_it_is_an_error(self, starved, inputs, monkeypatch):
        monkeypatch.setattr(_traverse, "_on_accelerator", lambda _: False)
        with pytest.raises(ResourceError, match="a single example"):
            traverse(starved, problem(inputs), rng=0)
