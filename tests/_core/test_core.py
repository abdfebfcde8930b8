"""The other foundations: errors, array guards, optional imports, progress."""

from __future__ import annotations

import copy
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from devnet._core import errors
from devnet._core.arrays import frozen_array
from devnet._core.errors import ConfigError, MissingDependencyError, Problem
from devnet._core.optional import require
from devnet._core.progress import listening, task

# ------------------------------------------------------------------------------------------------ errors


def test_exit_codes_are_those_promised():
    codes = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.DevnetError)
    }
    assert codes == {
        "DevnetError": 1,
        "ConfigError": 2,
        "MissingDependencyError": 2,
        "BusyError": 3,
        "StorageError": 4,
        "HealthError": 5,
        "ResourceError": 6,
        "CorruptFileError": 7,
        "InterruptedRunError": 75,
    }


def test_a_line_a_problem():
    error = ConfigError(
        "a.b", -1, "at least 0", more=[Problem("c", "x" * 200, "less"), Problem("d", None, "1")]
    )
    lines = str(error).splitlines()
    assert lines[0] == "a.b: -1 is not allowed; give at least 0"
    assert lines[1].startswith("c: 'xxx")
    assert len(lines[1]) < 120
    assert [p.field for p in error.problems] == ["a.b", "c", "d"]
    assert str(ConfigError("a.b", -1, "at least 0")) == lines[0]


@pytest.mark.parametrize("kind", [ConfigError, MissingDependencyError])
def test_errors_survive_the_way_home_from_a_worker(kind):
    error = kind("a", 1, "2", more=[Problem("b", 3, "4")])
    again = copy.copy(error)  # takes the error apart and rebuilds it as a worker's pool does
    assert type(again) is kind
    assert again.problems == error.problems
    assert str(again) == str(error)


# ------------------------------------------------------------------------------------------------ arrays


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=2), elements=st.floats(-1e6, 1e6)))
def test_good_arrays_are_kept_and_frozen(values):
    frozen = frozen_array("x", values, np.float64, (None,) * values.ndim)
    np.testing.assert_array_equal(frozen, values)
    assert not frozen.flags.writeable
    assert frozen is not values
    assert frozen_array("x", frozen, np.float64, values.shape) is frozen
    values += 1
    assert not np.array_equal(frozen, values)


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "bounds", "message"),
    [
        ([1.5], np.int32, (None,), {}, "array of float64' is not allowed; give an array of int32"),
        (["a"], np.float64, (None,), {}, "give an array of float64"),
        ([None], np.float64, (None,), {}, "array of object"),
        ([1j], np.float64, (None,), {}, "array of complex128"),
        ([[1, 2], [3]], np.float64, (None, 2), {}, "rows of equal length"),
        (
            [1, 2],
            np.float64,
            (3,),
            {},
            r"array of shape \(2,\)' is not allowed; give an array of shape \(3\)",
        ),
        ([1, 2], np.float64, (None, 2), {}, r"an array of shape \(any, 2\)"),
        ([1, np.nan], np.float64, (None,), {}, "NaN or infinity"),
        ([np.inf], np.float64, (None,), {}, "NaN or infinity"),
        ([1e300], np.float32, (None,), {}, "NaN or infinity"),
        ([2**40], np.int32, (None,), {}, "whole numbers that fit into int32"),
        ([-1], np.int32, (None,), {"low": 0}, "-1 is not allowed; give entries of at least 0"),
        ([3], np.int32, (None,), {"high": 2}, "3 is not allowed; give entries of at most 2"),
    ],
)
def test_wrong_arrays_are_refused(value, dtype, shape, bounds, message):
    value = np.array(value) if not isinstance(value[0], list) else value
    with pytest.raises(ConfigError, match=f"noun.x: .*{message}"):
        frozen_array("noun.x", value, dtype, shape, **bounds)


def test_empty_arrays_and_lists_pass():
    assert frozen_array("x", [], np.int32, (0,), low=0, high=1).dtype == np.int32
    assert frozen_array("x", [1, 2], np.float64, (2,)).dtype == np.float64


# ------------------------------------------------------------------------------------------------ optional imports


def test_present_libraries_are_imported():
    assert require("math", extra="x") is sys.modules["math"]


def test_absent_libraries_say_how_to_get_them():
    with pytest.raises(MissingDependencyError, match=r"pip install 'devnet\[torch\]'"):
        require("no_such_library", extra="torch")


def test_a_library_that_is_broken_is_not_called_absent(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("import no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        require("broken_library", extra="x")


# ------------------------------------------------------------------------------------------------ progress


class Log:
    def __init__(self):
        self.lines: list[str] = []

    @contextmanager
    def open(self, label, total):
        self.lines.append(f"open {label} {total}")
        yield lambda amount=1: self.lines.append(f"{label} +{amount}")
        self.lines.append(f"close {label}")


def test_nobody_listens():
    with task("quiet", 3) as tick:
        tick()
        tick(2)


def test_tasks_nest_and_listeners_are_put_back():
    log, other = Log(), Log()
    with listening(log):
        with task("outer", 2) as outer:
            outer()
            with task("inner") as inner:
                inner(5)
        with listening(other), task("elsewhere", 1):
            pass
        with task("last", 1):
            pass
    with task("unheard", 1):
        pass
    assert log.lines == [
        "open outer 2",
        "outer +1",
        "open inner None",
        "inner +5",
        "close inner",
        "close outer",
        "open last 1",
        "close last",
    ]
    assert other.lines == ["open elsewhere 1", "close elsewhere"]


def test_an_error_in_a_task_leaves_no_listener_behind():
    log = Log()
    with pytest.raises(RuntimeError), listening(log), task("fails", 1):
        raise RuntimeError
    with task("unheard", 1):
        pass
    assert log.lines == ["open fails 1"]
