"""TOML in and out, and where the models that come with devnet lie."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import tomli_w

from devnet._core.errors import ConfigError, StorageError
from devnet._core.reading import parse_toml, read_toml
from devnet.spec._base import Spec, build
from devnet.spec._parts import ModelSpec


def catalog_root() -> Traversable:
    """Return the folder of models: inside the installed package, or beside it in a checkout.

    Returns:
        The folder.

    Raises:
        StorageError: Neither exists, so the installation is broken.
    """
    package = files("devnet")
    for root in (package / "models", Path(str(package)).parent / "models"):
        if root.is_dir():
            return root
    raise StorageError("devnet/models: no model folder in this installation; install devnet again")


def catalog() -> dict[str, Traversable]:
    """Return the models that come with devnet: name -> file.

    ``raghavan2019_grown_pooling`` names the folder's ``model.toml``, ``raghavan2019_grown_pooling/small`` its
    ``small.toml``.
    """
    found: dict[str, Traversable] = {}
    for folder in sorted(catalog_root().iterdir(), key=lambda entry: entry.name):
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".toml"):
                stem = entry.name.removesuffix(".toml")
                found[folder.name if stem == "model" else f"{folder.name}/{stem}"] = entry
    return found


def load_model(model: str | Path | ModelSpec) -> ModelSpec:
    """Return a model from its catalog name, from a TOML file, or as it is.

    Args:
        model: Catalog name, path ending in ``.toml``, or a spec.

    Returns:
        The validated model.

    Raises:
        ConfigError: Unknown name, no TOML in UTF-8, or wrong fields (all of them together).
        StorageError: The file cannot be read.
        CorruptFileError: The file is far too large.
    """
    if isinstance(model, ModelSpec):
        return model
    text = str(model)
    if isinstance(model, Path) or text.endswith(".toml"):
        if not Path(text).exists():
            raise ConfigError("model", text, "a TOML file that exists or a catalog name")
        where = Path(text).name
        return build(ModelSpec, read_toml(text, where=where), where=where)
    known = catalog()
    if text not in known:
        raise ConfigError("model", text, f"one of {', '.join(sorted(known))}, or a path ending in .toml")
    return parse_model(known[text].read_text(encoding="utf-8"), where=text)


def parse_model(source: str, *, where: str = "") -> ModelSpec:
    """Read a model from TOML text.

    Args:
        source: The text.
        where: What errors call it.

    Returns:
        The validated model.

    Raises:
        ConfigError: The text is no TOML, or fields are wrong.
    """
    return build(ModelSpec, parse_toml(source, where=where or "model"), where=where)


def dump_model(model: ModelSpec) -> str:
    """Write a fully resolved model as TOML: every number with value, unit and source.

    Args:
        model: The model.

    Returns:
        Text from which ``parse_model`` makes an equal model.
    """
    return "\n".join(_section(model, ())).strip() + "\n"


def _section(spec: Spec, path: tuple[str, ...]) -> list[str]:
    lines = ["", f"[{'.'.join(path)}]"] if path else []
    nested: list[str] = []
    for name in type(spec).model_fields:
        value: Any = getattr(spec, name)
        if isinstance(value, Spec):
            nested += _section(value, (*path, name))
        elif isinstance(value, dict):
            for key, part in value.items():  # pyright: ignore[reportUnknownVariableType]
                nested += _section(part, (*path, name, key))  # pyright: ignore[reportUnknownArgumentType]
        elif value is not None:
            text = _literal(value)
            if declared := type(spec).declared(name):
                text = f"{{ value = {text}, unit = {_literal(declared[0])}, source = {_literal(spec.source(name))} }}"
            lines.append(f"{name} = {text}")
    return lines + nested


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(v) for v in value)}]"  # pyright: ignore[reportUnknownVariableType]
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")
