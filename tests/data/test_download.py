"""Downloads and originals, from a server on this machine that stands for the real ones."""

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet.data import _formats, download, fetch, images, load_images
from devnet.data.registry import REGISTRY, Entry, Original


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def archive(records=2):
    out = io.BytesIO()
    rows = np.arange(records * 3073, dtype=np.int64).astype(np.uint8).reshape(records, 3073)
    rows[:, 0] = np.arange(records) % 10
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "readme"]:
            data = rows.tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


FILES = {
    "a-images.gz": idx(np.arange(2 * 28 * 28, dtype=np.int64).astype(np.uint8).reshape(2, 28, 28)),
    "a-labels.gz": idx(np.array([3, 1], np.uint8)),
    "b-images.gz": idx(np.zeros((1, 28, 28), np.uint8)),
    "b-labels.gz": idx(np.array([2], np.uint8)),
    "cifar.tar.gz": archive(),
}


@pytest.fixture(scope="module")
def server():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.removeprefix("/")
            asked.append(name)
            data = FILES.get(name)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/", asked
        http.shutdown()


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """Put small sets from this machine's server in the place of the real ones."""
    address, asked = server
    asked.clear()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("DEVNET_DATA", raising=False)
    for module in (images, download):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")

    def originals(*names):
        return tuple(
            Original(address + name, hashlib.md5(FILES.get(name, b""), usedforsecurity=False).hexdigest())
            for name in names
        )

    four = originals("a-images.gz", "a-labels.gz", "b-images.gz", "b-labels.gz")
    monkeypatch.setitem(REGISTRY, "mnist", Entry("mnist.npz", four, 1, ""))
    monkeypatch.setitem(REGISTRY, "cifar10", Entry("cifar10_jpeg.npz", originals("cifar.tar.gz"), 1, ""))
    monkeypatch.setitem(REGISTRY, "fashion-mnist", Entry("f.npz", originals("gone.gz"), 1, ""))
    return asked


def test_originals_are_downloaded_once_and_read(registry, tmp_path):
    assert fetch("mnist") == tmp_path / "cache" / "mnist"
    assert len(registry) == 4
    fetch("mnist")
    assert len(registry) == 4
    found = load_images("mnist")
    assert found.y_train.tolist() == [3, 1]
    assert found.x_train[0, 0, 255 % 28] == np.float32((255 % 28) / 255)
    assert found.note == ""


def test_the_binary_archive_is_read(registry):
    fetch("cifar10")
    found = load_images("cifar10")
    assert found.x_train.shape == (10, 32, 32)
    assert found.x_test.shape == (2, 32, 32)
    assert found.y_train.tolist() == [0, 1] * 5
    pixels = np.arange(3073, dtype=np.int64).astype(np.uint8)[1:].reshape(3, 32, 32)[:, 0, 0]
    assert found.x_train[0, 0, 0] == pytest.approx(float(pixels @ [0.299, 0.587, 0.114]) / 255, abs=1e-6)


def test_a_file_that_is_not_the_published_one_is_refused_and_not_kept(registry, tmp_path, monkeypatch):
    wrong = tuple(Original(original.url, "0" * 32) for original in REGISTRY["mnist"].originals)
    monkeypatch.setitem(REGISTRY, "mnist", Entry("mnist.npz", wrong, 1, ""))
    with pytest.raises(CorruptFileError, match="not the published file"):
        fetch("mnist")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with pytest.raises(ConfigError):
        load_images("mnist")


def test_a_download_that_fails_is_a_storage_error(registry):
    with pytest.raises(StorageError, match=r"gone\.gz: cannot be downloaded"):
        fetch("fashion-mnist")


@pytest.mark.parametrize("name", ["digits", "imagenet"])
def test_only_known_sets_are_downloaded(name):
    with pytest.raises(ConfigError, match="digits comes with scikit-learn"):
        fetch(name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not gzip",
        gzip.compress(b""),
        gzip.compress(bytes([0, 0, 13, 1]) + struct.pack(">I", 2) + b"ab"),
        gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">I", 2) + b"ab"),
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 2**31) + b"ab"),
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 3) + b"ab"),
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 1) + b"ab"),
        FILES["a-labels.gz"][:-6],
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, data):
    for name, content in zip(
        "abcd", (FILES["a-images.gz"], data, FILES["b-images.gz"], FILES["b-labels.gz"]), strict=True
    ):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptFileError):
        _formats.idx([tmp_path / name for name in "abcd"])


def test_as_many_labels_as_images(tmp_path):
    for name in ("a-images.gz", "b-labels.gz", "b-images.gz"):
        (tmp_path / name).write_bytes(FILES[name])
    files = [tmp_path / name for name in ("a-images.gz", "b-labels.gz", "b-images.gz", "b-labels.gz")]
    with pytest.raises(CorruptFileError, match="as many labels as images"):
        _formats.idx(files)


@pytest.mark.parametrize("damage", ["truncated", "empty", "short", "size"])
def test_damaged_archives_are_refused(tmp_path, damage):
    path = tmp_path / "a.tar.gz"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = 3072 if damage == "size" else 3073
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    path.write_bytes({"truncated": archive()[:-100], "empty": b""}.get(damage, out.getvalue()))
    with pytest.raises(CorruptFileError, match="damaged archive"):
        _formats.cifar_binary(path)
