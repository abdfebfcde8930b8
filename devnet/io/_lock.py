"""One writer a run folder: an advisory lock that the system releases when its holder dies."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from devnet._core.errors import BusyError, StorageError

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold a folder's lock while the block runs.

    Args:
        folder: The folder; it exists.

    Yields:
        Nothing.

    Raises:
        BusyError: Another process holds it; the text names that process.
        StorageError: The lock file cannot be opened, or the file system knows no locks.
    """
    path = folder / NAME
    try:
        descriptor = _take(path)
    except BlockingIOError:
        holder = ""
        with suppress(OSError, UnicodeDecodeError):
            holder = path.read_text(encoding="utf-8").strip()
        raise BusyError(
            f"{folder}: in use by {holder or 'another process'}; wait for it or choose another folder"
        ) from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be locked ({error.strerror})") from None
    try:
        yield
    finally:
        # Removed while held: whoever opened the old file meanwhile sees that it is gone, and opens the new one.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def held(folder: Path) -> bool:
    """Say whether another process holds a folder's lock at this moment."""
    import fcntl

    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(path: Path) -> int:
    import fcntl

    tries = 5  # one that only looks, as `held`, holds it for a moment
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == path.stat().st_ino:
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                    return descriptor
        except BlockingIOError:
            tries -= 1
            if tries:
                time.sleep(0.02)
            else:
                os.close(descriptor)
                raise
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
