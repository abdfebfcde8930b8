"""Checks of single fields that many nouns share; each raises one clear line."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

from devnet._core.errors import ConfigError


def whole(field: str, value: object, least: int = 1) -> None:
    """Refuse what is not a whole number of at least ``least``.

    Args:
        field: Name that the error shall show.
        value: What was given.
        least: Smallest allowed number.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ConfigError(field, value, f"an integer of at least {least}")


def positive(field: str, value: Any) -> None:
    """Refuse what is not a finite number above 0.

    Args:
        field: Name that the error shall show.
        value: What was given.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(field, value, "a finite number above 0")


def within(field: str, value: Any, low: float, high: float) -> None:
    """Refuse what is not a number with ``low <= value < high``.

    Args:
        field: Name that the error shall show.
        value: What was given.
        low: Smallest allowed number.
        high: End of the range; not allowed itself.

    Raises:
        ConfigError: It is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value < high:
        raise ConfigError(field, value, f"a number in [{low:g}, {high:g})")
