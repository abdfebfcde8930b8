"""Functionally invariant paths: what changes along them, and how their ends compare with other methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.viz._readout import dot_rows
from devnet.viz.style import INK, LINES, MUTED, OURS, RULE, WIDTH, Panels, panels, styled

METHODS: dict[str, str] = {
    "fip": "FIP, no labels",
    "magnitude": "magnitude pruning, then fine-tuning",
    "gradual": "gradual magnitude pruning",
    "finetune": "fine-tuning",
    "replay": "replay of stored images with labels",
    "naive": "fine-tuning on the new task alone",
}
"""What methods are called in pictures."""


def method_name(name: str) -> str:
    """Return what a method is called in pictures."""
    return METHODS.get(name, name)


CURVES = {
    "accuracy": ("test accuracy, %", 1.0),
    "sparsity": ("weights at zero, %", 100.0),
    "distance": ("change of outputs", 1.0),
    "objective": ("objective", 1.0),
    "weight_distance": ("change of weights", 1.0),
}
"""What can be drawn along a path: its title and what its values are multiplied by."""


@runtime_checkable
class PathLike(Protocol):
    """What is drawn of a path; ``devnet.fip.Path`` has it."""

    @property
    def steps(self) -> Int[np.ndarray, " K"]:
        """Step number of each way-point."""
        ...

    @property
    def distance(self) -> Float[np.ndarray, " K"]:
        """Mean divergence of the outputs from those at the start."""
        ...

    @property
    def objective(self) -> Float[np.ndarray, " K"]:
        """Value of the secondary goal."""
        ...

    @property
    def weight_distance(self) -> Float[np.ndarray, " K"]:
        """Distance of the weights from those at the start."""
        ...

    @property
    def sparsity(self) -> Float[np.ndarray, " K"]:
        """Share of weights that are exactly zero."""
        ...


@styled
def path_curves(
    *paths: PathLike,
    labels: Sequence[str] = (),
    accuracy: Sequence[Float[np.ndarray, " K"]] = (),
    show: Sequence[str] = ("accuracy", "sparsity", "distance", "objective"),
    axes: Panels = None,
) -> Figure:
    """Draw what changes along paths.

    Args:
        *paths: The paths.
        labels: Name of each; by default none.
        accuracy: Test accuracy at the way-points of each path, in per cent; or nothing.
        show: Which curves: some of ``accuracy``, ``sparsity``, ``distance``, ``objective`` and ``weight_distance``;
            accuracy is left out where it is not given.
        axes: One Axes a curve, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No path, labels or accuracies that do not fit, an unknown curve, or the wrong number of Axes.
    """
    if not paths:
        raise ConfigError("paths", "none", "at least one path")
    for name, given in (("labels", labels), ("accuracy", accuracy)):
        if len(given) not in {0, len(paths)}:
            raise ConfigError(name, f"{len(given)} entries", f"one a path ({len(paths)}), or none")
    curves = [name for name in show if name != "accuracy" or len(accuracy)]
    if not curves or not set(curves) <= set(CURVES):
        raise ConfigError("show", list(show), f"some of {', '.join(CURVES)}")
    figure, places = panels(axes, len(curves), size=(WIDTH, 1.75))
    for place, name in zip(places, curves, strict=True):
        title, factor = CURVES[name]
        for number, path in enumerate(paths):
            values = factor * np.asarray(accuracy[number] if name == "accuracy" else getattr(path, name))
            look = {"color": LINES[number % len(LINES)], "label": labels[number] if labels else None}
            place.plot(path.steps, values, "o-", markersize=2.5, clip_on=False, **look)
        place.set(xlabel="step", title=title, xlim=(0, None))
        place.locator_params(axis="x", nbins=5, integer=True)
        if name == "accuracy":
            _reach_down(place)
        else:
            place.set_ylim(bottom=0)
    if labels:
        places[-1].legend(loc="best", handlelength=1.2)
    return figure


def _reach_down(place: Axes) -> None:
    """Show at least ten points of accuracy, so that noise does not look like a change."""
    low, high = place.get_ylim()
    place.set_ylim(min(low, high - 10.0), high)


@styled
def comparison(
    entry: Mapping[str, Any], dense: Mapping[str, Any] | None = None, *, axes: Panels = None
) -> Figure:
    """Draw how methods end: test accuracies (a dot a seed), and the differences seed by seed to the best baseline.

    Args:
        entry: A part of ``fip`` in a summary: ``methods`` by name with ``accuracy`` (``mean``, ``sd``, ``values``),
            ``best_baseline``, ``difference`` (``mean``, ``low``, ``high``, ``values``), and ``damaged`` where
            networks were damaged before.
        dense: Accuracy of the network from which all methods start.
        axes: Two Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: The wrong number of Axes.
    """
    order = sorted(entry["methods"], key=lambda name: name != "fip")
    rows = [(method_name(name), entry["methods"][name]["accuracy"], name == "fip") for name in order]
    if "damaged" in entry:
        rows.append(("damaged, before recovery", entry["damaged"], False))
    height = 0.85 + 0.27 * len(rows)
    figure, (left, right) = panels(axes, 2, size=(WIDTH, height), width_ratios=[1.6, 1.0])
    dot_rows(left, rows)
    left.set(xlabel="test accuracy, %")
    if dense is not None:
        left.axvline(dense["mean"], color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        left.set_title(f"- - before: {dense['mean']:.1f} %", color=MUTED, loc="right")
    _differences(right, entry["difference"], method_name(entry["best_baseline"]))
    return figure


def _differences(place: Axes, difference: Mapping[str, Any], against: str) -> None:
    values = np.asarray(difference["values"], float)
    place.axvline(0, color=RULE, linewidth=0.8, zorder=0)
    place.plot(
        values, np.linspace(0.62, 1.0, len(values)), "o", color=OURS, markersize=3.2, alpha=0.55, mew=0
    )
    if difference["low"] is not None:
        place.plot([difference["low"], difference["high"]], [0.3, 0.3], color=OURS, linewidth=2)
    place.plot([difference["mean"]], [0.3], "D", color=OURS, markersize=5)
    words = f"{difference['mean']:+.2f}"
    if difference["low"] is not None:
        words += f" (95 %: {difference['low']:+.2f} to {difference['high']:+.2f})"
    place.set_title(words.replace("-", "−"), color=MUTED)
    ends = [end for end in (difference["low"], difference["high"]) if end is not None]
    reach = max(1.0, 1.15 * float(np.abs([*values, *ends]).max(initial=0.0)))
    place.set(
        xlabel=f"points, seed by seed: FIP −\n{against}", ylim=(0, 1.15), yticks=[], xlim=(-reach, reach)
    )
    place.spines["left"].set_visible(False)
