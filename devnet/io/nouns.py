"""Nouns on disk: one file each, which stands alone.

A recording, wiring or stack holds its sheet, under names that begin with ``sheet.``; a sheet holds its model as TOML.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.random import Key
from devnet.io.tensors import Arrays, read_any, write_tensors
from devnet.sheet import Layer, Recording, Sheet, Stack, Wiring
from devnet.spec import DynamicsSpec, LearningSpec, StackSpec, build, dump_model, parse_model

Noun = Sheet | Recording | Wiring | Stack
N = TypeVar("N", Sheet, Recording, Wiring, Stack)

_SHEET = ("positions", "parent", "born", "unit_parent", "emitted", "unit_height", "dead")
_RECORDING = ("time", "cell")
_WIRING = (
    "weights",
    "initial_weights",
    "thresholds",
    "wins",
    "late_wins",
    "snapshot_steps",
    "snapshots",
)
_LAYER = ("positions", "weights", "c", "late_wins")


def save(noun: Noun, path: str | Path) -> None:
    """Save a noun as one file, atomically; an existing file is replaced.

    Args:
        noun: A sheet, recording, wiring or stack.
        path: Where; ``.safetensors`` is the usual ending.

    Raises:
        ConfigError: Not one of these nouns.
        StorageError: It could not be written.
    """
    arrays, metadata = _pack(noun)
    write_tensors(path, arrays, type(noun).__name__.lower(), metadata)


def load(path: str | Path) -> Noun:
    """Load a noun that ``save`` wrote.

    Args:
        path: The file.

    Returns:
        The sheet, recording, wiring or stack that it holds.

    Raises:
        ConfigError: There is no such file.
        StorageError: It cannot be read.
        CorruptFileError: It is damaged, holds no noun, or holds values that the noun does not allow.
    """
    kind, arrays, metadata = read_any(path)
    makers = {"sheet": _sheet, "recording": _recording, "wiring": _wiring, "stack": _stack}
    if kind not in makers:
        raise CorruptFileError(f"{path}: holds a {kind[:40]}, not a sheet, recording, wiring or stack")
    try:
        return makers[kind](arrays, metadata)
    except ConfigError as error:  # a well-formed file whose content no noun allows
        raise CorruptFileError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        RecursionError,
        ValidationError,
    ) as error:
        raise CorruptFileError(
            f"{path}: {kind}: a field is missing or of a wrong type ({error!r:.80})"
        ) from None


def load_sheet(path: str | Path) -> Sheet:
    """Load a sheet; errors as ``load``."""
    return _expect(load(path), Sheet, path)


def load_recording(path: str | Path) -> Recording:
    """Load a recording; errors as ``load``."""
    return _expect(load(path), Recording, path)


def load_wiring(path: str | Path) -> Wiring:
    """Load a wiring; errors as ``load``."""
    return _expect(load(path), Wiring, path)


def load_stack(path: str | Path) -> Stack:
    """Load a stack; errors as ``load``."""
    return _expect(load(path), Stack, path)


def _expect(noun: Noun, kind: type[N], path: str | Path) -> N:
    if not isinstance(noun, kind):
        raise CorruptFileError(
            f"{path}: holds a {type(noun).__name__.lower()}, not a {kind.__name__.lower()}"
        )
    return noun


@contextmanager
def _readable(field: str, name: str) -> Generator[None]:
    """Refuse to write what ``load`` would refuse."""
    try:
        yield
    except (ValidationError, ConfigError):
        why = "made of forms and rules that come with devnet: a file of others could not be read again"
        raise ConfigError(field, name, why) from None


def _pack(noun: Noun) -> tuple[Arrays, dict[str, Any]]:
    match noun:
        case Sheet():
            model = dump_model(noun.model)
            with _readable("model", noun.model.name or "the sheet's"):
                parse_model(model)
            metadata = {"model": model, "key": str(noun.key.value), "sweeps": int(noun.sweeps)}
            return {name: getattr(noun, name) for name in _SHEET}, metadata
        case Recording():
            names, extra = _RECORDING, {}
        case Wiring():
            names, extra = (
                _WIRING,
                {"learning": noun.learning.model_dump(mode="json"), "activity": noun.activity},
            )
        case Stack():
            names, extra = (
                (),
                {
                    "stack": noun.spec.model_dump(mode="json"),
                    "layers": list(noun.spec.layers),  # metadata keeps no order of keys
                    "activity": noun.activity,
                    "maturity": [layer.maturity for layer in noun.layers],
                },
            )
        case _:
            raise ConfigError("noun", type(noun).__name__, "a Sheet, Recording, Wiring or Stack")
    arrays, sheet = _pack(noun.sheet)
    dynamics = noun.dynamics.model_dump(mode="json")
    with _readable("noun", noun.dynamics.form):
        TypeAdapter[Any](DynamicsSpec).validate_python(dynamics)
        if isinstance(noun, Wiring):
            build(LearningSpec, noun.learning.model_dump(mode="json"), where="learning")
        elif isinstance(noun, Stack):
            build(StackSpec, noun.spec.model_dump(mode="json"), where="stack")
    metadata = extra | {
        "sheet": sheet,
        "dynamics": dynamics,
        "key": str(noun.key.value),
        "backend": noun.backend,
        "field": noun.field,
        "steps": int(noun.steps),
    }
    own = {name: getattr(noun, name) for name in names}
    if isinstance(noun, Stack):
        own = {
            f"layer{i}.{name}": getattr(layer, name)
            for i, layer in enumerate(noun.layers, 2)
            for name in _LAYER
        }
    return {f"sheet.{name}": a for name, a in arrays.items()} | own, metadata


def _sheet(arrays: Arrays, metadata: dict[str, Any], prefix: str = "") -> Sheet:
    return Sheet(
        model=parse_model(metadata["model"], where="model"),
        key=Key(_count(metadata["key"])),
        sweeps=_count(metadata["sweeps"]),
        **{name: arrays[prefix + name] for name in _SHEET if name != "dead" or prefix + name in arrays},
    )


def _common(arrays: Arrays, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what recordings and wirings share."""
    return {
        "sheet": _sheet(arrays, metadata["sheet"], "sheet."),
        "dynamics": TypeAdapter[Any](DynamicsSpec).validate_python(metadata["dynamics"]),
        "key": Key(_count(metadata["key"])),
        "backend": str(metadata["backend"]),
        "field": str(metadata["field"]),
        "steps": _count(metadata["steps"]),
    }


def _recording(arrays: Arrays, metadata: dict[str, Any]) -> Recording:
    fields: dict[str, Any] = {name: arrays[name] for name in _RECORDING}
    return Recording(**_common(arrays, metadata), **fields)


def _wiring(arrays: Arrays, metadata: dict[str, Any]) -> Wiring:
    if arrays["weights"].ndim != 2:
        raise ConfigError("Wiring.weights", arrays["weights"].shape, "an array of shape (n, M)")
    fields: dict[str, Any] = {name: arrays[name] for name in _WIRING}
    return Wiring(
        **_common(arrays, metadata),
        learning=build(LearningSpec, metadata["learning"], where="learning"),
        activity=str(metadata["activity"]),
        **fields,
    )


def _stack(arrays: Arrays, metadata: dict[str, Any]) -> Stack:
    parts = {name: metadata["stack"]["layers"][name] for name in metadata["layers"]}
    spec = build(StackSpec, metadata["stack"] | {"layers": parts}, where="stack")
    return Stack(
        **_common(arrays, metadata),
        spec=spec,
        activity=str(metadata["activity"]),
        layers=tuple(
            Layer(
                spec=part,
                maturity=float(maturity),
                **{name: arrays[f"layer{number}.{name}"] for name in _LAYER},
            )
            for number, (part, maturity) in enumerate(
                zip(spec.layers.values(), metadata["maturity"], strict=True), start=2
            )
        ),
    )


def _count(value: Any) -> int:
    """Turn a recorded number back: keys are text, since they need 64 bits and JSON readers keep 53."""
    number = int(value)
    if isinstance(value, float) or number < 0:
        raise ValueError("a whole number of at least 0")
    return number
