"""Draws docs/images/fip.png: plain training and a functionally invariant path on a second task, from one network.

.venv/bin/python docs/pictures/fip.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

import devnet as dn
from devnet.data import load_images
from devnet.fip import Adam, Euclidean, NewTask, PenalizedGradient, Problem, StopWhen
from devnet.io.writer import write_bytes
from devnet.study.workers import one_thread
from devnet.tasks import accuracy, train_classifier
from devnet.tasks.models import build
from devnet.viz._files import to_png
from devnet.viz.style import INK, MUTED, OURS, PATCHES, WIDTH, ramp, styled

STEPS, STORED = 600, 200
WAYS = {"plain training": (1e7, PATCHES[3]), "FIP": (10.0, OURS)}
"""Penalty on the new task's loss (Adam takes no notice of scale: 10 million leaves nothing else), and color."""


def walked() -> dict:
    """Train a network on digits, teach it turned digits in both ways, and lay a plane through both ends."""
    digits = load_images("digits")
    x, y = digits.x_train, digits.y_train
    turned, test = (np.rot90(images, axes=(1, 2)).copy() for images in (x, digits.x_test))
    dense = train_classifier(build("mlp:64-100-10", (8, 8), 10, rng=0), x, y, steps=1500, rate=6e-3, rng=0)
    paths, curves = {}, {}
    for name, (penalty, _) in WAYS.items():
        path = dn.traverse(
            dense,
            Problem(
                x[:STORED],
                NewTask(turned, y),
                metric=Euclidean(),
                direction=PenalizedGradient(64, penalty=penalty),
                step=Adam(6e-3),
                stop=StopWhen(STEPS),
                keep=31,
            ),
            rng=0,
        )
        nets = [path.module(i) for i in range(len(path))]
        paths[name] = path
        curves[name] = {
            "old digits, test accuracy, %": [100 * accuracy(n, digits.x_test, digits.y_test) for n in nets],
            "turned digits, test accuracy, %": [100 * accuracy(n, test, digits.y_test) for n in nets],
        }
    ends = np.stack([path.deltas[-1] for path in paths.values()]).astype(np.float64)
    axes = np.linalg.qr(ends.T)[0].T
    axes *= np.sign((axes * ends).sum(1, keepdims=True))
    places = {name: path.deltas @ axes.T for name, path in paths.items()}
    return {"curves": curves, "places": places, "steps": path.steps} | _landscape(
        dense, axes, places, x, turned, y
    )


def _landscape(dense: nn.Module, axes, places, x, turned, y) -> dict:
    """Return functional distance and new loss on a grid of the plane."""
    points = np.concatenate(list(places.values()))
    low, high = points.min(0), points.max(0)
    room = 0.18 * (high - low).max()
    u, v = (np.linspace(low[i] - room, high[i] + room, 45) for i in (0, 1))
    home = nn.utils.parameters_to_vector(dense.parameters()).detach()
    old, new = torch.from_numpy(x[:STORED].copy()), torch.from_numpy(turned[:STORED])
    live, labels = build("mlp:64-100-10", (8, 8), 10, rng=0), torch.from_numpy(y[:STORED].copy())
    distance, loss = np.empty((2, len(v), len(u)))
    with torch.no_grad():
        reference = dense(old)
        for i, b in enumerate(v):
            for j, a in enumerate(u):
                moved = home + torch.from_numpy(a * axes[0] + b * axes[1]).to(home)
                nn.utils.vector_to_parameters(moved, live.parameters())
                distance[i, j] = Euclidean().divergence(live(old), reference).mean()
                loss[i, j] = nn.functional.cross_entropy(live(new), labels)
    return {"u": u, "v": v, "distance": distance, "loss": loss}


@styled
def drawn(data: dict) -> Figure:
    """Draw the plane, and beside it what happens along both paths."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    place, *right = figure.subplot_mosaic("AAB;AAC", width_ratios=[1, 1, 1.1]).values()
    levels = np.geomspace(0.1, 100, 10)
    shown = np.clip(data["distance"], levels[0], levels[-1])
    filled = place.contourf(data["u"], data["v"], shown, levels, cmap=ramp("cividis", 0.25, 1.0), norm="log")
    bar = figure.colorbar(filled, ax=place, ticks=[0.1, 1, 10, 100], pad=0.02, aspect=26)
    bar.set_label("functional distance")
    bar.ax.set_yticklabels(["≤ 0.1", "1", "10", "≥ 100"])
    lines = place.contour(
        data["u"], data["v"], data["loss"], [0.3, 1, 3], colors=INK, linewidths=0.6, linestyles="--"
    )
    place.clabel(lines, fmt=lambda value: f"loss {value:g}", fontsize=6)
    for name, (_, color) in WAYS.items():
        points = data["places"][name]
        place.plot(*points[[0, -1]].T, color=color, linewidth=0.8, linestyle=":")
        place.plot(*points.T, ".-", color=color, markersize=3, linewidth=1.4)
        place.plot(*points[-1], "D", color=color, markersize=5)
    place.plot(0, 0, "s", color=INK, markersize=6, markerfacecolor="white")
    place.set(
        xlabel="towards the end of plain training",
        ylabel="at right angles to it",
        title="plane of weight space",
    )
    for panel, title in zip(right, data["curves"]["FIP"], strict=True):
        for name, (_, color) in WAYS.items():
            panel.plot(data["steps"], data["curves"][name][title], color=color, linewidth=1.4, label=name)
        panel.set(ylim=(0, 100), title=title, xlim=(0, STEPS))
    right[0].legend(loc="lower left")
    right[0].tick_params(labelbottom=False)
    right[1].set_xlabel("step")
    right[1].axhline(10, color=MUTED, linewidth=0.6, linestyle=":")
    return figure


if __name__ == "__main__":
    out = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "images" / "fip.png"
    with one_thread():
        write_bytes(out, to_png(drawn(walked())))
