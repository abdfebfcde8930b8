from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.random import Key
from devnet.export import GrownNetwork, PoolingLayer, load_network, save_network, to_torch
from devnet.io import read_tensors, write_tensors
from devnet.organization import controls, organize
from devnet.sheet import Sheet, Wiring
from devnet.sheet.sampling import (
    pool_features,
    pool_matrix,
    receptive_fields,
    rectified_features,
    sampling_matrix,
)
from devnet.spec import LearningSpec, TemporalDifferenceSpec


@pytest.fixture(scope="module")
def wiring(sheet: Sheet) -> Wiring:
    return organize(sheet, units=9, steps=2048, rng=0)


def images(n: int = 6, shape: tuple[int, int] = (8, 8)) -> np.ndarray:
    return Key(1).stream("images").uniform(0, n * shape[0] * shape[1]).reshape(n, *shape)


def network(wiring: Wiring, **options: Any) -> GrownNetwork:
    return to_torch(wiring, **{"image_shape": (8, 8), "hidden": (5,), "classes": 3, "rng": 0} | options)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_features_equal_those_of_the_wiring(wiring: Wiring, dtype: torch.dtype, error: float) -> None:
    n = wiring.sheet.n
    values = Key(0).stream("values").normal(0, 7 * n).reshape(7, n).astype(float)
    plain = to_torch(wiring, dtype=dtype)
    assert not list(plain.readout.children())
    expected = pool_features(values, wiring.weights)
    out = plain(torch.tensor(values, dtype=dtype))
    assert out.dtype == dtype
    assert np.abs(out.numpy() - expected).max() < error
    for shape in ((8, 8), (28, 28), (3, 5)):
        batch = images(shape=shape)
        expected = pool_features(
            (sampling_matrix(wiring.sheet, shape) @ batch.reshape(6, -1).T).T, wiring.weights
        )
        seeing = to_torch(wiring, image_shape=shape, dtype=dtype)
        x = torch.tensor(batch, dtype=dtype)
        for form in (x, x[:, None], x.flatten(1)):
            assert np.abs(seeing.features(form).numpy() - expected).max() < error
            assert torch.equal(seeing(form), seeing.features(form))


def test_positions_and_masks_are_buffers(wiring: Wiring) -> None:
    module = network(wiring, dtype=torch.float64)
    buffers = dict(module.named_buffers())
    assert np.array_equal(buffers["pool.mask"].numpy(), receptive_fields(wiring.weights))
    assert np.array_equal(buffers["node_positions"].numpy(), wiring.sheet.positions)
    center = pool_matrix(wiring.weights).T @ wiring.sheet.positions
    assert buffers["unit_positions"].numpy() == pytest.approx(center)
    assert [name for name, p in module.named_parameters() if p.requires_grad] == [
        "readout.0.weight",
        "readout.0.bias",
        "readout.2.weight",
        "readout.2.bias",
    ]
    assert isinstance(module.pool, PoolingLayer)
    assert "units=9" in repr(module)
    assert not any(name.startswith("_") for name in module.state_dict())


def test_training_freed_pools_moves_no_masked_weight(wiring: Wiring) -> None:
    for shape in (None, (8, 8)):
        module = network(wiring, image_shape=shape)
        module.pool.weight.requires_grad_()
        first = module.pool.weight.detach().clone()
        x = torch.rand(20, wiring.sheet.n) if shape is None else torch.tensor(images(20), dtype=torch.float32)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            module(x).square().sum().backward()
            optimizer.step()
        weight = module.pool.weight.detach()
        assert (weight[~module.pool.mask] == 0).all()
        assert (weight != first)[module.pool.mask].float().mean() > 0.9
        # What stands off the mask has no effect.
        before = module(x)
        module.pool.weight.data[~module.pool.mask] = 7.0
        assert torch.equal(module(x), before)


def test_frozen_pools_act_through_every_way_of_changing_them(wiring: Wiring) -> None:
    module = network(wiring, dtype=torch.float64)
    x = torch.tensor(images())
    out = module.features(x).detach()
    twice = {"pool.weight": 2 * module.pool.weight.detach()}
    assert torch.allclose(
        functional_call(_Features(module), {f"network.{k}": v for k, v in twice.items()}, (x,)), 2 * out
    )
    copied = copy.deepcopy(module)
    copied.pool.weight.data *= 3
    assert torch.allclose(copied.features(x), 3 * out)
    assert torch.equal(module.features(x), out)
    assert torch.allclose(copy.deepcopy(module).float().features(x.float()).double(), out, atol=1e-6)
    jacobian = torch.func.jacrev(
        lambda w: functional_call(_Features(module), {"network.pool.weight": w}, (x,)).sum()
    )
    gradient = jacobian(module.pool.weight.detach())
    assert (gradient[~module.pool.mask] == 0).all()
    assert torch.allclose((gradient * module.pool.weight).sum(), out.sum())  # linear in the weights


class _Features(nn.Module):
    def __init__(self, network: GrownNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network.features(x)


def test_a_state_dict_goes_into_a_network_with_other_pools(wiring: Wiring, sheet: Sheet) -> None:
    module = network(wiring)
    module.fit_scaling(torch.tensor(images(), dtype=torch.float32))
    other = GrownNetwork.from_weights(
        sheet, controls.random_discs(sheet, 9, 30, rng=4), image_shape=(8, 8), hidden=[5], classes=3, rng=8
    )
    x = torch.tensor(images(), dtype=torch.float32)
    assert not torch.allclose(other(x), module(x))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))
    assert other.state_dict().keys() == module.state_dict().keys()


def test_scaling_standardizes_features(wiring: Wiring) -> None:
    batch = images(50)
    batch[:, :4] = 0.5  # units that see the upper half alone are constant
    module = to_torch(wiring, image_shape=(8, 8))
    x = torch.tensor(batch, dtype=torch.float32)
    raw = module.features(x)
    module.fit_scaling(x)
    assert torch.equal(module.features(x), raw)
    out = module(x)
    assert out.mean(dim=0).numpy() == pytest.approx(np.zeros(9), abs=1e-4)
    constant = raw.numpy().std(axis=0) < 1e-5
    assert out.std(dim=0, correction=0).numpy()[~constant] == pytest.approx(
        np.ones((~constant).sum()), abs=1e-3
    )
    assert np.abs(out.numpy()[:, constant]).max(initial=0) < 1e-5
    assert (module.feature_scale.numpy()[constant] == 1).all()
    module.fit_scaling(x[:1])
    assert (module.feature_scale == 1).all()


def test_the_key_alone_sets_the_readout(wiring: Wiring) -> None:
    torch.manual_seed(0)
    a = network(wiring, rng=1, hidden=(40,))
    state = torch.random.get_rng_state()
    b, c = network(wiring, rng=1, hidden=(40,)), network(wiring, rng=2, hidden=(40,))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(a.readout[0].weight, b.readout[0].weight)
    assert not torch.equal(a.readout[0].weight, c.readout[0].weight)
    for layer, gain in ((a.readout[0], 2), (a.readout[2], 1)):
        bound = (3 * gain / layer.in_features) ** 0.5
        weight = layer.weight.detach().numpy()
        assert 0.9 * bound < np.abs(weight).max() <= bound
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.15)
        assert not layer.bias.any()
    linear = network(wiring, hidden=())
    assert [type(layer) for layer in linear.readout] == [nn.Linear]
    assert linear.key == network(wiring, hidden=()).key


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden": ()},
        {"hidden": (), "classes": None},
        {"image_shape": None},
        {"dtype": torch.float64, "hidden": (4, 3)},
    ],
)
def test_a_saved_network_comes_back_whole(wiring: Wiring, tmp_path: Path, options: dict[str, Any]) -> None:
    module = network(wiring, **options)
    size = wiring.sheet.n if module.image_shape is None else 64
    x = torch.tensor(Key(3).stream("x").uniform(0, 4 * size).reshape(4, size), dtype=module.pool.weight.dtype)
    module.fit_scaling(x)
    if options:
        module.pool.weight.requires_grad_()
    path = tmp_path / "network.safetensors"
    save_network(module, path)
    again = load_network(path)
    assert torch.equal(again(x), module(x))
    assert [(k, p.requires_grad) for k, p in again.named_parameters()] == [
        (k, p.requires_grad) for k, p in module.named_parameters()
    ]
    assert again.state_dict().keys() == module.state_dict().keys()
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.state_dict().values(), module.state_dict().values(), strict=True)
    )
    assert (again.key, again.image_shape, again.hidden, again.classes) == (
        module.key,
        module.image_shape,
        module.hidden,
        module.classes,
    )
    save_network(again, tmp_path / "again.safetensors")
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_a_hostile_network_file_is_refused(wiring: Wiring, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_network(network(wiring), path)
    arrays, metadata = read_tensors(path, "network")
    outside = arrays["sample_pixel"].copy()
    outside[0, 0] = 64
    broken = arrays["readout.0.weight"].copy()
    broken[0, 0] = np.nan
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("metadata", {}, {"architecture": "Other"}),
        ("metadata", {}, {"image_shape": [8, -8]}),
        ("metadata", {}, {"image_shape": [8]}),
        ("metadata", {}, {"image_shape": "ab"}),
        ("metadata", {}, {"classes": None}),
        ("metadata", {}, {"classes": True}),
        ("metadata", {}, {"hidden": None}),
        ("metadata", {}, {"hidden": [2**40]}),
        ("metadata", {}, {"dtype": "float16"}),
        ("metadata", {}, {"dtype": ["float32"]}),
        ("metadata", {}, {"key": -1}),
        ("metadata", {}, {"trainable": "pool.weight"}),
        ("readout.0.bias", {}, {"hidden": [2**30]}),
        ("sample_pixel", {"sample_pixel": outside}, {}),
        ("NaN", {"readout.0.weight": broken}, {}),
        ("pool.mask", {"pool.mask": arrays["pool.mask"].astype(np.uint8)}, {}),
        ("extra", {"extra": np.zeros(3)}, {}),
        ("pool.weight", {"pool.weight": arrays["pool.weight"].ravel()}, {}),
        ("pool.weight", {"pool.weight": arrays["pool.weight"][:, :0]}, {}),
    ]
    for word, changed_arrays, changed_metadata in cases:
        write_tensors(path, arrays | changed_arrays, "network", metadata | changed_metadata)
        with pytest.raises(CorruptFileError, match=word):
            load_network(path)
    for name in arrays:
        write_tensors(path, {k: v for k, v in arrays.items() if k != name}, "network", metadata)
        with pytest.raises(CorruptFileError, match="does not fit"):
            load_network(path)
    write_tensors(path, arrays, "sheet", metadata)
    with pytest.raises(CorruptFileError, match="not a network"):
        load_network(path)


def test_bad_arguments_name_the_field(wiring: Wiring, sheet: Sheet, tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("image_shape", {"image_shape": (8,)}),
        ("hidden", {"hidden": (0,)}),
        ("hidden", {"hidden": (5,), "classes": None}),
        ("classes", {"classes": 2.5}),
        ("dtype", {"dtype": torch.int64}),
        ("dtype", {"dtype": "float32"}),
        ("rng", {"rng": -1}),
    ]
    for field, options in cases:
        with pytest.raises(ConfigError, match=f"^{field}: "):
            network(wiring, **options)
    for weights in (np.zeros((sheet.n, 2)), np.ones((sheet.n, 0)), np.ones((3, 2)), -np.ones((sheet.n, 2))):
        with pytest.raises(ConfigError, match=r"^weights: "):
            GrownNetwork.from_weights(sheet, weights)
    module = network(wiring)
    for x in (torch.zeros(2, 9, 8), torch.zeros(2, 3, 8, 8), torch.zeros(64)):
        with pytest.raises(ConfigError, match=r"^x: "):
            module(x)
    with pytest.raises(ConfigError, match=r"^x: "):
        to_torch(wiring)(torch.zeros(2, 5))
    with pytest.raises(ConfigError, match=r"^x: 'no example'"):
        module.fit_scaling(torch.zeros(0, 8, 8))
    with pytest.raises(ConfigError, match=r"^image_shape: "):
        _ = to_torch(wiring).image_matrix
    with pytest.raises(ConfigError, match=r"^module: "):
        save_network(nn.Linear(2, 2), tmp_path / "x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"^module: "):
        save_network(network(wiring, dtype=torch.bfloat16), tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_importing_the_room_loads_no_torch_and_a_missing_one_is_named() -> None:
    script = """
import sys
import devnet.export
assert "torch" not in sys.modules
sys.modules["torch"] = None
from devnet._core.errors import MissingDependencyError
for use in (lambda: devnet.export.to_torch(None), lambda: devnet.export.GrownNetwork,
            lambda: devnet.export.load_network("x"), lambda: devnet.export.save_network(None, "x")):
    try:
        use()
    except MissingDependencyError as error:
        assert "devnet[torch]" in str(error)
    else:
        raise SystemExit("no error")
try:
    devnet.export.Nothing
except AttributeError:
    pass
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


@pytest.fixture(scope="module")
def moving(sheet: Sheet) -> Wiring:
    learning = LearningSpec(dynamics="rate_map", rule=TemporalDifferenceSpec(), steps=2048, units=5)
    return organize(sheet, learning, rng=0)


def test_units_that_learn_motion_become_rectified_units_with_signs(moving: Wiring, tmp_path: Path) -> None:
    assert (moving.weights < 0).any()
    module = to_torch(moving, image_shape=(8, 8), classes=3, rng=0, dtype=torch.float64)
    assert module.rectified
    batch = images()
    values = (sampling_matrix(moving.sheet, (8, 8)) @ batch.reshape(6, -1).T).T
    expected = rectified_features(values, moving.weights)
    assert (expected == 0).any()
    assert (expected > 0).any()
    assert np.abs(module.features(torch.tensor(batch)).numpy() - expected).max() < 1e-12
    assert np.abs(module.unit_positions.numpy() - 7.5).max() < 7.5
    save_network(module, tmp_path / "motion.dn")
    again = load_network(tmp_path / "motion.dn")
    assert again.rectified
    assert torch.equal(again(torch.tensor(batch)), module(torch.tensor(batch)))


def test_signs_are_refused_where_units_average(sheet: Sheet) -> None:
    with pytest.raises(ConfigError, match=r"weights"):
        GrownNetwork.from_weights(sheet, -np.ones((sheet.n, 2)))


def test_a_file_that_says_rectified_in_other_words_is_corrupt(moving: Wiring, tmp_path: Path) -> None:
    path = tmp_path / "motion.dn"
    save_network(to_torch(moving), path)
    arrays, metadata = read_tensors(path, "network")
    write_tensors(path, arrays, "network", metadata | {"rectified": "yes"})
    with pytest.raises(CorruptFileError, match="architecture"):
        load_network(path)
