"""The entry point: turns every error that devnet raises on purpose into its text and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from devnet._core.errors import DevnetError, InterruptedRunError, StorageError
from devnet._core.progress import listening
from devnet.cli.app import app
from devnet.cli.display import listener
from devnet.cli.usage import UsageError, told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Words after ``devnet``; None takes them from the command line.

    Returns:
        The exit code: 0 done; 1 a bar was missed, or a point of a sweep failed; 2 bad configuration or usage; 3 busy;
        4 storage; 5 health; 6 resources; 7 corrupt or untrusted file; 75 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with listening(listener()):
            code = app(args=words, prog_name="devnet", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # outside of a command
        return _fail("stopped; nothing was written", InterruptedRunError.exit_code)
    except DevnetError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("memory: this machine has not enough for what was asked; make the model smaller", 6)
    except OSError as error:  # of a library: the cache of compiled kernels on a full disk, for example
        return _fail(_told(error), StorageError.exit_code)
    except UsageError as error:
        return _fail(told(error, words), 2)
    return code if isinstance(code, int) else 0


def _told(error: OSError) -> str:
    """Say what storage failed; libraries ask for the working folder as they are loaded, and do not name it."""
    try:
        Path.cwd()
    except OSError:
        return "the working folder is gone or cannot be read; go to another one"
    return f"{error.filename or 'storage'}: {error.strerror or error}"


def _fail(text: str, code: int) -> int:
    sys.stderr.write("".join(f"devnet: {line}\n" for line in text.splitlines()))
    return code
