"""Every public figure draws something on a tiny noun, alone and in Axes that a user hands in, as vectors."""

from __future__ import annotations

import inspect
import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from devnet import viz
from devnet._core.errors import ConfigError
from devnet._core.random import Key
from devnet.measure import wiring_statistics
from devnet.sheet import Layer, Stack
from devnet.spec import LayerSpec, PairSTDPSpec, StackSpec, TemporalDifferenceSpec
from devnet.viz._fields import neighbors
from devnet.viz._plane import plane
from devnet.viz._pools import strongest
from devnet.viz.scene import levels

GALLERY = {
    "activity": (1, lambda n: (viz.activity, n.bump)),
    "activity_spectrum": (1, lambda n: (viz.activity_spectrum, n.bump)),
    "comparison": (2, lambda n: (viz.comparison, n.summary["fip"]["recover"])),
    "fields": (1, lambda n: (viz.fields, n.wiring)),
    "growth": (4, lambda n: (viz.growth, n.sheet)),
    "growth_curve": (1, lambda n: (viz.growth_curve, n.sheet)),
    "initiation_map": (1, lambda n: (viz.initiation_map, n.bump)),
    "layers": (2, lambda n: (viz.layers, n.wiring)),
    "learning_curves": (2, lambda n: (viz.learning_curves, n.wiring)),
    "lineage": (1, lambda n: (viz.lineage, n.sheet)),
    "owners": (1, lambda n: (viz.owners, n.wiring)),
    "path_curves": (3, lambda n: (viz.path_curves, n.path)),
    "path_plane": (1, lambda n: (viz.path_plane, n.path)),
    "plot": (0, lambda n: (viz.plot, n.sheet)),
    "pools": (2, lambda n: (viz.pools, n.wiring)),
    "pools_forming": (3, lambda n: (viz.pools_forming, n.wiring)),
    "readout": (2, lambda n: (viz.readout, n.summary["readout"])),
    "space_time": (1, lambda n: (viz.space_time, n.bump)),
    "spectrum": (1, lambda n: (viz.spectrum, SimpleNamespace(values=np.array([4.0, 2.0, 1.0])))),
    "stack": (1, lambda n: (viz.stack, n.stack)),
    "story": (0, lambda n: (viz.story, n.sheet, n.bump, n.wiring, n.path, n.path.accuracy)),
    "tiling": (1, lambda n: (viz.tiling, n.wiring)),
    "topography": (2, lambda n: (viz.topography, n.wiring)),
    "wave_frames": (6, lambda n: (viz.wave_frames, n.bump)),
    "weight_spectrum": (1, lambda n: (viz.weight_spectrum, n.wiring)),
    "weights_over_time": (2, lambda n: (viz.weights_over_time, n.wiring)),
    "window": (2, lambda n: (viz.window, PairSTDPSpec())),
}
"""Each function: how many Axes it takes, and what it is called with."""


@pytest.fixture
def nouns(holed, bump, wiring, stack, summary, way):
    deltas = np.array([[0.0, 0, 0, 0], [1.0, 0.5, 0, 0], [2.0, 0, 0, 0]])
    path = SimpleNamespace(**(way | {"deltas": deltas}))
    return SimpleNamespace(sheet=holed, bump=bump, wiring=wiring, stack=stack, summary=summary, path=path)


def ink(figure):
    """Return which share of a drawn figure's pixels is not its ground."""
    with Image.open(io.BytesIO(viz.to_png(figure, dpi=60))) as picture:
        pixels = np.asarray(picture.convert("L"))
    return float((pixels < 230).mean())


def test_the_gallery_holds_every_public_figure():
    public = {
        name
        for name, value in vars(viz).items()
        if inspect.isfunction(value) and inspect.signature(value).return_annotation in ("Figure", Figure)
    }
    assert public == set(GALLERY)


@pytest.mark.parametrize("name", GALLERY)
def test_a_figure_is_not_blank(name, nouns):
    draw, *given = GALLERY[name][1](nouns)
    assert ink(draw(*given)) > 0.01


@pytest.mark.parametrize("name", [name for name, (panels, _) in GALLERY.items() if panels])
def test_a_figure_draws_in_given_axes_and_nowhere_else(name, nouns):
    panels, call = GALLERY[name]
    draw, *given = call(nouns)
    figure = Figure(figsize=(3 * panels, 3))
    places = list(figure.subplots(1, panels, squeeze=False)[0])
    before = ink(Figure(figsize=(3 * panels, 3)))
    assert draw(*given, axes=places) is figure
    assert figure.axes == places
    assert ink(figure) > before + 0.003
    with pytest.raises(ConfigError, match="axes"):
        draw(*given, axes=[*places, *places])


def test_a_wave_that_walks_is_a_band_that_walks(bump):
    image = viz.space_time(bump).axes[0].images[0].get_array()
    height = np.arange(len(image))[:, None]
    firing = image.sum(axis=0) > 0
    assert firing[20:100].all()
    assert not firing[:20].any()
    middle = (height * image).sum(axis=0)[firing] / image.sum(axis=0)[firing]
    place = bump.sheet.positions[bump.cell, 0]
    mean = [place[bump.time == step].mean() for step in range(20, 100)]
    assert np.corrcoef(middle, mean)[0, 1] > 0.98


def test_a_sheet_that_is_nearly_silent_is_drawn_on_its_own_scale(bump):
    lone = replace(bump, time=np.array([7]), cell=np.array([3]))
    (drawn,) = viz.space_time(lone).axes[0].images
    assert drawn.get_clim() == (0, drawn.get_array().max())


def test_a_wave_starts_where_it_first_fires(bump):
    axes = viz.initiation_map(bump).axes[0]
    (start,) = np.asarray(axes.collections[-1].get_offsets())
    np.testing.assert_allclose(start, bump.sheet.positions[bump.firing(20)].mean(axis=0))
    assert next(text.get_text() for text in axes.texts) == "1"


def test_a_field_is_drawn_around_its_pool(wiring):
    axes = viz.fields(wiring).axes[0]
    outlines = np.asarray(axes.collections[1].get_offsets())
    mothers = wiring.sheet.positions[::20][:12]
    assert np.hypot(*(outlines[:, None] - mothers[None]).transpose(2, 0, 1)).min(axis=1).max() < 1.5


def test_the_grid_joins_only_near_neighbors():
    lattice = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), axis=2).reshape(-1, 2)
    edges = neighbors(lattice)
    assert np.hypot(*(lattice[edges[:, 0]] - lattice[edges[:, 1]]).T).max() < 1.5
    assert {(0, 1), (0, 5)} <= set(map(tuple, edges.tolist()))


@pytest.fixture(scope="module")
def stack(holed, bump):
    """Return a stack whose lower layer is a clean map and whose upper one is mixed up."""
    places = holed.positions[::8]
    near = np.exp(-0.5 * (np.hypot(*(holed.positions[:, None] - places).transpose(2, 0, 1)) / 1.5) ** 2)
    mixed = Key(1).stream("mixed").uniform(0, len(places) * 9).reshape(-1, 9)
    layers = {"two": LayerSpec(units=len(places)), "three": LayerSpec(units=9)}
    wins = (np.ones(len(places), int), np.ones(9, int))
    made = [
        Layer(spec, at, w / w.sum(axis=0), np.zeros(spec.units), 1.0, won)
        for spec, at, w, won in zip(layers.values(), (places, places[:9]), (near, mixed), wins, strict=True)
    ]
    spec = StackSpec(dynamics="rate_map", steps=10, layers=layers)
    return Stack(holed, spec, bump.dynamics, Key(0), "declared", "exact", "waves", 10, tuple(made))


def test_pictures_of_signed_weights_count_as_the_measures_do(wiring):
    signs = np.where(np.arange(wiring.units) % 2, 1.0, -1.0)
    learning = wiring.learning.replace(rule=TemporalDifferenceSpec())
    signed = replace(wiring, learning=learning, weights=wiring.weights * signs)
    share = round(wiring_statistics(signed).organized * wiring.units)
    assert f"fields of the {share} organized" in viz.fields(signed).axes[0].get_title()
    for look in (strongest, levels):
        np.testing.assert_array_equal(look(signed.weights), look(wiring.weights))
    radii = [viz.learning_curves(w).axes[1].lines[0].get_ydata() for w in (signed, wiring)]
    np.testing.assert_array_equal(*radii)
    seen = [[len(c.get_offsets()) for c in viz.tiling(w).axes[0].collections] for w in (signed, wiring)]
    assert seen[0] == seen[1]
    assert viz.weights_over_time(signed, unit=0).axes[0].get_ylim()[0] < -0.9


def test_radii_over_learning_are_those_of_the_table_on_a_sphere(wiring):
    model = wiring.sheet.model
    sphere = model.replace(scaffold=model.scaffold.replace(sphere_radius=23.0))
    round_ = replace(wiring, sheet=replace(wiring.sheet, model=sphere))
    (line, *_) = viz.learning_curves(round_).axes[1].lines
    assert line.get_ydata()[-1] == pytest.approx(wiring_statistics(round_).radius_ratio)


def lengths(axes):
    """Return how long the drawn connections of neighbors are on average."""
    (lines,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    return np.mean([np.hypot(*np.diff(line, axis=0)[0]) for line in lines.get_segments()])


def test_an_orderly_map_keeps_its_grid(stack):
    left, right = viz.topography(stack, layer=2).axes
    assert lengths(right) < 1.3 * lengths(left)
    assert "layer 2" in left.get_title()
    np.testing.assert_allclose(
        viz.plot(stack).axes[0].collections[1].get_offsets(), stack.layers[1].positions, atol=1e-9
    )


def test_lines_lead_from_the_top_of_a_stack_to_the_sheet(stack):
    axes = viz.stack(stack, shown=2).axes[0]
    assert [text.get_text() for text in axes.texts] == ["layer 1", "layer 2", "layer 3"]
    fans = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert len(fans) == 4  # two units, two steps down
    top, middle = fans[:2], fans[2:]
    reached = {tuple(line[1]) for fan in top for line in fan.get_segments()}
    assert reached == {tuple(line[0]) for fan in middle for line in fan.get_segments()}
    assert min(line[1][1] for line in middle[0].get_segments()) < min(y for _, y in reached)
    lower = viz.stack(stack, layer=2).axes[0]
    assert [text.get_text() for text in lower.texts] == ["layer 1", "layer 2"]
    with pytest.raises(ConfigError, match="shown"):
        viz.stack(stack, shown=9)
    with pytest.raises(ConfigError, match="number"):
        viz.stack(stack, layer=4)


@pytest.mark.parametrize("layer", [1, 4])
def test_a_layer_that_is_not_there_has_no_map(stack, layer):
    with pytest.raises(ConfigError, match="layer"):
        viz.topography(stack, layer=layer)


def test_a_path_in_a_plane_keeps_its_distances():
    turn, _ = np.linalg.qr(np.array([[1.0, 2, 0], [0, 1, 1], [3, 0, 1]]))
    flat = np.array([[0.0, 0, 0], [3, 0, 0], [3, 4, 0]])
    (placed,), share = plane([flat @ turn.T])
    distance = np.hypot(*(placed[:, None] - placed[None]).transpose(2, 0, 1))
    np.testing.assert_allclose(distance, np.linalg.norm(flat[:, None] - flat[None], axis=2), atol=1e-9)
    assert share.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(placed[0], 0.0, atol=1e-12)


def test_paths_of_different_networks_are_refused(nouns):
    other = SimpleNamespace(**(vars(nouns.path) | {"deltas": np.zeros((3, 5))}))
    with pytest.raises(ConfigError, match="same network"):
        viz.path_plane(nouns.path, other)


def test_weights_of_the_cells_that_stay_are_drawn_strong(wiring):
    left, right = viz.weights_over_time(wiring, unit=3).axes
    assert "unit 3: " in left.get_title(loc="left")
    ours = [line for line in left.lines if line.get_color() == viz.style.OURS]
    assert len(ours) == int(left.get_title(loc="left").split()[2])
    assert all(line.get_ydata()[-1] >= 0.5 * wiring.weights[:, 3].max() for line in ours)
    assert len(right.lines) == 1


def test_noise_needs_more_directions_than_pools(wiring, noise):
    legend = viz.weight_spectrum(wiring, noise).axes[0].get_legend()
    ranks = {t.get_text().split(":")[0]: float(t.get_text().split()[-1]) for t in legend.get_texts()}
    assert set(ranks) == {"after", "before", "after noise"}


def test_any_noun_is_plotted_and_anything_else_refused(holed, bump, wiring, nouns):
    for noun in (holed, bump, wiring, nouns.path):
        assert ink(viz.plot(noun)) > 0.01
    with pytest.raises(ConfigError, match=r"noun: 'int'"):
        viz.plot(3)


def test_nouns_show_themselves_in_notebooks_as_escaped_text(holed, bump, wiring, model):
    from dataclasses import replace

    evil = replace(holed, model=model.replace(name="<script>alert(1)</script>"))
    for noun in (evil, bump, wiring):
        text = noun._repr_html_()
        assert text.startswith("<table>")
        assert "<script" not in text
    assert "&lt;script&gt;" in evil._repr_html_()
    assert "260" in evil._repr_html_()
