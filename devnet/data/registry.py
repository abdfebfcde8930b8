"""Which image sets there are, what a packed file must hold, and where the originals lie."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("digits", "mnist", "fashion-mnist", "cifar10")
"""Every name that ``load_images`` takes."""


@dataclass(frozen=True)
class Original:
    """A file of the published set.

    Attributes:
        url: Where it is published.
        md5: Its published MD5.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        """Last part of the address: the file's name in the cache."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Entry:
    """An image set that is not bundled.

    Attributes:
        packed: File in ``$DEVNET_DATA``.
        originals: Files of the published set: train images, train labels, test images, test labels; or one archive.
        megabytes: Size of the download.
        citation: Who made the set.
    """

    packed: str
    originals: tuple[Original, ...]
    megabytes: int
    citation: str


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

REGISTRY: dict[str, Entry] = {
    "mnist": Entry(
        "mnist.npz",
        (
            Original(_MNIST + "train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Original(_MNIST + "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            Original(_MNIST + "t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            Original(_MNIST + "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        12,
        "LeCun, Cortes & Burges, The MNIST database of handwritten digits",
    ),
    "fashion-mnist": Entry(
        "fashion_mnist.npz",
        (
            Original(_FASHION + "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            Original(_FASHION + "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            Original(_FASHION + "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            Original(_FASHION + "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        31,
        "Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv 1708.07747",
    ),
    "cifar10": Entry(
        "cifar10_jpeg.npz",
        (
            # The binary version: the Python version of the set is pickled.
            Original(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
            ),
        ),
        162,
        "Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    ),
}
