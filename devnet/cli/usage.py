"""Errors of usage in the words of every other error: field, value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer names its base class nowhere else
_WORDS = (
    (r"^Input should be ", ""),
    (r"^.* is not in the range ", "a number in the range "),
    (r"^.* is not a valid ", "a valid "),
    (r"greater than or equal to", "at least"),
    (r"less than or equal to", "at most"),
    (r", unable to parse.*$", ""),
    (r"\.$", ""),
)


def told(error: Any, words: Sequence[str]) -> str:
    """Say in one line what was wrong with a command line.

    Args:
        error: What typer raised.
        words: The command line.

    Returns:
        ``--steps: '0' is not allowed; give at least 1``, for example; empty where help was shown instead.
    """
    context, kind = error.ctx, type(error).__name__
    command: Any = context.command if context is not None else None
    if kind == "NoArgsIsHelpError":  # the help is on the screen already
        return str(error.message)
    help_line = f"see {context.command_path} --help" if context is not None else "see devnet --help"
    parameter = getattr(error, "param", None)
    if parameter is not None:
        names = [name for name in parameter.opts if name.startswith("--")]
        name = names[0] if names else str(parameter.name).upper()
        if kind == "MissingParameter":
            text = getattr(parameter, "help", None) or help_line
            return f"{name}: missing; give it: {text.rstrip('.')}"
        value = _value(parameter, words)
        return f"{name}: {value}is not allowed; give {_allowed(str(error.message))}"
    if kind == "NoSuchOption":
        near = ", ".join(error.possibilities or ()) or help_line
        return f"{error.option_name}: no such option; {near if near == help_line else f'give {near}'}"
    unknown = re.match(r"No such command '(.*)'", str(error.message))
    if unknown is not None and hasattr(command, "list_commands"):
        known = ", ".join(command.list_commands(context))
        return f"command: {unknown[1]!r} is not allowed; give one of {known}"
    return f"{str(error.message).rstrip('.')}; {help_line}"


def _allowed(message: str) -> str:
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    return message


def _value(parameter: Any, words: Sequence[str]) -> str:
    """Return the value that was given for an option, as it stands on the command line."""
    found = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, sign, value = word.partition("=")
        if name in parameter.opts:
            found = f"{value if sign else following} "
    return found
