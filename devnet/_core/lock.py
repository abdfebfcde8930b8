"""One writer a run folder: an advisory lock that the system releases when its holder dies."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from devnet._core.errors import BusyError, CorruptFileError, StorageError

NAME = ".lock"
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # what lies there may be a link to a file, or a pipe
_FOREIGN = "{}: is no lock of devnet's but a link, pipe or device; remove it"


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
        CorruptFileError: What lies in its place is no regular file.
    """
    path = folder / NAME
    try:
        descriptor = _take(path)
    except BlockingIOError:
        raise BusyError(_told(folder)) from None
    except OSError as error:
        if path.is_symlink():
            raise CorruptFileError(_FOREIGN.format(path)) from None
        raise StorageError(f"{path}: cannot be locked ({error.strerror})") from None
    try:
        yield
    finally:
        # Removed while held: whoever opened the old file meanwhile sees that it is gone, and opens the new one.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def refuse_busy(folder: str | Path) -> None:
    """Refuse a folder that is in use, before anything is loaded or computed for it.

    Args:
        folder: The folder; it need not exist.

    Raises:
        BusyError: Another process holds its lock; the text names that process.
    """
    if held(Path(folder)):
        raise BusyError(_told(Path(folder)))


def held(folder: Path) -> bool:
    """Say whether another process holds a folder's lock at this moment."""
    import fcntl

    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY | _FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks here; whoever wants one is told
        return False
    finally:
        os.close(descriptor)
    return False


def _told(folder: Path) -> str:
    holder = ""
    with suppress(OSError, UnicodeDecodeError):
        descriptor = os.open(folder / NAME, os.O_RDONLY | _FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            holder = file.read(200).decode("utf-8").strip()
    return f"{folder}: in use by {holder or 'another process'}; wait for it or choose another folder"


def _take(path: Path) -> int:
    import fcntl

    tries = 5  # one that only looks, as `held`, holds it for a moment
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CorruptFileError(_FOREIGN.format(path))
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
