"""Paths of small networks whose weights are cut among the processes of a team; the first one writes them. Not a test.

torchrun --nproc-per-node 2 tests/crash/sharded_walk.py FOLDER cut|whole [paths | kept WRITES | large]
"""

import os
import re
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from devnet import fip
from devnet._core.random import Key
from devnet.io import Checkpoints, write_tensors


def filled(module):
    """Return a module with fixed weights in double precision, in evaluation mode."""
    for number, parameter in enumerate(module.parameters()):
        drawn = torch.from_numpy(Key(1).stream("weights").normal(number, parameter.numel()))
        parameter.data = drawn.reshape(parameter.shape) / (2.0 * max(parameter.shape) ** 0.5)
    return module.double().eval()


def perceptron():
    """Return a network in which layers lie across the parts."""
    return filled(nn.Sequential(nn.Linear(20, 96), nn.Tanh(), nn.Linear(96, 70), nn.Tanh(), nn.Linear(70, 5)))


class Picture(nn.Module):
    """Convolution, normalization, attention, and one matrix that is used twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 2, stride=2), nn.BatchNorm2d(16))
        self.block = nn.TransformerEncoderLayer(16, 2, 48, batch_first=True)
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.last = nn.Linear(16, 5)

    def forward(self, x):
        rows = self.stem(x.view(-1, 1, 4, 5)).flatten(2).transpose(1, 2)
        return self.last(self.second(self.first(self.block(rows)).tanh()).mean(1))


def walks():
    """Return modules and problems by name."""
    inputs = torch.from_numpy(Key(1).stream("inputs").normal(0, 20 * 131)).reshape(131, 20)
    task = fip.NewTask(inputs, torch.arange(131) % 5)
    shared = {"keep": 3, "stop": fip.StopWhen(steps=8)}
    sparse = fip.Sparsity(0.8, refresh=2)
    small = fip.Sparsity(0.5, refresh=2, saliency=fip.Magnitude())
    pulled, few = fip.PenalizedGradient(64, penalty=1.0), fip.PenalizedGradient(5)
    parts = {
        "sparsify": (perceptron, {"objective": sparse, "step": fip.Adam()}),
        "by length": (perceptron, {"objective": task, "direction": pulled, "step": fip.UnitLength(0.1)}),
        "few": (perceptron, {"objective": small, "direction": few, "step": fip.FunctionalBudget(1e-3)}),
        "picture": (lambda: filled(Picture()), {"objective": task, "direction": pulled, "step": fip.Adam()}),
    }
    return {name: (make, fip.Problem(inputs, **shared, **given)) for name, (make, given) in parts.items()}


class Mortal(Checkpoints):
    """Saves at every step; the second process dies before it writes its part for the so-manieth time."""

    def __init__(self, folder, writes):
        super().__init__(folder, every=0)
        self._left = writes

    def put(self, name, arrays):
        self._left -= 1
        if self._left == 0 and not fip.leads():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().put(name, arrays)


class Memory:
    """Writes down by how much the largest resident set grew until the last way-point."""

    def __init__(self, folder, steps):
        self._place, self._steps, self._before = Path(folder) / os.environ["RANK"], steps, _resident()

    def waypoint(self, point, module):
        if point.step == self._steps:
            self._place.write_text(str(_resident() - self._before))


def _resident():
    """Return the largest resident set of this program; getrusage's also counts the one that started it."""
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])


def kept(folder, writes):
    """Walk one of the paths with a checkpoint; die at a write, or never."""
    make, problem = walks()["sparsify"]
    path = fip.traverse(make(), problem, rng=3, checkpoint=Mortal(Path(folder) / "kept", int(writes)))
    if fip.leads():
        write_tensors(Path(folder) / "path", path.to_tensors()[0], "path", {})


def large(folder):
    """Walk with a network whose weights outweigh all else (13 million), and watch the memory."""
    module = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(12)), nn.Linear(1024, 4))
    inputs = torch.from_numpy(Key(1).stream("inputs").normal(0, 16 * 1024)).reshape(16, 1024)
    direction, stop = fip.PenalizedGradient(8), fip.StopWhen(steps=2)
    problem = fip.Problem(inputs, metric=fip.Euclidean(), direction=direction, stop=stop, keep=2)
    fip.traverse(module, problem, rng=3, callbacks=[Memory(folder, 2)])


def main(folder, sharded, work="paths", *told):
    """Walk and write."""
    with fip.torchrun(sharded=sharded == "cut"):
        if work != "paths":
            {"kept": kept, "large": large}[work](folder, *told)
            return
        for name, (make, problem) in walks().items():
            arrays, metadata = fip.traverse(make(), problem, rng=3).to_tensors()
            if fip.leads():
                write_tensors(Path(folder) / name, arrays, "path", metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
