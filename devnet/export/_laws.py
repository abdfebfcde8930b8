"""What the exports of a stack share: each layer's constants, taken from the stack once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from devnet.dynamics.layered import Stage, spacings
from devnet.sheet import Stack


@dataclass(frozen=True)
class LayerLaw:
    """A layer that learns no more, at its maturity.

    For a frame s of zeros and ones in which enough cells fire, some with a synapse, and which stays long enough for x to
    settle,

        z = s W / (sum s) / |W_j|;   z <- (z - mean z) / (max z - mean z);   u = H z;   u <- u / max u - c,

    and the k units of the largest u fire if it is above the threshold, of ties the lowest, or with soft competition all above
    the threshold and a share of the largest u: ``dynamics.layered`` without its own wave.

    Attributes:
        weights: (n, M), W; each unit's sum to 1.
        length: (M,), |W_j|; 1 for a unit without synapses.
        spread: (M, M), H.
        c: (M,), conscience.
        winners: k; of soft competition all units.
        share: Of the largest u, above which a unit fires; 0 where the k largest do.
        threshold: A unit fires above it.
        min_active: Cells that must fire below.
        tau_x: Steps in which a unit integrates.
    """

    weights: Float[np.ndarray, "n M"]
    length: Float[np.ndarray, " M"]
    spread: Float[np.ndarray, "M M"]
    c: Float[np.ndarray, " M"]
    winners: int
    share: float
    threshold: float
    min_active: int
    tau_x: float


def laws_of(stack: Stack) -> list[LayerLaw]:
    """Return the laws of a stack's layers, from below."""
    found: list[LayerLaw] = []
    area = stack.sheet.scaffold.area
    for layer in stack.layers:
        stage = Stage.at(layer.spec, *spacings(layer.positions, area), layer.maturity)
        length = np.sqrt((layer.weights**2).sum(axis=0))
        found.append(
            LayerLaw(
                weights=layer.weights,
                length=np.where(length > 0, length, 1.0),
                spread=stage.spread,
                c=layer.c,
                winners=stage.winners,
                share=stage.share,
                threshold=layer.spec.threshold,
                min_active=layer.spec.min_active,
                tau_x=layer.spec.tau_x,
            )
        )
    return found
