"""A stack that waves have wired sees images without labels, its rules still on: what a linear read-out then tells from it."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from _images import best_readout, generator, sized, told
from _stacks import organized_stack
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.backends.layers import stepper_of
from devnet.data import load_images
from devnet.dynamics.layered import LayerState, Stage, pruned, spacings
from devnet.organization import organize_stack, simulate_stack
from devnet.sheet import Frames, Recording, Stack
from devnet.study.figure import Answer, Effort, Found, main
from devnet.viz.style import MUTED, OURS, RULE, THEIRS, WIDTH, styled

BRIGHT = 0.5
"""Pixels from it on are cells of the first sheet that fire."""
SHOWN, PAUSE = 4, 1
"""Steps for which an image is shown, and for which nothing is between images."""
ON = {"eta": (0.01, 0.01), "c_plus": 2e-3, "max_spread": 0.0}
"""While images are shown: the rate is that of an immature layer, the conscience ten times what it is for waves, and
images count however far their pixels lie apart. Chosen on held-out images (seed 200)."""
TOGETHER = 200
"""Images between two prunings: 1000 steps, as waves are learned from."""
KINDS = {
    "on": "waves, then images: who fires",
    "on_drawn": "images alone: who fires",
    "waves": "waves alone: who fires",
    "drawn": "as drawn: who fires",
    "on_sums": "waves, then images: weighted sums",
    "waves_sums": "waves alone: weighted sums",
    "bright": "first sheet: who fires",
    "pixels": "pixels",
}
"""What is read out: who fires in the layers above the first sheet, the weighted sums of layer 2, or no stack at all."""


def run(effort: Effort) -> Found:
    """Learn from images without labels with the rules of the stack; read out with few labels and many, test images once."""
    names = {"mnist": effort.pick("digits", "mnist", "mnist")}
    names["fashion"] = effort.pick("digits", "fashion-mnist", "fashion-mnist")
    rows: dict[str, list[dict[str, float]]] = {short: [] for short in names}
    spent, shown = dict.fromkeys(names, 0.0), {}
    for seed in range(effort.pick(1, 1, 3)):
        stack = wired(effort, seed)
        for short, name in names.items():
            began = perf_counter()
            row, later = accuracies(stack, name, effort, seed)
            rows[short].append(row)
            spent[short] += perf_counter() - began
            shown.setdefault(short, (stack, later))
    answers = {
        f"{short}_{kind}": Answer([row[kind] for row in found], spent[short] if kind == "few_gain" else 0.0)
        for short, found in rows.items()
        for kind in found[0]
    }
    return Found(answers, (rows, shown))


def wired(effort: Effort, seed: int) -> Stack:
    """Let waves wire the stack."""
    sides = effort.pick((24, 6, 4), (28, 20, 14), (28, 20, 14))
    mature = {"mature_after": effort.pick(400, 20_000, 160_000)}
    return organized_stack(sides, effort.pick(2000, 150_000, 1_200_000), seed, changes=mature)[0]


def accuracies(
    stack: Stack, name: str, effort: Effort, seed: int, *, on: str = "test"
) -> tuple[dict[str, float], Stack]:
    """Return the accuracy, %, of every network on one set, and the stack that learned from images.

    Args:
        stack: What waves have wired.
        name: The set.
        effort: How many images.
        seed: Draws the order of images, and weights that stay.
        on: ``"test"``, or ``"validation"`` for choosing constants.

    Returns:
        By number of labels and network, and gains of images over waves alone, in points.
    """
    key = Key(seed).child(name)
    images = load_images(name)
    many, labels, held = (
        effort.pick(400, 3000, 20_000),
        effort.pick(300, 2000, 10_000),
        effort.pick(200, 2000, 2000),
    )
    order = generator(key, "order").permutation(len(images.x_train))
    x, y = sized(images.x_train[order]), images.y_train[order]
    seen, kept = slice(0, labels), slice(len(x) - held, len(x))
    last = effort.pick(400, 2000, 10_000)
    asked = (sized(images.x_test[:last]), images.y_test[:last]) if on == "test" else (x[kept], y[kept])
    draws = generator(key, "labels")
    few = np.concatenate(
        [draws.choice(np.flatnonzero(y[seen] == c), 10, replace=False) for c in range(images.classes)]
    )
    one_hot = np.eye(images.classes)[y[seen]]

    still = [replace(layer, spec=layer.spec.replace(**ON)) for layer in stack.layers]
    waves = replace(stack, layers=tuple(still))
    later = after_images(waves, x[:many])
    drawn = as_drawn(waves, seed)
    drawn_later = after_images(drawn, x[:many])
    makers = {
        "on": lambda part: firing(later, part),
        "on_drawn": lambda part: firing(drawn_later, part),
        "waves": lambda part: firing(waves, part),
        "drawn": lambda part: firing(drawn, part),
        "on_sums": lambda part: sums(later, part),
        "waves_sums": lambda part: sums(waves, part),
        "bright": lambda part: bright(part).astype(np.float64),
        "pixels": lambda part: part.reshape(len(part), -1),
    }
    found: dict[str, float] = {}
    for kind in KINDS:
        f, f_held, f_asked = (makers[kind](part) for part in (x[seen], x[kept], asked[0]))
        for count, chosen in (("few", few), ("many", np.arange(labels))):
            weights = best_readout((f[chosen], one_hot[chosen]), (f_held, y[kept]))
            found[f"{count}_{kind}"] = 100 * float((told(f_asked, weights).argmax(axis=1) == asked[1]).mean())
    for count in ("few", "many"):
        found[f"{count}_gain"] = found[f"{count}_on"] - found[f"{count}_waves"]
    return found, later


def bright(images: np.ndarray) -> np.ndarray:
    """Return (N, cells): who fires in the first sheet."""
    return images.reshape(len(images), -1) >= BRIGHT


def frames_of(images: np.ndarray) -> Frames:
    """Return images as frames of the first sheet: each for SHOWN steps, then PAUSE empty ones."""
    number, cell = np.nonzero(bright(images))
    length = SHOWN + PAUSE
    time = (number[:, None] * length + np.arange(SHOWN)).ravel()
    by_step = np.argsort(time, kind="stable")
    return Frames.of(time[by_step], np.repeat(cell, SHOWN)[by_step], len(images) * length)


def after_images(stack: Stack, images: np.ndarray) -> Stack:
    """Return a stack after it has seen images: all layers learn at the same time, at the maturity that waves gave them."""
    stepper, area = stepper_of("numba"), stack.sheet.scaffold.area
    states = [LayerState.of(layer.weights.copy(), layer.c.copy(), layer.maturity) for layer in stack.layers]
    stages = [
        Stage.at(layer.spec, *spacings(layer.positions, area), layer.maturity) for layer in stack.layers
    ]
    for part in np.array_split(images, max(1, len(images) // TOGETHER)):
        heard = frames_of(part)
        for layer, stage, state in zip(stack.layers, stages, states, strict=True):
            heard = stepper.advance(layer.spec, stage, state, heard, learn=True)
            state.weights[:] = pruned(state.weights, layer.spec.prune)
    layers = [
        replace(layer, weights=state.weights, c=state.c)
        for layer, state in zip(stack.layers, states, strict=True)
    ]
    return replace(stack, layers=tuple(layers))


def as_drawn(stack: Stack, seed: int) -> Stack:
    """Return the stack with weights as they were drawn, without conscience, as narrow as a mature one."""
    drawn = organize_stack(stack.sheet, stack.spec, steps=1, rng=seed, learn=False)
    layers = [
        replace(layer, weights=first.weights, c=first.c)
        for layer, first in zip(stack.layers, drawn.layers, strict=True)
    ]
    return replace(stack, layers=tuple(layers))


def firing(stack: Stack, images: np.ndarray) -> np.ndarray:
    """Return (N, units of all layers): steps in which a unit fires, the pause after an image included, over SHOWN."""
    heard = frames_of(images)
    recording = Recording(
        stack.sheet,
        stack.dynamics,
        stack.key,
        stack.backend,
        stack.field,
        len(heard),
        heard.time(),
        heard.cells,
    )
    found = []
    for layer, frames in zip(stack.layers, simulate_stack(stack, recording)[1:], strict=True):
        count = np.zeros((len(images), layer.units))
        np.add.at(count, (frames.time() // (SHOWN + PAUSE), frames.cells), 1.0 / SHOWN)
        found.append(count)
    return np.hstack(found)


def sums(stack: Stack, images: np.ndarray) -> np.ndarray:
    """Return (N, units of layer 2): what a unit's weights sum over the cells that fire, as a share of these."""
    on = bright(images)
    return on / np.maximum(on.sum(axis=1, keepdims=True), 1) @ stack.weights(2)


@styled
def plot(data: Any) -> Figure:
    """Draw fields of layer 2 after waves and after images, and all accuracies, a dot a seed."""
    rows, shown = data
    figure = Figure(figsize=(WIDTH, 5.0), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.0, 1.0))
    panels = above.subplots(1, 3)
    first, _ = next(iter(shown.values()))
    _fields(panels[0], first, "layer 2 after waves")
    for axes, (short, (_, later)) in zip(panels[1:], shown.items(), strict=True):
        _fields(axes, later, f"then images of {_NAMES[short]}")
    for axes, (short, found) in zip(below.subplots(1, 2, sharey=True), rows.items(), strict=True):
        for place, kind in enumerate(reversed(KINDS)):
            color = OURS if kind in ("on", "on_sums") else THEIRS
            for count, fill in (("few", "none"), ("many", color)):
                values = [row[f"{count}_{kind}"] for row in found]
                axes.plot(
                    values, [place] * len(values), "o", color=color, markerfacecolor=fill, markersize=3.5
                )
        axes.set_yticks(range(len(KINDS)), list(reversed(KINDS.values())))
        axes.grid(axis="x", color=RULE, linewidth=0.4)
        axes.set_title(f"{_NAMES[short]}; open: 100 labels, filled: many", color=MUTED)
        axes.set_xlabel("test accuracy, %")
    return figure


_NAMES = {"mnist": "MNIST", "fashion": "Fashion-MNIST"}


def _fields(axes: Any, stack: Stack, title: str) -> None:
    """Draw the weights of every other unit of layer 2 in its place, each up to its largest."""
    weights = stack.weights(2)
    units, side = (round(n**0.5) for n in (weights.shape[1], weights.shape[0]))
    grid = (weights / weights.max(axis=0)).T.reshape(units, units, side, side)[::2, ::2]
    tiles = np.pad(grid, ((0, 0), (0, 0), (0, 2), (0, 2)), constant_values=np.nan)
    axes.imshow(tiles.transpose(0, 2, 1, 3).reshape(len(grid) * (side + 2), -1), cmap="magma")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, color=MUTED)


if __name__ == "__main__":
    main(__file__, run, plot)
