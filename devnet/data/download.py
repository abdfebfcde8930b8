"""Downloads of published image sets, checked against their published digests."""

from __future__ import annotations

from pathlib import Path

from devnet._core.errors import ConfigError, CorruptFileError, StorageError
from devnet._core.progress import task
from devnet.data.images import cache_folder
from devnet.data.registry import REGISTRY


def fetch(name: str) -> Path:
    """Download the originals of an image set into the cache; files that are there and whole are kept.

    Args:
        name: ``mnist``, ``fashion-mnist`` or ``cifar10``.

    Returns:
        The folder that holds them.

    Raises:
        ConfigError: Unknown name, or a set that needs no download.
        StorageError: The download failed.
        CorruptFileError: What came does not have the published digest.
    """
    if name not in REGISTRY:
        raise ConfigError("data", name, f"one of {', '.join(REGISTRY)}; digits comes with scikit-learn")
    import pooch
    from requests.exceptions import RequestException

    pooch.get_logger().setLevel("WARNING")
    folder = cache_folder() / name
    originals = REGISTRY[name].originals
    with task(f"fetch {name}", len(originals)) as tick:
        for original in originals:
            try:
                pooch.retrieve(original.url, f"md5:{original.md5}", fname=original.name, path=folder)
            except ValueError as error:  # pooch's word for a digest that differs; nothing is kept
                raise CorruptFileError(f"{original.url}: not the published file ({error!s:.200})") from None
            except (RequestException, OSError) as error:
                raise StorageError(f"{original.url}: cannot be downloaded ({error!s:.200})") from None
            tick()
    return folder
