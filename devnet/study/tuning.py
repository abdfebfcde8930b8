"""Hyper-parameters chosen on training images that are held out, equally many candidates for every method.

Seeds of tuning are others than those of reporting, and test images are not among what is handed over. What was chosen,
and every score behind it, stands in ``tuned.json`` beside the scripts; a study reads its hyper-parameters from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from devnet._core.errors import ConfigError
from devnet.data import ImageSet
from devnet.io import write_json

SEEDS = (100, 101)
"""Seeds of tuning; studies report on seeds from 0."""
T = TypeVar("T")


def held_out(images: ImageSet, count: int = 10_000) -> ImageSet:
    """Return a set whose test part is the last of the training images; its real test images are left out.

    Args:
        images: An image set.
        count: Images to hold out.

    Returns:
        The set for tuning.

    Raises:
        ConfigError: No image would be left to train on.
    """
    if not 0 < count < len(images.x_train):
        raise ConfigError("count", count, f"a number from 1 to {len(images.x_train) - 1}")
    (x, y), (x_test, y_test) = (
        (images.x_train[part], images.y_train[part]) for part in (slice(-count), slice(-count, None))
    )
    return replace(images, x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def tuned(file: str, section: str, methods: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return the chosen candidate of every method.

    Args:
        file: ``__file__`` of a script that stands beside ``tuned.json``.
        section: What they were tuned for.
        methods: Candidates by name, for each method.

    Returns:
        Candidates by method.

    Raises:
        ConfigError: Nothing was chosen for a method, or something that is no candidate of it any more.
    """
    held = _read(file).get(section, {})
    stale = [m for m, c in methods.items() if held.get(m, {}).get("chosen") not in c]
    if stale:
        raise ConfigError(f"tuned.json, {section}", stale, "methods with a choice: run _tuning.py beside it")
    return {m: c[held[m]["chosen"]] for m, c in methods.items()}


def tune(
    file: str,
    section: str,
    methods: Mapping[str, Mapping[str, T]],
    score: Callable[[str, T, int], float],
    seeds: Sequence[int] = SEEDS,
) -> None:
    """Score every candidate of every method over seeds, and keep the ones of largest mean, the first of equals.

    A method whose candidates were all scored before is passed over, so that a tuning that was stopped goes on.

    Args:
        file: ``__file__`` of a script that stands beside ``tuned.json``.
        section: What they are tuned for.
        methods: Candidates by name, for each method.
        score: Called with a method, a candidate and a seed; the more the better.
        seeds: Seeds.

    Raises:
        ConfigError: The methods do not have equally many candidates.
    """
    counts = {name: len(candidates) for name, candidates in methods.items()}
    if len(set(counts.values())) != 1:
        raise ConfigError("methods", counts, "equally many candidates for every method")
    for method, candidates in methods.items():
        scores = _read(file).get(section, {}).get(method, {}).get("scores", {})
        if set(scores) == set(candidates) and all(len(s) == len(seeds) for s in scores.values()):
            continue
        scores = {n: [round(score(method, c, seed), 3) for seed in seeds] for n, c in candidates.items()}
        chosen = max(scores, key=lambda name: float(np.mean(scores[name])))
        found = _read(file)
        found.setdefault(section, {})[method] = {"chosen": chosen, "scores": scores}
        write_json(_place(file), found)
        told = ", ".join(f"{n}: {np.mean(s):.2f} ± {np.std(s):.2f}" for n, s in scores.items())
        print(f"{section}, {method}: {chosen} ({told})", flush=True)  # noqa: T201  # a script's own output


def _place(file: str) -> Path:
    return Path(file).resolve().with_name("tuned.json")


def _read(file: str) -> dict[str, Any]:
    """Return what was chosen so far, by section and method."""
    place = _place(file)
    return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
