"""Spectra: of weights, of a metric tensor, of activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from devnet._core.errors import ConfigError
from devnet.sheet import Recording, Wiring
from devnet.viz._waves import called
from devnet.viz.style import FIRE, MUTED, OURS, PATCHES, THEIRS, WIDTH, Panels, panels, powers, styled


class SpectrumLike(Protocol):
    """What is drawn of a metric tensor's spectrum; ``devnet.fip.Spectrum`` has it."""

    @property
    def values(self) -> Any:
        """Eigenvalues, falling."""
        ...


def effective_rank(values: Float[np.ndarray, " k"]) -> float:
    r"""Return the participation ratio :math:`(\sum \lambda)^2 / \sum \lambda^2`; 0 where all are 0."""
    square = float((values**2).sum())
    return float(values.sum()) ** 2 / square if square > 0 else 0.0


@styled
def spectrum(*spectra: SpectrumLike, labels: Sequence[str] = (), axes: Panels = None) -> Figure:
    """Draw eigenvalues of metric tensors: in how many directions of weight space the outputs move.

    Args:
        *spectra: The spectra.
        labels: Name of each; by default none.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: No spectrum, labels that do not fit, or the wrong number of Axes.
    """
    if not spectra:
        raise ConfigError("spectra", "none", "at least one spectrum")
    if len(labels) not in {0, len(spectra)}:
        raise ConfigError("labels", f"{len(labels)} labels", f"one a spectrum ({len(spectra)}), or none")
    found = [np.asarray(one.values, np.float64) for one in spectra]
    return _falling(found, labels or [""] * len(found), [OURS, *PATCHES[1:]], "eigenvalue", axes)


@styled
def weight_spectrum(wiring: Wiring, noise: Wiring | None = None, *, axes: Panels = None) -> Figure:
    r"""Draw the singular values of the weights after their mean is taken away: before, after, and under noise.

    Of W less each cell's mean over the units, squared and over their sum, so that spectra of different total weight
    compare. Unordered weights fill all directions alike; pools that overlap share few.

    Args:
        wiring: Wired by waves.
        noise: The control, or None.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: The wrong number of Axes.
    """
    shown = [("after", wiring.weights, OURS), ("before", wiring.initial_weights, THEIRS)]
    if noise is not None:
        shown.append(("after noise", noise.weights, PATCHES[1]))
    found = [_shares(weights) for _, weights, _ in shown]
    return _falling(
        found, [name for name, *_ in shown], [color for *_, color in shown], "share of variance", axes
    )


def _shares(weights: Float[np.ndarray, "n M"]) -> Float[np.ndarray, " k"]:
    rest = weights - weights.mean(axis=1, keepdims=True)
    square = np.maximum(np.linalg.eigvalsh(rest.T @ rest)[::-1], 0.0)
    return square / max(float(square.sum()), np.finfo(np.float64).tiny)


def _falling(
    found: Sequence[np.ndarray], labels: Sequence[str], colors: Sequence[str], ylabel: str, axes: Panels
) -> Figure:
    """Draw falling values against their rank, with the effective rank in words."""
    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 2.2))
    for number, (values, label) in enumerate(zip(found, labels, strict=True)):
        seen = values[values > 1e-12 * values.max(initial=0.0)]
        words = f"{label}: " if label else ""
        place.plot(
            np.arange(1, len(seen) + 1),
            seen,
            color=colors[number % len(colors)],
            label=f"{words}effective rank {effective_rank(seen):.3g}",
        )
    place.set(xscale="log", yscale="log", xlabel="rank", ylabel=ylabel)
    powers(place.xaxis)
    powers(place.yaxis)
    place.legend(loc="lower left", handlelength=1.2)
    return figure


@styled
def activity_spectrum(recording: Recording, *, axes: Panels = None) -> Figure:
    """Draw the power spectrum of the number of active cells (Welch's method, Hann windows of a quarter recording).

    Args:
        recording: Who fired when, at least 16 steps.
        axes: One Axes, or None for a new figure.

    Returns:
        The figure.

    Raises:
        ConfigError: Fewer steps, or the wrong number of Axes.
    """
    if recording.steps < 16:
        raise ConfigError("recording", f"{recording.steps} steps", "at least 16")
    from scipy import signal  # most of a second to load

    figure, (place,) = panels(axes, 1, size=(WIDTH / 2, 2.2))
    length = max(16, recording.steps // 4)
    frequency, power = signal.welch(recording.active.astype(np.float64), nperseg=length)
    seen = (frequency > 0) & (power > 0)
    place.plot(frequency[seen], power[seen], color=FIRE, linewidth=1.0)
    place.set(xscale="log", yscale="log", xlabel="frequency, 1/step", ylabel="power, cells² · step")
    powers(place.xaxis)
    powers(place.yaxis)
    place.set_title(called(recording), color=MUTED)
    return figure
