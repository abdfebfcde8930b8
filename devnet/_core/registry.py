"""Named parts that users may add to: forms of cells, learning rules."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from devnet._core.errors import ConfigError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


class Registry(Generic[T]):
    """Parts by name.

    Args:
        field: What errors call the name.
    """

    def __init__(self, field: str) -> None:
        self._field = field
        self._parts: dict[str, T] = {}

    def register(self, part: T) -> T:
        """Make a part known under its name; a later one of the same name takes its place.

        Args:
            part: The part.

        Returns:
            The part.
        """
        self._parts[part.name] = part
        return part

    def of(self, name: str) -> T:
        """Return the part of a name.

        Args:
            name: The name.

        Returns:
            The part.

        Raises:
            ConfigError: No part of that name is registered.
        """
        if name not in self._parts:
            known = ", ".join(sorted(self._parts))
            raise ConfigError(self._field, name, f"one of {known}, or register one of that name")
        return self._parts[name]
