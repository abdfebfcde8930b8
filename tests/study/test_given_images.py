"""Images of the user's own: gray or in color, in whatever order of axes; nothing but numbers is read."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest

from devnet._core.errors import ConfigError, CorruptFileError
from devnet.study.given_images import images_of


def packed(path, shape=(6, 8, 9), dtype=np.uint8, **changes):
    x = (np.arange(np.prod(shape)) % 256).reshape(shape).astype(dtype)
    arrays = {
        "x_train": x,
        "y_train": np.arange(6) % 3,
        "x_test": x[:2],
        "y_test": np.array([0, 4], np.uint8),
    }
    np.savez(path, **{n: a for n, a in (arrays | changes).items() if a is not None})
    return x


@pytest.mark.parametrize(
    ("shape", "order"),
    [((6, 8, 9), (0, 1, 2)), ((6, 3, 8, 9), (0, 1, 2, 3)), ((6, 8, 9, 3), (0, 3, 1, 2))],
)
def test_images_come_as_a_network_takes_them(tmp_path, shape, order):
    x = packed(tmp_path / "i.npz", shape)
    found = images_of(str(tmp_path / "i.npz"))
    assert np.array_equal(found.x_train, x.transpose(order).astype(np.float32) / 255)
    assert found.image_shape == x.transpose(order).shape[1:]
    assert found.classes == 5
    assert found.y_test.dtype == np.int64


def test_fractions_stay_as_they_are_and_columns_first_is_read(tmp_path):
    x = packed(tmp_path / "i.npz", dtype=np.float64)
    np.savez(tmp_path / "f.npz", **{**np.load(tmp_path / "i.npz"), "x_train": np.asfortranarray(x)})
    for name in ("i.npz", "f.npz"):
        assert np.array_equal(images_of(str(tmp_path / name)).x_train, x.astype(np.float32))


@pytest.mark.parametrize(
    "changes",
    [
        {"x_test": None},
        {"x_train": np.zeros((6, 4), np.uint8)},
        {"x_train": np.zeros((6, 8, 9), np.int64)},
        {"y_train": np.zeros(6)},
        {"y_train": np.zeros(5, int)},
        {"y_train": -np.ones(6, int)},
        {"y_test": np.array([{}, {}], dtype=object)},
        {"x_test": np.zeros((2, 9, 9), np.uint8)},
        {"x_test": np.full((2, 8, 9), np.nan)},
    ],
)
def test_what_does_not_fit_names_the_option(tmp_path, changes):
    packed(tmp_path / "i.npz", **changes)
    with pytest.raises(ConfigError, match=r"^--past: "):
        images_of(str(tmp_path / "i.npz"), "--past")


class Canary:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_objects_are_not_unpickled_and_damage_is_told(tmp_path):
    packed(tmp_path / "i.npz", x_train=np.array([Canary(tmp_path / "canary")], dtype=object))
    with pytest.raises(ConfigError, match=r"x_train: object"):
        images_of(str(tmp_path / "i.npz"))
    assert not (tmp_path / "canary").exists()
    packed(tmp_path / "j.npz")
    data = (tmp_path / "j.npz").read_bytes()
    for length in range(0, len(data), 97):
        (tmp_path / "j.npz").write_bytes(data[:length])
        with pytest.raises(CorruptFileError):
            images_of(str(tmp_path / "j.npz"))
    with zipfile.ZipFile(tmp_path / "k.npz", "w") as archive:
        archive.writestr("x_train.npy", np.lib.format.magic(2, 0) + bytes(100))
    with pytest.raises(CorruptFileError, match="format"):
        images_of(str(tmp_path / "k.npz"))
    with pytest.raises(ConfigError, match="a file that exists"):
        images_of(str(tmp_path / "nothing.npz"))
