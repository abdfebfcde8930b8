"""The base of all specs: frozen, closed to unknown names, every number with unit and source.

In TOML a number may stand alone, ``r_o = 6.0``, or carry where it comes from,
``r_o = { value = 6.0, unit = "sheet", source = "G19, released code" }``. The unit must be the one the field is
declared with: a spec converts nothing, it only refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar, cast

import pydantic
from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from devnet._core.errors import ConfigError, Problem

ASSUMED = "assumed"
"""The source of a number that is ours: chosen by the authors of devnet, published by nobody."""


def quantity(default: Any, unit: str, source: str, **bounds: Any) -> Any:
    """Declare a numeric field.

    Args:
        default: Its default, or ``...`` where it must be given.
        unit: Its unit; ``"1"`` for a pure number.
        source: Where the default comes from.
        **bounds: ``gt``, ``ge``, ``lt``, ``le``, ``description`` as pydantic takes them.

    Returns:
        The pydantic field.
    """
    return Field(default, json_schema_extra={"unit": unit, "source": source}, **bounds)


class Spec(BaseModel):
    """A validated, frozen part of a model. Equality and hashing ignore sources."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")
    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _unwrap_quantities(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Take ``{value, unit, source}`` tables apart before validation and keep the sources after it."""
        if not isinstance(data, Mapping):
            return handler(data)
        plain: dict[str, Any] = {}
        sources: dict[str, str] = {}
        given = cast("Mapping[str, Any]", data)
        for name, value in given.items():
            declared = cls.declared(name)
            if isinstance(value, Mapping) and declared is not None:
                value = cast("Mapping[str, Any]", value)
                if "value" not in value or set(value) - {"value", "unit", "source"}:
                    raise PydanticCustomError(
                        "quantity", "{name}: give value, unit and source and nothing else", {"name": name}
                    )
                if value.get("unit", declared[0]) != declared[0]:
                    raise PydanticCustomError(
                        "unit",
                        "{name}: unit {given} is not allowed; give {unit}",
                        {"name": name, "given": repr(value["unit"]), "unit": repr(declared[0])},
                    )
                if "source" in value:
                    sources[name] = str(value["source"])
                value = value["value"]
            plain[name] = value
        spec = handler(plain)
        spec._sources = sources
        return spec

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @classmethod
    def declared(cls, name: str) -> tuple[str, str] | None:
        """Return (unit, source of the default) of a numeric field, or None where the field is no quantity."""
        field = cls.model_fields.get(name)
        extra = cast("dict[str, Any] | None", field.json_schema_extra if field is not None else None)
        if extra is None or "unit" not in extra:
            return None
        return str(extra["unit"]), str(extra["source"])

    def source(self, name: str) -> str:
        """Return where the value of a numeric field comes from.

        Args:
            name: Field name.

        Returns:
            The source given in the model; else the declared one where the value is the default; else ``"given"``.
        """
        if name in self._sources:
            return self._sources[name]
        declared = type(self).declared(name)
        default = type(self).model_fields[name].default
        return declared[1] if declared is not None and getattr(self, name) == default else "given"

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated anew.

        Args:
            **changes: Field names and their new values.

        Returns:
            The new spec.

        Raises:
            ConfigError: A name is unknown or a value out of range.
        """
        data: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        spec = build(type(self), data | changes)
        spec._sources = {name: text for name, text in self._sources.items() if name not in changes}
        return spec

    def quantities(self) -> Iterator[tuple[str, Any, str, str]]:
        """Yield (name, value, unit, source) of each numeric field of this part."""
        for name in type(self).model_fields:
            declared = type(self).declared(name)
            if declared is not None:
                yield name, getattr(self, name), declared[0], self.source(name)


S = TypeVar("S", bound="Spec")


def build(kind: type[S], data: Mapping[str, Any], *, where: str = "") -> S:
    """Validate plain data into a spec.

    Args:
        kind: The spec's class.
        data: Its fields.
        where: Prefix of the field paths that errors show, a file name for example.

    Returns:
        The spec.

    Raises:
        ConfigError: One line per wrong field: path, value, allowed range.
    """
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as error:
        first, *more = (_problem(item, where) for item in error.errors(include_url=False))
        raise ConfigError(first.field, first.value, first.allowed, more=more) from None


def _problem(item: Any, where: str) -> Problem:
    path = ".".join(str(part) for part in item["loc"])
    field = ": ".join(part for part in (where, path) if part) or "model"
    kind: str = item["type"]
    if kind == "extra_forbidden":
        return Problem(field, item["input"], "no such field; remove it or correct its name")
    if kind == "missing":
        return Problem(field, None, "a value: the field is required")
    message: str = item["msg"]
    return Problem(
        field, item["input"], message.removeprefix("Input should be ").removeprefix("Value error, ")
    )
