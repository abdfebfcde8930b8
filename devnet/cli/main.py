"""The entry point: turns every error that devnet raises on purpose into its text and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from devnet._core.errors import DevnetError
from devnet._core.progress import listening
from devnet.cli.app import app
from devnet.cli.display import listener
from devnet.cli.usage import UsageError, told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Words after ``devnet``; None takes them from the command line.

    Returns:
        The exit code: 0 done; 2 bad configuration or usage; 3 busy; 4 storage; 5 health; 6 resources; 7 corrupt or
        untrusted file; 75 interrupted, resumable.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with listening(listener()):
            code = app(args=words, prog_name="devnet", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except DevnetError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("memory: this machine has not enough for what was asked; make the model smaller", 6)
    except OSError as error:  # of a library: the cache of compiled kernels on a full disk, for example
        return _fail(f"{error.filename or 'storage'}: {error.strerror or error}", 4)
    except UsageError as error:
        return _fail(told(error, words), 2)
    return code if isinstance(code, int) else 0


def _fail(text: str, code: int) -> int:
    sys.stderr.write("".join(f"devnet: {line}\n" for line in text.splitlines()))
    return code
