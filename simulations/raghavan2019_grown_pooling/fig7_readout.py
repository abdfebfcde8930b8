"""Read-out on MNIST through self-organized, hand-made and random pools, by the published protocol and by a modern one."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from _readout import SIDE, SIZES, Images, grown, pixel_map
from matplotlib.figure import Figure

from devnet._core.random import Key
from devnet.measure import paired_difference, published_readout, z_scored
from devnet.organization import organize
from devnet.organization.controls import hand_made, random_discs, random_scattered
from devnet.organization.oriented import Profile, oriented_grid
from devnet.sheet import Sheet
from devnet.sheet.sampling import receptive_fields, sampling_matrix
from devnet.spec import CouplingSpec, HebbianWTASpec, LearningSpec, RateMapSpec
from devnet.study.claims import Answer
from devnet.study.figure import Effort, Found, main
from devnet.viz.style import INK, OURS, RULE, THEIRS, WIDTH, styled

CELLS_SIDE = 20.0
"""Side of the square on which a sheet grows: about 1400 cells; published are 1500."""
RADIUS = {49: 7.0, 100: 6.0, 196: 5.0, 400: 5.0}
"""r_o in mean spacings: fewer units need larger pools. Like the rim of the waves, which in the authors' learning program
too is more refractory than the center, chosen among 5 to 8 settings on validation images of one sheet."""
RULE_OF_POOLS = HebbianWTASpec(
    eta=0.05, factor="drive", norm="sum", weight=1, c_mean=0, c_sd=0, c_plus=0.1, c_rise="constant", c_decay=0.05,
    recruit_every=0, min_active=12, max_spread=1.0,
)  # fmt: skip
TUNED = {49: (1.4, 24), 100: (1.3, 24), 196: (1.1, 28), 400: (0.8, 24)}
"""Width and extent in pixels of the hand-made Gaussian grid, chosen among 9 on validation images."""
KINDS = {
    "grown": "self-organized",
    "hand_made": "hand-made, same size",
    "tuned": "hand-made, tuned",
    "discs": "random discs",
    "scattered": "random, scattered",
}


@dataclass(frozen=True)
class Budget:
    """How much is run: replicates, steps of waves, and images (train, test) of either protocol."""

    sizes: tuple[int, ...]
    seeds: int
    steps: int
    published: tuple[int, int]
    modern: tuple[int, int]
    modern_seeds: int
    epochs: int


BUDGETS = {
    Effort.SMOKE: Budget((49,), 2, 1_500, (500, 200), (500, 200), 1, 1),
    Effort.QUICK: Budget(SIZES, 3, 30_000, (4_000, 1_000), (4_000, 1_000), 1, 5),
    Effort.FULL: Budget(SIZES, 11, 30_000, (10_000, 1_000), (60_000, 10_000), 11, 10),
}


def pools(sheet: Sheet, units: int, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Return weights of pools of every kind, at equal number; all but the tuned ones at equal mean size."""
    coupling = CouplingSpec(r_i=4, r_o=RADIUS[units], a_i=5, a_o=2, decay=10, length_unit="spacing")
    waves = RateMapSpec(coupling=coupling, tau_v=100, h_rim=2)
    learning = LearningSpec(dynamics="rate_map", rule=RULE_OF_POOLS, steps=steps)
    model = sheet.model
    waving = model.replace(dynamics=model.dynamics | {"rate_map": waves})
    wired = organize(_with(sheet, waving), learning, units=units, rng=seed).weights
    size = max(1.0, float(receptive_fields(wired).sum(axis=0).mean()))
    width, extent = TUNED[units]
    pixel = CELLS_SIDE / SIDE
    return {
        "grown": wired,
        "hand_made": hand_made(sheet, units, size),
        "tuned": oriented_grid(sheet, units, Profile(width * pixel, "place", extent=extent / SIDE)),
        "discs": random_discs(sheet, units, size, rng=seed),
        "scattered": random_scattered(sheet, units, size, rng=seed),
    }


def _with(sheet: Sheet, model) -> Sheet:
    return Sheet(**{name: getattr(sheet, name) for name in sheet.__dataclass_fields__} | {"model": model})


def published(images: Images, sheet: Sheet, weights: dict[str, np.ndarray]) -> dict[str, float]:
    """Return accuracies in per cent by G19's protocol: values at the cells, z-scored per image, pooled, squashed."""
    sampler = sampling_matrix(sheet, (SIDE, SIDE))
    train, test = (z_scored(np.asarray((sampler @ x.T).T)) for x in (images.x_train, images.x_test))
    return {
        name: 100 * published_readout(train @ w, images.y_train, test @ w, images.y_test)
        for name, w in weights.items()
    }


def modern(
    images: Images, sheet: Sheet, weights: dict[str, np.ndarray], seed: int, epochs: int
) -> dict[str, float]:
    """Return accuracies in per cent of a softmax read-out of pools of pixels."""
    return {
        name: images.accuracy(pixel_map(sheet, w), seed, rectified=False, epochs=epochs)
        for name, w in weights.items()
    }


def raw(few: Images, many: Images | None, seed: int, epochs: int) -> dict[str, float]:
    """Return accuracies in per cent on raw pixels, by protocol."""
    parts = [(z_scored(x), y) for x, y in ((few.x_train, few.y_train), (few.x_test, few.y_test))]
    found = {"published": 100 * published_readout(*parts[0], *parts[1])}
    if many is not None:
        found["modern"] = many.accuracy(None, seed, rectified=False, epochs=epochs)
    return found


def measure(budget: Budget) -> dict:
    """Return accuracies by (protocol, kind, units), one a seed."""
    accuracy: dict[tuple[str, str, int], list[float]] = {}
    for seed in range(budget.seeds):
        sheet, key = grown(seed, CELLS_SIDE), Key(seed)
        few = Images.draw("mnist", *budget.published, key)
        many = Images.draw("mnist", *budget.modern, key) if seed < budget.modern_seeds else None
        pixels = raw(few, many, seed, budget.epochs)
        for units in budget.sizes:
            weights = pools(sheet, units, budget.steps, seed)
            found = {"published": published(few, sheet, weights)}
            if many is not None:
                found["modern"] = modern(many, sheet, weights, seed, budget.epochs)
            for protocol, values in found.items():
                for kind, value in (values | {"raw": pixels[protocol]}).items():
                    accuracy.setdefault((protocol, kind, units), []).append(value)
    return {"accuracy": accuracy, "budget": budget}


def run(effort: Effort) -> Found:
    """Grow sheets, let waves wire pools, and read all kinds of pools out."""
    began = perf_counter()
    data = measure(BUDGETS[effort])
    seconds = perf_counter() - began
    accuracy, answers = data["accuracy"], {}
    for units in SIZES:
        held = units if units in data["budget"].sizes else data["budget"].sizes[0]
        ours = np.array(accuracy["published", "grown", held])
        for other in ("scattered", "discs", "hand_made", "tuned"):
            theirs = np.array(accuracy["published", other, held])
            answers[f"{other}_{units}"] = Answer((ours - theirs).tolist(), seconds)
    answers["accuracy_400"] = Answer(accuracy["published", "grown", data["budget"].sizes[-1]], seconds)
    return Found(answers, data)


@styled
def plot(data: dict) -> Figure:
    """Draw accuracies, a dot a replicate: the published protocol above, the modern one below."""
    sizes, accuracy = data["budget"].sizes, data["accuracy"]
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    places = figure.subplots(2, len(sizes), sharey=True, squeeze=False)
    titles = {"published": "published", "modern": "softmax"}
    for line, (protocol, title) in zip(places, titles.items(), strict=True):
        for place, units in zip(line, sizes, strict=True):
            for row, kind in enumerate(KINDS):
                values = np.array(accuracy[protocol, kind, units])
                color = OURS if kind == "grown" else THEIRS
                spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
                place.axhline(row, color=RULE, linewidth=0.5, zorder=0)
                place.plot(values, row + spread, "o", color=color, markersize=2.6, alpha=0.6, mew=0)
                place.plot([values.mean()] * 2, [row - 0.33, row + 0.33], color=color, linewidth=1.8)
            raw = np.mean(accuracy[protocol, "raw", units])
            place.axvline(raw, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
            place.set_title(f"{title}, {units} pools")
            place.spines["left"].set_visible(False)
            place.tick_params(axis="y", length=0, labelcolor=INK)
            place.locator_params(axis="x", nbins=4)
        line[0].set(yticks=range(len(KINDS)), yticklabels=list(KINDS.values()), ylim=(len(KINDS) - 0.4, -0.6))
    for place in places[1]:
        place.set_xlabel("test accuracy, %\n(dashed: raw pixels)", fontsize=7)
    for place, units in zip(places[0], sizes, strict=True):
        told = paired_difference(*(accuracy["published", kind, units] for kind in ("grown", "scattered")))
        difference = f"{told.mean:+.1f} [{told.low:+.1f}, {told.high:+.1f}]"
        place.set_xlabel(f"self-organized − scattered\n{difference}", fontsize=7)
    return figure


if __name__ == "__main__":
    main(__file__, run, plot)
