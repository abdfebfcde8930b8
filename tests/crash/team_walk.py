"""Paths of a small network, walked by every process of a team; the first one writes them. Not a test.

torchrun --nproc-per-node 2 tests/crash/team_walk.py FOLDER
"""

import sys
from pathlib import Path

import torch

from devnet import fip
from devnet._core.random import Key
from devnet.io import write_tensors
from devnet.study.networks import second_task


def walks():
    """Return paths by name: every kind of product that a team shares."""
    key = Key(1)
    module = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4)).double()
    for number, parameter in enumerate(module.parameters()):
        drawn = key.stream("weights").normal(number, parameter.numel())
        parameter.data = torch.from_numpy(drawn).reshape(parameter.shape) / 4
    inputs = torch.from_numpy(key.stream("inputs").normal(0, 6 * 301)).reshape(301, 6)
    labels = torch.arange(301) % 4
    damage = fip.Damage.weights(module, 0.5, rng=0)
    parts = {
        "sparsify": {"objective": fip.Sparsity(0.8, refresh=2), "step": fip.Adam()},
        "recover": {
            "objective": damage,
            "metric": fip.Euclidean(),
            "direction": fip.DampedNatural(iterations=3),
            "step": fip.Backtrack(),
        },
        "null space": {
            "objective": fip.ToWeights(damage.apply(module), pull=0.01),
            "direction": fip.NullSpace(count=4, examples=8, refresh=5),
            "step": fip.FunctionalBudget(0.01),
        },
    }
    for name, given in parts.items():
        yield (
            name,
            fip.traverse(module, fip.Problem(inputs, stop=fip.StopWhen(steps=8), keep=3, **given), rng=3),
        )
    yield "second task", second_task(module, inputs[:50], inputs, labels, steps=8, rng=3)


def main(folder):
    """Walk and write."""
    with fip.torchrun():
        for name, path in walks():
            arrays, told = path.to_tensors()
            if fip.leads():
                write_tensors(Path(folder) / name, arrays, "path", told)


if __name__ == "__main__":
    main(sys.argv[1])
