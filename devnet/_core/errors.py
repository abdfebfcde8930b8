"""Every error devnet raises on purpose, each with the exit code that the command line returns for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class DevnetError(Exception):
    """Base of all errors that devnet raises on purpose; its text is one clear line (or one line a problem).

    Args:
        text: The text; names and values in it may come from anybody's file, so it is made printable.
    """

    exit_code: int = 1

    def __init__(self, text: str = "") -> None:
        super().__init__(printable(text))


def printable(text: str) -> str:
    """Return text with the characters written out that a terminal would obey; lines stay lines."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text
    )


@dataclass(frozen=True)
class Problem:
    """One wrong field: where it is, what it held, and what it may hold."""

    field: str
    value: object
    allowed: str

    def __str__(self) -> str:
        try:
            text = repr(self.value)
        except (RecursionError, ValueError):  # lists too deep, numbers too long
            text = f"a {type(self.value).__name__} too large to show"
        if len(text) > 80:
            text = text[:77] + "..."
        return f"{self.field}: {text} is not allowed; give {self.allowed}"


class ConfigError(DevnetError):
    """Bad configuration, argument or usage: one line per wrong field, all wrong fields together.

    Args:
        field: Name of the argument or dotted path of the configuration field.
        value: What it held.
        allowed: What it may hold, as words that tell the fix.
        more: Further wrong fields.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, allowed: str, *, more: Iterable[Problem] = ()) -> None:
        self.problems = (Problem(field, value, allowed), *more)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers send their errors home, and an exception is otherwise rebuilt from its text alone.
        return _rebuilt, (type(self), self.problems)


def _rebuilt(kind: type[ConfigError], problems: tuple[Problem, ...]) -> ConfigError:
    first, *more = problems
    return kind(first.field, first.value, first.allowed, more=more)


class MissingDependencyError(ConfigError):
    """An optional library is needed and not installed."""


class BusyError(DevnetError):
    """A run folder is in use, or holds a different run."""

    exit_code = 3


class StorageError(DevnetError):
    """A file could not be written or read: disk full, no permission, device error."""

    exit_code = 4


class HealthError(DevnetError):
    """A simulation left the finite numbers; the text names variable, cell and time."""

    exit_code = 5


class ResourceError(DevnetError):
    """The machine cannot hold what was asked for."""

    exit_code = 6


class CorruptFileError(DevnetError):
    """A file is damaged, truncated, of another kind, or not to be trusted."""

    exit_code = 7


class InterruptedRunError(DevnetError):
    """The user stopped a run; what was finished is kept and the run can go on later.

    Args:
        text: What was stopped and what is kept.
        kept: The result so far, where there is one.
    """

    exit_code = 75

    def __init__(self, text: str, *, kept: Any = None) -> None:
        super().__init__(text)
        self.kept = kept
