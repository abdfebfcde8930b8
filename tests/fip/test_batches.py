"""Mini-batches are a function of the step and cover every epoch once."""

from __future__ import annotations

import pytest
import torch

from devnet._core.random import Key
from devnet.fip._batches import Batches


@pytest.mark.parametrize(("count", "size"), [(10, 3), (7, 7), (5, 9), (40_000, 1000), (1, 1)])
def test_an_epoch_sees_no_example_twice(count, size):
    batches = Batches(Key(3).stream("batches"), count, size)
    each = count // min(size, count)
    for epoch in range(3):
        seen = torch.cat([batches[epoch * each + k] for k in range(each)])
        assert len(seen) == each * min(size, count)
        assert len(seen.unique()) == len(seen)
        assert seen.min() >= 0
        assert seen.max() < count


def test_a_batch_does_not_depend_on_those_before():
    one, two = (Batches(Key(3).stream("batches"), 100, 8) for _ in range(2))
    forward = [one[step].tolist() for step in range(5000)]
    assert [two[step].tolist() for step in (4999, 17, 3000)] == [forward[4999], forward[17], forward[3000]]
    assert forward[0] != forward[12]
