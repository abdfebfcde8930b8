"""What holds on a CUDA device: no step waits for it, bfloat16 walks, a step costs little more than plain training."""

from __future__ import annotations

import pytest
import torch

from devnet._core.random import Key
from devnet.fip import (
    Adam,
    Fixed,
    PenalizedGradient,
    Problem,
    Sparsity,
    StopWhen,
    UnitLength,
    traverse,
)
from devnet.fip._traverse import advance, begun
from devnet.study import bench_fip as bench

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("step", [Fixed(1e-3), UnitLength(1e-3), Adam()])
def test_no_step_waits_for_the_device(mlp, inputs, step):
    problem = Problem(
        inputs, Sparsity(0.5, refresh=1000), direction=PenalizedGradient(64), step=step, stop=StopWhen(100)
    )
    walk = begun(mlp.cuda(), problem, Key(0), None)
    advance(walk, problem)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            advance(walk, problem)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_walks_to_the_same_sparsity(mlp, inputs):
    problem = Problem(inputs, Sparsity(0.7, refresh=4), stop=StopWhen(20), keep=3, precision=torch.bfloat16)
    path = traverse(mlp.cuda(), problem, rng=0)
    assert path.sparsity[-1] == pytest.approx(0.7, abs=0.01)
    assert path.distance[0] < 1e-6


def test_the_same_key_gives_the_same_path(mlp, inputs):
    problem = Problem(inputs, Sparsity(0.7, refresh=4), stop=StopWhen(20), keep=3)
    one, two = (traverse(mlp.cuda(), problem, rng=0) for _ in range(2))
    assert one.deltas.tobytes() == two.deltas.tobytes()


@pytest.mark.slow
def test_a_step_of_resnet_18_costs_little_more_than_plain_training():
    """A guard against a step that waits or copies, not the bar: that stands in `devnet bench fip --device cuda`."""
    case = bench.Case("resnet-18", (3, 32, 32), 128, 20, "cuda")
    ratios = bench.ratios(case, bench.path(case, UnitLength(1e-3)), bench.plain(case))
    assert sorted(ratios)[len(ratios) // 2] < 1.5
