"""A stack that narrows and widens again, 20x20 -> 10x10 -> 5x5 -> 10x10 -> 20x20: what passes its waist."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from _stacks import FRESH, square_sheet
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.data import load_images
from devnet.measure import decoded, explained_share, mutual_information, redundancy
from devnet.measure.stacks import centers_of_activity
from devnet.organization import organize_stack, simulate_stack
from devnet.sheet import Frames, Stack
from devnet.spec import LayerSpec, StackSpec
from devnet.study.figure import Answer, Effort, Found, main
from devnet.waves import simulate

BINS = 6
"""Of each coordinate, for mutual information: 36 places."""


def run(effort: Effort) -> Found:
    """Wire autoencoders and two-branched codes; restore waves and images from their waists."""
    seeds = effort.pick(1, 1, 10)
    began = perf_counter()
    found, shown = [], None
    for seed in range(FRESH, FRESH + seeds):
        row, drawn = numbers(effort, seed)
        found.append(row)
        shown = shown or drawn
    spent = perf_counter() - began
    answers = {name: Answer([row[name] for row in found], 0.0) for name in found[0]}
    first = next(iter(answers))
    answers[first] = Answer(answers[first].values, spent)
    return Found(answers, shown)


def numbers(effort: Effort, seed: int) -> tuple[dict[str, float], Any]:
    """Return the numbers of one seed, and what the figure draws."""
    sides = effort.pick((16, 6, 3, 6, 16), (20, 10, 5, 10, 20), (20, 10, 5, 10, 20))
    steps, mature = effort.pick(3000, 300_000, 300_000), effort.pick(400, 40_000, 40_000)
    stack = _stack(sides, steps, mature, seed)
    waist = sides[2] ** 2
    recording = simulate(stack.sheet, "rate_map", steps=effort.pick(2000, 20_000, 20_000), rng=seed + 50)
    frames = simulate_stack(stack, recording)
    cells = _filled(frames[0], stack.sheet.n)
    waves = cells[cells.sum(axis=1) >= 8]
    images = _images(effort, sides[0])
    codes = {
        "waist": stack.weights(3, 1),
        "random": Key(seed)
        .stream("projection")
        .normal(0, stack.sheet.n * waist)
        .reshape(-1, waist)
        .astype(float),
        "branches": np.hstack(
            [_stack((sides[0], k), steps // 3, mature, seed).weights(2) for k in _branches(waist)]
        ),
    }
    row: dict[str, float] = {}
    for name, data in (("waves", waves), ("images", images)):
        fitted = data[: len(data) // 2]
        axes = np.linalg.eigh(np.cov(fitted, rowvar=False))[1][:, -waist:]
        for kind, code in (codes | {"pca": axes}).items():
            row[f"{name}_{kind}"] = explained_share(*decoded(data @ code, data, penalty=1e-6))
        top = _upright(data @ stack.weights(5, 1), data)
        row[f"{name}_own"] = _squared_correlation(top, data[len(data) // 2 :])
    row |= _positions(stack, frames, seed)
    restored = decoded(images @ codes["waist"], images, penalty=1e-6)
    kept = {name: row[f"{name}_waist"] - row[f"{name}_random"] for name in ("waves", "images")}
    row |= {f"{name}_over_random": value for name, value in kept.items()}
    return row, (stack, restored, _upright(images @ stack.weights(5, 1), images))


def _stack(sides: tuple[int, ...], steps: int, mature: int, seed: int) -> Stack:
    layers = {
        f"layer{number}": LayerSpec(units=side**2, min_active=8 if number == 2 else 2, mature_after=mature)
        for number, side in enumerate(sides[1:], start=2)
    }
    return organize_stack(
        square_sheet(sides[0]), StackSpec(dynamics="rate_map", layers=layers), steps=steps, rng=seed
    )


def _upright(top: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the second half of the rows, turned and mirrored as suits the first: maps may lie either way on a square."""
    side, half = round(top.shape[1] ** 0.5), len(top) // 2
    grid = top.reshape(-1, side, side)
    ways = [
        np.rot90(turned, quarter, axes=(1, 2)).reshape(len(top), -1)
        for turned in (grid, grid[:, ::-1])
        for quarter in range(4)
    ]
    return max(ways, key=lambda way: np.corrcoef(way[:half].ravel(), data[:half].ravel())[0, 1])[half:]


def _squared_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1] ** 2)


def _branches(waist: int) -> tuple[int, int]:
    """Return sides of a coarse and a finer branch with as many units in all as the waist: 3 and 4 for 25."""
    return {25: (3, 4), 9: (2, 2)}[waist]


def _images(effort: Effort, side: int) -> np.ndarray:
    """Return images as values at the cells: the box of 20x20 pixels that MNIST's digits fill."""
    if effort is Effort.SMOKE:
        found = load_images("digits").x_train[:400].repeat(2, axis=1).repeat(2, axis=2)
    else:
        found = load_images("mnist").x_test[:4000, 4:24, 4:24]
    return found.reshape(-1, side**2).astype(np.float64)


def _filled(frames: Frames, units: int) -> np.ndarray:
    """Return frames as rows of zeros and ones."""
    found = np.zeros((len(frames), units))
    found[frames.time(), frames.cells] = 1.0
    return found


def _positions(stack: Stack, frames: tuple[Frames, ...], seed: int) -> dict[str, float]:
    """Return how well each layer tells where the wave is, and how much it says twice."""
    center = centers_of_activity(frames[0], stack.sheet.positions, 8)
    found: dict[str, float] = {}
    for number in (2, 3, 5):
        fired = _filled(frames[number - 1], len(stack.places(number)))
        present = np.isfinite(center[:, 0]) & fired.any(axis=1)
        own = centers_of_activity(frames[number - 1], stack.places(number))[present]
        found[f"position_{number}"] = explained_share(*decoded(fired[present], center[present]))
        found[f"bits_{number}"] = mutual_information(own, center[present], bins=BINS)
        if number == 3:
            mixed = Key(seed).stream("shuffle").permutation(0, len(own))
            found["bits_shuffled"] = mutual_information(own[mixed], center[present], bins=BINS)
        found[f"redundancy_{number}"] = redundancy(fired[present])
    return found


def plot(data: Any) -> Figure:
    """Draw images, what the waist keeps of them, and the answer of the widened top."""
    stack, (restored, target), top = data
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots(3, 10)
    side = round(target.shape[1] ** 0.5)
    for row, (name, values) in zip(
        axes,
        (("image", target), (f"from {stack.layers[1].units} units", restored), ("own top layer", top)),
        strict=True,
    ):
        for panel, value in zip(row, values, strict=False):
            panel.imshow(value.reshape(side, side), cmap="gray_r", origin="upper")
            panel.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=7)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
