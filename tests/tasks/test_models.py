"""Networks by name: what they take and return, and that names are checked."""

from __future__ import annotations

import pytest
import torch

from devnet._core.errors import ConfigError
from devnet.tasks.models import MODELS, build


@pytest.mark.parametrize("name", [*MODELS, "mlp:784-20-10"])
def test_a_name_gives_a_classifier_that_a_seed_fixes(name):
    state = torch.get_rng_state()
    one, same, other = (build(name, (28, 28), 10, rng=seed).eval() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.rand(3, 28, 28)
    assert one(x).shape == (3, 10)
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))


def test_sizes_are_those_of_the_literature():
    count = {
        n: sum(p.numel() for p in build(n, (3, 32, 32), 10).parameters()) for n in ("resnet-18", "vgg-11")
    }
    assert count["resnet-18"] == 11_173_962
    assert 9.2e6 < count["vgg-11"] < 9.4e6
    assert sum(p.numel() for p in build("lenet-300-100", (28, 28), 10).parameters()) == 266_610


@pytest.mark.parametrize(
    "name", ["lenet", "mlp:", "mlp:784", "mlp:10-10", "mlp:784-0-10", "mlp:784-5", "mlp:784-1e3-10"]
)
def test_unknown_names_and_sizes_that_do_not_fit_are_refused(name):
    with pytest.raises(ConfigError, match=r"^factory: "):
        build(name, (28, 28), 10)
