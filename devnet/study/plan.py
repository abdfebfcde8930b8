"""What a run will do: resolved and checked before anything is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from devnet._core.errors import ConfigError, Problem
from devnet._core.optional import require
from devnet._core.random import Key, as_key
from devnet.data import NAMES, ImageSet, load_images, where
from devnet.sheet import Scaffold
from devnet.spec import ModelSpec, load_model

_SMALL = 64
"""Images of at most so many pixels are pooled into ``units_small`` pools, larger ones into ``units_large``."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A run, resolved.

    Attributes:
        model: The model; its read-out names the image set that is used.
        key: Key of all randomness. Replicate i of stage s draws from ``key.child(s, i)``, so that results depend
            neither on the number of workers nor on which stages were run before.
        seed: The seed as the user gave it, or None where it was no whole number.
        workers: How many replicates run at a time.
    """

    model: ModelSpec
    key: Key
    seed: int | None
    workers: int

    @classmethod
    def of(cls, model: Any, rng: Any, data: str | None, workers: int | None) -> Plan:
        """Resolve and check what a user asked for.

        Args:
            model: Catalog name, path or spec.
            rng: Seed.
            data: Image set, or None for the model's.
            workers: Replicates at a time, or None for the number of cores.

        Returns:
            The plan.

        Raises:
            ConfigError: Something does not fit; nothing has been written.
        """
        spec = load_model(model)
        if data is not None:
            if data not in NAMES:
                raise ConfigError("data", data, f"one of {', '.join(NAMES)}")
            spec = spec.replace(readout=spec.readout.replace(data=data))
        if workers is not None and (isinstance(workers, bool) or workers < 1):
            raise ConfigError("workers", workers, "at least 1")
        if not spec.learning:
            raise ConfigError(
                "learning",
                "none",
                "a model with at least one [learning.NAME] table, whose pools the read-outs and paths of a run take; devnet "
                "grow and devnet stack wire a [stack] alone",
            )
        if spec.readout.data != "digits" and where(spec.readout.data) is None:
            load_images(spec.readout.data)  # raises, and says how to get it
        Scaffold.from_spec(spec.scaffold)
        refuse_units(spec, spec.growth.max_cells, "[growth] max_cells")
        for module, extra in (("torch", "torch"), ("matplotlib", "page"), ("jinja2", "page")):
            require(module, extra=extra)
        seed = rng if isinstance(rng, int) and not isinstance(rng, bool) else None
        return cls(spec, as_key(rng), seed, workers or cores())

    @property
    def seeds(self) -> range:
        """Numbers of the sheets."""
        return range(self.model.study.seeds)

    @property
    def main(self) -> str:
        """The learning that wires the pools: the model's first."""
        return next(iter(self.model.learning))

    @property
    def few(self) -> str:
        """The learning that wires given numbers of pools for the read-out."""
        return self.model.readout.learning or self.main

    @property
    def beside(self) -> tuple[str, ...]:
        """The learnings that are run once beside those and reported without a bar."""
        return tuple(name for name in self.model.learning if name not in (self.main, self.few))

    @cached_property
    def images(self) -> ImageSet:
        """The image set, loaded when a stage first needs it."""
        return load_images(self.model.readout.data)

    @cached_property
    def pool_units(self) -> tuple[int, ...]:
        """Numbers of pools that are compared; the perceptron's among them."""
        readout = self.model.readout
        return readout.units_small if self._small else readout.units_large

    @property
    def path_units(self) -> int:
        """Number of pools in front of the perceptron: the model's if it is compared, else the largest."""
        wanted = self.model.path.units
        return wanted if wanted in self.pool_units else max(self.pool_units)

    @property
    def _small(self) -> bool:
        return (
            self.model.readout.data == "digits"
            or self.images.image_shape[0] * self.images.image_shape[1] <= _SMALL
        )


def refuse_units(model: ModelSpec, cells: int, whose: str) -> None:
    """Refuse a model that asks for more units than a sheet has cells; pools of nothing would come out.

    Args:
        model: The model.
        cells: How many cells there are.
        whose: Where that number comes from.

    Raises:
        ConfigError: All counts that are too large, each with its full field.
    """
    readout = model.readout
    small = readout.data == "digits"
    counts = {f"learning.{name}.units": part.units or 0 for name, part in model.learning.items()}
    counts["readout.units_small" if small else "readout.units_large"] = max(
        readout.units_small if small else readout.units_large, default=0
    )
    counts["path.units"] = model.path.units
    wrong = [
        Problem(field, count, f"at most {cells}, {whose}") for field, count in counts.items() if count > cells
    ]
    if wrong:
        first, *more = wrong
        raise ConfigError(first.field, first.value, first.allowed, more=more)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
