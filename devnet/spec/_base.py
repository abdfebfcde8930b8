"""The base of all specs: frozen, closed to unknown names, every number with unit and source.

In TOML a number may stand alone, ``r_o = 6.0``, or carry where it comes from,
``r_o = { value = 6.0, unit = "length", source = "G19, released code" }``. The unit must be the one the field is
declared with: a spec converts nothing, it only refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar, cast, get_args, get_origin

import pydantic
from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from devnet._core.errors import ConfigError, Problem

ASSUMED = "assumed"
"""The source of a number that is ours: chosen by the authors of devnet, published by nobody."""

G19 = "G19, released code"
M20 = "M20, released code"

INT_MAX = 2**31 - 1
"""Largest whole number of a field that states no smaller one: what compiled code can count."""

Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
"""Name of a part: it becomes a TOML key and part of file names."""

Wrong = tuple[tuple[str | int, ...], Any, str]
"""A wrong field: its path, what it held, what it may hold."""


def quantity(default: Any, unit: str, source: str, **bounds: Any) -> Any:
    """Declare a numeric field: a number, or a tuple of numbers of one unit.

    Args:
        default: Its default, or ``...`` where it must be given.
        unit: Its unit; ``"1"`` for a pure number.
        source: Where the default comes from.
        **bounds: ``gt``, ``ge``, ``lt``, ``le``, ``min_length``, ``description`` as pydantic takes them.

    Returns:
        The pydantic field.
    """
    if isinstance(default, int) and not {"lt", "le"} & set(bounds):
        bounds["le"] = INT_MAX
    return Field(default, json_schema_extra={"unit": unit, "source": source}, **bounds)


def refuse(kind: str, fields: Sequence[Wrong]) -> pydantic.ValidationError:
    """Make the error of fields that a validator of ours refuses, so that it joins pydantic's own.

    Args:
        kind: Name of the spec.
        fields: The wrong fields.

    Returns:
        The error, to be raised by a validator.
    """
    details = [
        InitErrorDetails(
            type=PydanticCustomError("devnet", "{allowed}", {"allowed": allowed}), loc=loc, input=value
        )
        for loc, value, allowed in fields
    ]
    return pydantic.ValidationError.from_exception_data(kind, details)


def printable_line(text: str) -> str:
    """Return a text that is shown in lists and titles; refuse one with characters that a terminal would obey."""
    if text.isprintable():
        return text
    raise PydanticCustomError("devnet", "one line of printable characters")


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
        own: dict[str | int, Wrong] = {}
        for name, value in cast("Mapping[str, Any]", data).items():
            field = cls.model_fields.get(name)
            if field is not None and isinstance(field.default, Spec) and isinstance(value, Mapping):
                value = field.default.completing(cast("Mapping[str, Any]", value))
            unit, _ = cls.declared(name) or (None, None)
            if unit is not None and isinstance(value, Mapping):
                value, source, wrong = _take_apart(cast("Mapping[str, Any]", value), unit)
                if wrong:
                    own[name] = ((name,), *wrong)
                elif source is not None:
                    sources[name] = source
            if field is None:
                own[name] = (
                    (name,),
                    value,
                    f"nothing here: there is no such field among {', '.join(cls.model_fields)}",
                )
            if unit is not None and name not in own and not _is_number(value):
                own[name] = ((name,), value, "a number")
            plain[name] = value
        try:
            spec = handler(plain)
        except pydantic.ValidationError as error:
            if own:
                others = [field for field in wrong_fields(error) if field[0][:1] not in {(n,) for n in own}]
                raise refuse(cls.__name__, [*own.values(), *others]) from None
            raise
        if own:
            raise refuse(cls.__name__, list(own.values()))
        spec._sources = sources
        return spec

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or vars(self) != vars(other):
            return False
        tables = [name for name, held in vars(self).items() if isinstance(held, dict)]
        return all(
            list(vars(self)[name]) == list(vars(other)[name]) for name in tables
        )  # order has a meaning

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

    @classmethod
    def tags(cls) -> dict[str, str]:
        """Return the fields that tell this kind of part from its siblings, and what they hold."""
        literals = {
            name: get_args(field.annotation)
            for name, field in cls.model_fields.items()
            if get_origin(field.annotation) is Literal
        }
        return {name: values[0] for name, values in literals.items() if len(values) == 1}

    def completing(self, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fill a table that names some fields with the others of this part, which is its field's default.

        Args:
            table: What a user gave.

        Returns:
            The filled table; the table as it is where it describes another kind of part.
        """
        if any(table.get(name, tag) != tag for name, tag in self.tags().items()):
            return table
        found = {name: getattr(self, name) for name in type(self).model_fields}
        for name, value, unit, source in self.quantities():
            found[name] = {"value": value, "unit": unit, "source": source}
        return {**found, **table}

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
        first, *more = (
            Problem(_field(loc, data, where), value, allowed) for loc, value, allowed in wrong_fields(error)
        )
        raise ConfigError(first.field, first.value, first.allowed, more=more) from None


def _take_apart(table: Mapping[str, Any], unit: str) -> tuple[Any, str | None, tuple[Any, str] | None]:
    """Return value and source of a quantity's table, and what is wrong with it."""
    value, source = table.get("value"), table.get("source")
    if "value" not in table or set(table) - {"value", "unit", "source"}:
        return value, None, (table, "value, unit and source and nothing else")
    if table.get("unit", unit) != unit:
        return value, None, (table["unit"], f"unit {unit!r}")
    if not isinstance(source, (str, type(None))):
        return value, None, (source, "source as text")
    return value, source, None


def _is_number(value: Any) -> bool:
    """Refuse what pydantic would make a number of although nobody wrote one: text, true and false."""
    if isinstance(value, (tuple, list)):
        return all(_is_number(v) for v in cast("Sequence[Any]", value))
    return not isinstance(value, (bool, str, bytes))


def wrong_fields(error: pydantic.ValidationError) -> list[Wrong]:
    """Say in our words what pydantic found.

    Args:
        error: Its error.

    Returns:
        The wrong fields.
    """
    found = error.errors(include_url=False)
    inner = {item["loc"][:k] for item in found for k in range(len(item["loc"]))}
    # A tuple of which an entry is wrong is also called too short, whatever its length.
    return [_wrong(item) for item in found if item["type"] != "too_short" or item["loc"] not in inner]


def _wrong(item: Any) -> Wrong:
    loc, value, context = item["loc"], item["input"], item.get("ctx", {})
    match item["type"]:
        case "missing":
            return loc, None, "a value: the field is required"
        case "union_tag_not_found":
            return (*loc, context["discriminator"].strip("'")), None, "a value: the field is required"
        case "union_tag_invalid":
            return (
                (*loc, context["discriminator"].strip("'")),
                context["tag"],
                f"one of {context['expected_tags']}",
            )
        case "too_short":
            return loc, value, f"at least {context['min_length']} entries"
        case "string_too_short":
            return loc, value, f"text of at least {context['min_length']} characters"
        case "string_pattern_mismatch":
            return loc, value, "a name of letters, digits, - and _"
        case "model_type" | "model_attributes_type" | "dict_type":
            return loc, value, "a table"
        case _:
            return loc, value, item["msg"].removeprefix("Input should be ")


def _field(loc: tuple[str | int, ...], data: Any, where: str) -> str:
    """Return the dotted path of a field as the user wrote it: without the tags that pydantic puts in."""
    tags = {tag for kind in _all_kinds(Spec) for tag in kind.tags().values()}
    path: list[str] = []
    here: Any = data
    for part in loc:
        table: Mapping[Any, Any] = cast("Mapping[Any, Any]", here) if isinstance(here, Mapping) else {}
        if part == "[key]" or (part in tags and part not in table):
            continue
        path.append(str(part))
        here = table.get(part)
    return ": ".join(text for text in (where, ".".join(path)) if text) or "model"


def _all_kinds(kind: type[Spec]) -> Iterator[type[Spec]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _all_kinds(sub)
