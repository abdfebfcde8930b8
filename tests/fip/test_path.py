"""A path is frozen data that comes apart and together again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
import torch

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.fip import Path, Problem, Sparsity, StopWhen, traverse


@pytest.fixture
def path(mlp, inputs) -> Path:
    return traverse(mlp, Problem(inputs, objective=Sparsity(0.7), stop=StopWhen(steps=8), keep=5), rng=4)


def test_it_is_frozen(path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        path.stop = None
    with pytest.raises(ValueError, match="read-only"):
        path.deltas[0, 0] = 1.0


def test_series_have_one_entry_a_way_point(path):
    assert len(path) == 5
    for name in ("steps", "distance", "objective", "weight_distance", "sparsity", "deltas"):
        assert len(getattr(path, name)) == 5
    assert path.weight_distance[0] == 0.0
    np.testing.assert_allclose(path.weight_distance, np.linalg.norm(path.deltas, axis=1), rtol=1e-5)


def test_the_first_way_point_is_the_module_and_numbers_count_from_both_ends(path, mlp):
    assert torch.equal(path.module(0)[0].weight, mlp[0].weight)
    assert torch.equal(path.module(-1)[0].weight, path.module(4)[0].weight)
    assert torch.equal(path.module(np.int64(1))[0].weight, path.module(1)[0].weight)
    assert torch.equal(path.at(np.float32(0.5))[0].weight, path.at(0.5)[0].weight)
    for bad in (1.0, True, None):
        with pytest.raises(ConfigError, match=r"^i: "):
            path.module(bad)
    with pytest.raises(ConfigError, match=r"^first: 0\.0 "):
        path.cut(0.0, 1)
    for i in (5, -6):
        with pytest.raises(ConfigError, match=f"^i: {i} "):
            path.module(i)


def test_it_survives_safetensors_and_json(path, mlp, tmp_path):
    arrays, metadata = path.to_tensors()
    file = tmp_path / "path.safetensors"
    file.write_bytes(safetensors.numpy.save({n: np.array(a) for n, a in arrays.items()}))
    back = Path.from_tensors(safetensors.numpy.load(file.read_bytes()), json.loads(json.dumps(metadata)), mlp)
    assert back.layout == path.layout
    assert (back.stop, back.key) == (path.stop, path.key)
    for name, array in arrays.items():
        assert getattr(back, name).tobytes() == array.tobytes()
        assert getattr(back, name).dtype == array.dtype
    for one, two in zip(back.module().parameters(), path.module().parameters(), strict=True):
        assert torch.equal(one, two)


def damaged(arrays, metadata):
    yield "format", arrays, metadata | {"format": "else"}
    yield "stop", arrays, metadata | {"stop": "tired"}
    yield "key", arrays, metadata | {"key": "x"}
    yield "layout", arrays, metadata | {"layout": None}
    yield "missing", {n: a for n, a in arrays.items() if n != "distance"}, metadata
    yield "short", arrays | {"distance": arrays["distance"][:-1]}, metadata
    yield "nan", arrays | {"distance": arrays["distance"] * np.nan}, metadata
    yield "integers", arrays | {"deltas": arrays["deltas"].astype(int)}, metadata
    yield "narrow", arrays | {"deltas": arrays["deltas"][:, 1:]}, metadata
    yield "empty", {n: a[:0] for n, a in arrays.items()}, metadata


def test_every_kind_of_damage_is_a_typed_error(path, mlp):
    seen = 0
    for what, arrays, metadata in damaged(*path.to_tensors()):
        with pytest.raises(CorruptFileError) as caught:
            Path.from_tensors(arrays, metadata, mlp)
        assert "path" in str(caught.value), what
        seen += 1
    assert seen == 10


def test_another_module_is_refused(path, make_mlp):
    with pytest.raises(ConfigError, match=r"^module: "):
        Path.from_tensors(*path.to_tensors(), make_mlp(8, 17, 5))
    with pytest.raises(ConfigError, match=r"^parameters: "):
        Path.from_tensors(*path.to_tensors(), make_mlp(8, 5))


def test_a_module_of_the_same_shapes_with_other_numbers_is_refused(path, mlp):
    arrays, metadata = path.to_tensors()
    with torch.no_grad():
        mlp[2].bias[0] += 1e-3
    with pytest.raises(ConfigError, match=r"^module: .*from which the path started"):
        Path.from_tensors(arrays, metadata, mlp)
    old = {name: part for name, part in metadata.items() if name != "base"}
    assert len(Path.from_tensors(arrays, old, mlp)) == 5
