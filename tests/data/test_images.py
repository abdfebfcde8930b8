import io
import zipfile

import numpy as np
import pytest

from devnet._core.errors import ConfigError, CorruptFileError, MissingDependencyError, StorageError
from devnet.data import NAMES, ImageSet, _formats, images, load_images, where
from devnet.data.registry import REGISTRY


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand for a machine with an empty data folder and an empty cache."""
    monkeypatch.setenv("DEVNET_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(images, "cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def gray(n, side=28):
    return (np.arange(n * side * side) % 256).astype(np.uint8).reshape(n, side, side)


def packed(path, **changes):
    arrays = {
        "x_train": gray(3),
        "y_train": np.array([0, 1, 2], np.uint8),
        "x_test": gray(2),
        "y_test": np.array([1, 3], np.uint8),
    } | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})


def test_digits_are_split_once_and_evenly():
    a, b = load_images("digits"), load_images("digits")
    assert a.x_train.shape == (1438, 8, 8)
    assert a.x_test.shape == (359, 8, 8)
    assert np.array_equal(a.x_test, b.x_test)
    assert a.classes == 10
    assert a.x_train.max() == 1
    assert a.x_train.min() == 0
    counts = np.bincount(a.y_test)
    assert np.array_equal(counts, np.round(0.2 * (counts + np.bincount(a.y_train))))
    everything = np.concatenate([a.x_train, a.x_test]).reshape(-1, 64).sum(axis=0)
    from sklearn.datasets import load_digits

    assert np.allclose(everything, load_digits().data.sum(axis=0) / 16)


def test_arrays_are_read_only():
    digits = load_images("digits")
    with pytest.raises(ValueError, match="read-only"):
        digits.x_train[0, 0, 0] = 1


def test_an_empty_set_or_labels_that_do_not_fit_are_refused():
    x, y = np.zeros((2, 4, 4), np.float32), np.zeros(2, int)
    with pytest.raises(ConfigError, match="at least one image"):
        ImageSet("a", x, y, x[:0], y[:0])
    with pytest.raises(ConfigError, match="y_train"):
        ImageSet("a", x, y[:1], x, y)
    with pytest.raises(ConfigError, match="x_test"):
        ImageSet("a", x, y, x + 2, y)


def test_a_packed_set_is_read(folder):
    packed(folder / "mnist.npz")
    found = load_images("mnist")
    assert np.array_equal(found.x_train, gray(3).astype(np.float32) / np.float32(255))
    assert found.y_test.tolist() == [1, 3]
    assert found.classes == 4
    assert where("mnist") == folder / "mnist.npz"


def test_an_absent_set_says_how_to_get_it(folder):
    with pytest.raises(
        ConfigError, match=r"folder that holds mnist\.npz as DEVNET_DATA, or run: devnet data fetch mnist"
    ):
        load_images("mnist")
    with pytest.raises(ConfigError, match=", ".join(NAMES)):
        load_images("imagenet")


@pytest.mark.parametrize(
    "changes",
    [
        {"x_train": None},
        {"x_train": gray(3).astype(np.float32)},
        {"x_train": gray(3).reshape(3, -1)},
        {"y_train": np.array([0, 1], np.uint8)},
        {"y_test": np.array([{}, {}], dtype=object)},
        {"x_train": np.asfortranarray(gray(3))},
    ],
)
def test_a_packed_set_of_another_form_is_refused(folder, changes):
    packed(folder / "mnist.npz", **changes)
    with pytest.raises(CorruptFileError, match=r"mnist\.npz"):
        load_images("mnist")


def test_a_bomb_is_not_unpacked(folder):
    """An archive of 100 kB that declares 16 GiB of pixels."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 128, 128)}
    )
    with zipfile.ZipFile(folder / "mnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", head.getvalue() + bytes(1 << 20))
    with pytest.raises(CorruptFileError, match="x_train"):
        load_images("mnist")


def test_every_truncation_of_a_packed_set_is_caught(folder):
    packed(folder / "mnist.npz")
    data = (folder / "mnist.npz").read_bytes()
    for length in range(0, len(data), 7):
        (folder / "mnist.npz").write_bytes(data[:length])
        with pytest.raises(CorruptFileError):
            load_images("mnist")


def test_newer_npy_formats_are_refused(folder):
    with zipfile.ZipFile(folder / "mnist.npz", "w") as archive:
        archive.writestr("x_train.npy", np.lib.format.magic(2, 0) + bytes(100))
    with pytest.raises(CorruptFileError, match="format"):
        load_images("mnist")


def test_a_file_that_cannot_be_read_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        _formats.gray_npz(tmp_path / "no")
    with pytest.raises(StorageError):
        _formats.idx([tmp_path / "no"] * 4)
    with pytest.raises(StorageError):
        _formats.cifar_binary(tmp_path / "no")


def jpegs(n, size=(32, 32)):
    image = pytest.importorskip("PIL.Image")
    parts = []
    for i in range(n):
        pixels = np.full((size[1], size[0], 3), (40 * i, 80, 120), np.uint8)
        out = io.BytesIO()
        image.fromarray(pixels).save(out, "JPEG", quality=95)
        parts.append(out.getvalue())
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    return np.frombuffer(b"".join(parts), np.uint8), offsets


def jpeg_set(path, *, size=(32, 32), **changes):
    stream, offset = jpegs(3, size)
    arrays = {"y_train": np.array([0, 1, 2], np.uint8), "y_test": np.array([2, 1, 0], np.uint8)}
    for part in ("train", "test"):
        arrays |= {f"jpeg_{part}": stream, f"offset_{part}": offset}
    np.savez_compressed(path, **(arrays | changes))


def test_color_pictures_become_gray_and_say_that_they_are_lossy(folder):
    jpeg_set(folder / "cifar10_jpeg.npz")
    found = load_images("cifar10")
    assert "lossy" in found.note
    assert found.image_shape == (32, 32)
    wanted = (0.299 * np.array([0, 40, 80]) + 0.587 * 80 + 0.114 * 120) / 255
    assert np.allclose(found.x_train.mean(axis=(1, 2)), wanted, atol=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"offset_train": np.array([0, 5, 4, 9])},
        {"offset_train": np.array([0, 5, 10, 10**9])},
        {"offset_train": np.array([-1, 5, 10, 20])},
        {"offset_train": np.array([0, 5, 10])},
        {"jpeg_train": np.zeros(10**4, np.uint8)},
        {"size": (16, 16)},
    ],
)
def test_damaged_pictures_are_refused(folder, changes):
    jpeg_set(folder / "cifar10_jpeg.npz", **changes)
    with pytest.raises(CorruptFileError, match="cifar10_jpeg"):
        load_images("cifar10")


def test_pictures_need_pillow(folder, monkeypatch):
    import sys

    jpeg_set(folder / "cifar10_jpeg.npz")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        load_images("cifar10")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "mean"),
    [("mnist", 0.1307), ("fashion-mnist", 0.2860), ("cifar10", 0.4808)],
)
def test_the_real_sets(data_dir, name, mean):
    found = load_images(name)
    side = 32 if name == "cifar10" else 28
    assert found.image_shape == (side, side)
    assert len(found.x_test) == 10_000
    assert len(found.x_train) == (50_000 if name == "cifar10" else 60_000)
    assert found.classes == 10
    assert found.x_train.mean() == pytest.approx(mean, abs=1e-4)


def test_the_registry_names_every_set():
    assert set(NAMES) == {"digits", *REGISTRY}
    assert all(len(original.md5) == 32 for entry in REGISTRY.values() for original in entry.originals)
