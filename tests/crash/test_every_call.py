"""A run that dies, or is told that the disk is full, at every single write, flush and rename that it makes."""

import errno
import io
import os
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from devnet._core import stopping
from devnet._core.errors import InterruptedRunError, StorageError
from devnet.io import RunFolder, artefacts, read_tensors, verify, write_tensors
from devnet.spec import load_model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

MODEL = load_model("raghavan2019_grown_pooling/small")
STEPS = 5


def walk(checkpoint, seed):
    """Take a few steps of a chaotic map, keeping the state after each one."""
    x, trace, new, first = np.array([seed], np.uint64), [], [], 0
    if saved := checkpoint.load({"seed": seed}):
        x, first = saved.arrays["x"].copy(), saved.numbers["step"]
        trace = [int(v) for segment in saved.segments for v in segment["trace"]]
    for step in range(first, STEPS):
        x = x * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        trace.append(int(x[0]))
        new.append(int(x[0]))
        if checkpoint.due() and step + 1 < STEPS:
            checkpoint.save({"x": x}, {"step": step + 1}, {"trace": np.array(new, np.uint64)})
            new = []
    return np.array(trace, np.uint64)


def run(folder):
    """Two stages, the second made of the first; checkpoints at every chance."""
    with RunFolder.open(folder, MODEL, {"key": "1"}, every=0) as place, np.errstate(over="ignore"):
        if place.complete():
            return
        if not place.finished("grow"):
            with place.stage("grow") as stage:
                for i in range(2):

                    def work(part, i=i):
                        trace = walk(part.checkpoint(), i)
                        write_tensors(part.file(f"{i}.safetensors"), {"trace": trace}, "trace", {})
                        return {"last": int(trace[-1])}

                    stage.numbers[f"{i}"] = stage.once(f"{i}", work)
        if not place.finished("organize", ["grow"]):
            with place.stage("organize", ["grow"]) as stage:
                sources = [
                    read_tensors(place.path / "grow" / f"{i}.safetensors")[0]["trace"] for i in range(2)
                ]
                write_tensors(stage.file("sum.safetensors"), {"sum": sources[0] + sources[1]}, "sum", {})
        place.write_manifest(["grow", "organize"])


class Faults:
    """Stands before every call that changes the disk: counts it, and at one of them dies or fails."""

    def __init__(self, patch, at=("", -1), how=""):
        self.seen = Counter()
        self._at, self._how = at, how
        for name in ("fsync", "replace", "unlink", "rmdir"):
            patch.setattr(os, name, self._shim(name, getattr(os, name)))
        opened = Path.open

        def open_(path, mode="r", *rest, **options):
            file = opened(path, mode, *rest, **options)
            if mode == "xb":
                file = io.BufferedWriter(file.detach())
                patch.setattr(file, "write", self._shim("write", file.write, file), raising=False)
            return file

        patch.setattr(Path, "open", open_)

    def _shim(self, name, call, file=None):
        def shim(*arguments, **options):
            number, self.seen[name] = self.seen[name], self.seen[name] + 1
            if (name, number) == self._at:
                if self._how == "error":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if self._how == "half" and file is not None:
                    call(arguments[0][: len(arguments[0]) // 2])
                    file.flush()
                if self._how == "half" and file is None:
                    with suppress(FileNotFoundError):
                        call(*arguments, **options)
                os._exit(9)
            return call(*arguments, **options)

        return shim


@pytest.fixture
def folders():
    """Return a folder in memory where there is one: the flushes are counted here, not waited for."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the artefacts of a run that nothing befell, and how often it calls what."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch)
        run(folder)
    assert sum(faults.seen.values()) > 100
    assert not (folder / "checkpoints").exists()
    return artefacts(folder), faults.seen


def dies(folder, at, how):
    """Run in a process of its own until its end by a fault; return its exit code."""
    child = os.fork()
    if not child:
        code = 1
        try:
            with pytest.MonkeyPatch.context() as patch:
                Faults(patch, at, how)
                run(folder)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("how", ["before", "half"])
def test_a_run_that_dies_at_any_call_ends_the_same(folders, whole, how):
    wanted, calls = whole
    for name, count in calls.items():
        for number in range(count):
            folder = folders / f"{name}{number}"
            assert dies(folder, (name, number), how) == 9, (name, number)
            run(folder)
            assert artefacts(folder) == wanted, (name, number)
            assert verify(folder) > len(wanted)
            assert not [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".lock"))]


def test_a_full_disk_at_any_call_is_one_line_and_loses_nothing(folders, whole):
    wanted, calls = whole
    for name in ("write", "fsync", "replace"):
        for number in range(calls[name]):
            folder = folders / f"{name}{number}"
            with pytest.MonkeyPatch.context() as patch:
                Faults(patch, (name, number), "error")
                with pytest.raises(
                    StorageError, match=r"bytes could not be written \(No space left on device\)"
                ) as told:
                    run(folder)
            assert str(folder) in str(told.value)
            assert "\n" not in str(told.value)
            assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
            run(folder)
            assert artefacts(folder) == wanted, (name, number)


def test_a_run_that_dies_at_every_call_in_turn_still_ends(folders, whole):
    wanted, calls = whole
    folder = folders / "run"
    deaths = 0
    while (
        dies(folder, ("replace", 2), "half") == 9
    ):  # each life gets three renames further, and loses none of them
        deaths += 1
        assert deaths < calls["replace"]
    assert deaths > 5
    assert artefacts(folder) == wanted


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(folders, whole):
    wanted, _ = whole
    folder = folders / "run"
    saves = 0

    def stop(*_):
        nonlocal saves
        saves += 1
        if saves == 3:
            raise InterruptedRunError("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stopping, "check", stop)
        with pytest.raises(InterruptedRunError):
            run(folder)
    newest = max((folder / "checkpoints").rglob("00*.safetensors"))
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(bytes(data))
    run(folder)
    assert artefacts(folder) == wanted
