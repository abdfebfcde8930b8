"""Image sets for read-outs and paths: scikit-learn's digits, and MNIST, Fashion-MNIST and CIFAR-10 from disk."""

from devnet.data.download import fetch as fetch
from devnet.data.images import ImageSet as ImageSet
from devnet.data.images import load_images as load_images
from devnet.data.images import where as where
from devnet.data.registry import NAMES as NAMES
