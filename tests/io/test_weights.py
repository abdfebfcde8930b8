"""Plain files of weights: what any program wrote is read, what is damaged or no safetensors file is refused."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.io import tensors
from devnet.io.weights import read_weights, read_widened, write_weights


def test_what_torch_users_save_is_read(tmp_path):
    state = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
    safetensors.torch.save_file(
        state, tmp_path / "w.safetensors", metadata={"format": "pt", "factory": "os:getcwd"}
    )
    found = read_weights(tmp_path / "w.safetensors")
    assert set(found) == set(state)
    assert all(np.array_equal(found[n], t.numpy()) for n, t in state.items())


def test_what_is_written_other_programs_read(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "n": np.array(3)}
    write_weights(tmp_path / "w", arrays)
    theirs = safetensors.torch.load_file(tmp_path / "w")
    assert all(np.array_equal(theirs[n].numpy(), a) for n, a in arrays.items())
    assert theirs["n"].shape == ()


def test_truncations_and_flips_are_refused_or_give_finite_numbers(tmp_path):
    write_weights(tmp_path / "w", {"a": np.linspace(0.1, 1, 5, dtype=np.float32)})
    whole = (tmp_path / "w").read_bytes()
    bad = tmp_path / "bad"
    for n in range(0, len(whole), 3):
        bad.write_bytes(whole[:n])
        with pytest.raises(CorruptFileError):
            read_weights(bad)
    for bit in range(0, 8 * len(whole), 11):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        bad.write_bytes(flipped)
        try:
            found = read_weights(bad)
        except CorruptFileError:
            continue
        assert all(np.isfinite(a).all() for a in found.values() if a.dtype.kind == "f")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    write_weights(tmp_path / "w", {"a": np.array([1.0, np.nan])})
    with pytest.raises(CorruptFileError, match="array a: holds NaN"):
        read_weights(tmp_path / "w")


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="a file that exists"):
        read_weights(tmp_path / "nothing")


@pytest.mark.parametrize(("kind", "told"), [(torch.float16, "F16"), (torch.bfloat16, "BF16")])
def test_half_precision_is_widened_without_loss(tmp_path, kind, told):
    state = {
        "a": torch.randn(3, 5).to(kind),
        "b": torch.ones(2),
        "c": torch.tensor(0.5).to(kind),
        "n": torch.tensor(3),
    }
    safetensors.torch.save_file(state, tmp_path / "w")
    found, wide = read_widened(tmp_path / "w")
    assert wide == {told}
    assert found["a"].dtype == found["b"].dtype == np.float32
    assert np.array_equal(found["a"], state["a"].float().numpy())
    assert found["c"] == 0.5
    assert not found["a"].flags.writeable


def test_float64_stays_float64(tmp_path):
    write_weights(tmp_path / "w", {"a": np.array([0.1])})
    assert read_weights(tmp_path / "w")["a"].dtype == np.float64
    assert not read_widened(tmp_path / "w")[1]


def test_devnet_s_own_files_hold_no_half_precision(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(2).half()}, tmp_path / "w", {"devnet": "{}"})
    with pytest.raises(CorruptFileError):
        tensors.read_tensors(tmp_path / "w")
