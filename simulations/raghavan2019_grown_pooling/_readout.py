"""What the read-out figures share: sheets, what wires them, their hand-made counterparts, images, read-outs.

All settings below were chosen on 20 000 and 10 000 images of MNIST's training part; what was changed after the test part was
first asked tells docs/decisions/0011, at its end. Lengths are in pixels of a 28x28 image unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from scipy.spatial import KDTree

from devnet._core.random import Key
from devnet.data import load_images
from devnet.growth import grow
from devnet.measure import softmax_readout
from devnet.organization import organize, replay
from devnet.organization.oriented import Profile
from devnet.sheet import Sheet, Wiring
from devnet.sheet.sampling import difference_matrix, sampling_matrix
from devnet.spec import CouplingSpec, LearningSpec, RateMapSpec, TemporalDifferenceSpec, load_model
from devnet.waves import shuffled_frames, simulate

SIZES = (49, 100, 196, 400)
SIDE = 28
"""Pixels along a side."""
MODEL = "raghavan2019_grown_pooling"
Difference = Literal["first", "second", "both"]
Order = Literal["place", "first", "second", "both"]


@dataclass(frozen=True)
class Waves:
    """The map form on which units learn motion, after a delay of eight steps.

    Attributes:
        r_i: Radius of excitation.
        r_o: Radius from which inhibition acts.
        scale: What all lengths are multiplied by.
    """

    r_i: float
    r_o: float
    scale: float = 1.0

    def spec(self, sheet: Sheet) -> RateMapSpec:
        """Return the form on a sheet: a cell acts the less on others, the more of them there are to a pixel."""
        pixel, crowd = self.scale * sheet.scaffold.area**0.5 / SIDE, sheet.n / SIDE**2
        coupling = CouplingSpec(
            r_i=self.r_i * pixel, r_o=self.r_o * pixel, a_i=5 / crowd, a_o=2 / crowd, decay=10 * pixel
        )
        return RateMapSpec(coupling=coupling, tau_v=100.0, h=3.0, h_rim=2.0)


RADII = {49: (3, 6), 100: (3, 4), 196: (3, 4), 400: (3, 4)}
LATTICE = {units: Waves(*radii) for units, radii in RADII.items()}
"""Waves on one cell a pixel."""
GROWN = {units: Waves(*radii, scale=0.85) for units, radii in RADII.items()}
"""Waves on grown sheets."""
SMOOTH = 1.25
"""On grown sheets a unit's weights spread to neighbors: standard deviation."""


@dataclass(frozen=True)
class Layout:
    """A hand-made grid.

    Attributes:
        profile: Form of its units, in pixels.
        directions: How many directions its units have.
        shift: By how many directions a row is ahead of the one before.
    """

    profile: Profile
    directions: int = 1
    shift: int = 0


def layout(
    order: Order, width: float, distance: float, elongation: float, extent: int, directions: int, shift: int
) -> Layout:
    """Return a layout; distance in widths, extent in pixels."""
    return Layout(Profile(width, order, distance * width, elongation, extent / SIDE), directions, shift)


def lattice() -> Sheet:
    """Return a declared sheet: one cell at the center of each pixel."""
    model = _square(float(SIDE))
    rows, columns = np.indices((SIDE, SIDE))
    places = np.stack([columns.ravel() + 0.5, SIDE - rows.ravel() - 0.5], axis=1)
    return Sheet.declared(model, places)


def grown(seed: int, side: float = 40.0) -> Sheet:
    """Return a sheet grown from one cell on a square: about 4400 cells, so that five or six share a pixel."""
    return grow(_square(side), rng=seed)


def _square(side: float):
    model = load_model(MODEL)
    corners = ((0.0, 0.0), (side, 0.0), (side, side), (0.0, side))
    return model.replace(
        scaffold=model.scaffold.replace(outline=corners, holes=(), seed_cell=(side / 2, side / 2))
    )


def learning(steps: int, order: Difference = "both") -> LearningSpec:
    """Return what learns motion from waves, under the name that ``waving`` gives them."""
    return LearningSpec(
        dynamics="motion",
        rule=TemporalDifferenceSpec(order=order, delay=8, eta_wins=60.0),
        steps=steps,
    )


def waving(sheet: Sheet, waves: Waves) -> Sheet:
    """Return the sheet with these waves among its model's dynamics."""
    dynamics = sheet.model.dynamics | {"motion": waves.spec(sheet)}
    return replace(sheet, model=sheet.model.replace(dynamics=dynamics))


def motion(
    sheet: Sheet, waves: Waves, units: int, steps: int, seed: int, order: Difference = "both"
) -> Wiring:
    """Let the sheet's waves wire units that learn motion."""
    return organize(waving(sheet, waves), learning(steps, order), units=units, rng=seed, field="fast")


def without_motion(sheet: Sheet, waves: Waves, units: int, steps: int, seed: int) -> Wiring:
    """Let the same frames wire units, in random order: the control."""
    recording = simulate(waving(sheet, waves), "motion", steps=steps, rng=seed)
    return replay(shuffled_frames(recording, rng=seed), learning(steps), units=units, rng=seed)


def pixel_map(sheet: Sheet, weights: np.ndarray) -> np.ndarray:
    """Return the map (pixels, units) of images that are sampled at the cells."""
    return np.asarray(sampling_matrix(sheet, (SIDE, SIDE)).T @ difference_matrix(weights))


def even_map(sheet: Sheet, weights: np.ndarray) -> np.ndarray:
    """Return the same where cells lie unevenly: each counts by its area, and weights spread to neighbors."""
    area, tree = areas(sheet)[:, None], KDTree(sheet.positions)
    sd = SMOOTH * sheet.scaffold.area**0.5 / SIDE
    spread = tree.sparse_distance_matrix(tree, 3 * sd).tocsr()
    spread.data = np.exp(-((spread.data / sd) ** 2) / 2)
    spread.setdiag(1.0)
    return np.asarray(
        sampling_matrix(sheet, (SIDE, SIDE)).T @ (area * difference_matrix(spread @ (area * weights)))
    )


def areas(sheet: Sheet, fine: int = 400) -> np.ndarray:
    """Return how much of the sheet lies nearest to each cell, its mean 1."""
    x0, y0, x1, y1 = sheet.scaffold.bounds
    along = (np.arange(fine) + 0.5) / fine
    points = np.stack(np.meshgrid(x0 + (x1 - x0) * along, y0 + (y1 - y0) * along), axis=-1).reshape(-1, 2)
    nearest = KDTree(sheet.positions).query(points[sheet.scaffold.contains(points)])[1]
    count = np.bincount(nearest, minlength=sheet.n)
    return count / count.mean()


_loaded = cache(load_images)


@dataclass(frozen=True)
class Images:
    """Flat images and their classes."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def draw(cls, name: str, train: int, test: int, key: Key) -> Images:
        """Draw so many without replacement, the training images from the training part."""
        images = _loaded(name)
        some = key.stream("train").permutation(0, len(images.x_train))[:train]
        asked = key.stream("test").permutation(0, len(images.x_test))[:test]
        flat = [part.reshape(len(part), -1) for part in (images.x_train, images.x_test)]
        return cls(flat[0][some], images.y_train[some], flat[1][asked], images.y_test[asked])

    def accuracy(self, pixels: np.ndarray | None, seed: int, *, rectified: bool, epochs: int) -> float:
        """Return what a softmax read-out tells right of the test images, in per cent; None: raw pixels."""
        train, test = self.x_train, self.x_test
        if pixels is not None:
            train, test = (part @ pixels.astype(np.float32) for part in (train, test))
        if rectified:
            train, test = np.maximum(train, 0), np.maximum(test, 0)
        return 100 * softmax_readout(train, self.y_train, test, self.y_test, epochs=epochs, rng=seed)
