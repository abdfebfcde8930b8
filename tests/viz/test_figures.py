"""Figures: what is drawn is what the noun holds, in new figures and in Axes that a user hands in."""

from __future__ import annotations

import itertools
import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from devnet import viz
from devnet._core.errors import ConfigError
from devnet.viz import style
from devnet.viz._growth import clones, telling_sweeps
from devnet.viz._layers import apart
from devnet.viz._learning import times
from devnet.viz._pools import centers, neighbor_colors, spread_units, strongest
from devnet.viz._waves import ages, follow, form_name


def title(axes):
    return " ".join(text for loc in ("left", "center", "right") if (text := axes.get_title(loc)))


def clouds(axes):
    """Return the places of all dots of a panel, in the order in which they were drawn."""
    return [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, EllipseCollection)]


def fresh(count):
    figure = Figure()
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


@pytest.fixture
def path(way):
    return SimpleNamespace(**way)


# ------------------------------------------------------------------------------------------------- growth


def test_growth_shows_the_cells_and_units_that_are_there_at_each_sweep(holed):
    figure = viz.growth(holed, sweeps=[0, 5, 20, 30])
    panels = figure.axes[:4]
    for axes, sweep in zip(panels, (0, 5, 20, 30), strict=True):
        assert f"sweep {sweep}\n" in title(axes)
        np.testing.assert_array_equal(clouds(axes)[0], holed.positions[holed.born <= sweep])
        np.testing.assert_array_equal(clouds(axes)[-1], holed.unit_positions[holed.emitted <= sweep])
    assert title(panels[0]) == "sweep 0\n20 cells"
    assert title(panels[3]) == "sweep 30\n260 cells, 12 units"
    assert figure.axes[4].get_ylabel() == "birth, sweep"


def test_growth_joins_each_cell_to_its_mother(holed):
    axes = viz.growth(holed, sweeps=[30]).axes[0]
    (lines,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    ends = np.array(lines.get_segments())
    np.testing.assert_array_equal(ends[:, 0], holed.positions[holed.parent[1:]])
    np.testing.assert_array_equal(ends[:, 1], holed.positions[1:])


def test_telling_sweeps_begin_with_the_first_cell_and_end_with_the_last_sweep(holed):
    chosen = telling_sweeps(holed)
    assert chosen[0] == 0
    assert chosen[-1] == holed.sweeps
    assert list(chosen) == sorted(set(chosen))


def test_the_growth_curve_is_the_sheets(holed):
    axes = viz.growth_curve(holed, holed).axes[0]
    strong = [line for line in axes.lines if line.get_linewidth() > 1]
    np.testing.assert_array_equal(strong[0].get_ydata(), holed.growth_curve)
    assert strong[1].get_ydata()[-1] == holed.m
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sweep", "number")


def test_every_cell_descends_from_a_founder(holed):
    clone = clones(holed, 3)
    assert clone[:3].tolist() == [0, 1, 2]
    late = np.arange(3, holed.n)
    np.testing.assert_array_equal(clone[late], clone[holed.parent[late]])
    assert "first 3 cells" in title(viz.lineage(holed, founders=3).axes[0])


# ------------------------------------------------------------------------------------------------- waves


def test_frames_follow_the_bump_at_its_own_pace(bump):
    shot = follow(bump, 5)
    gaps = np.diff(shot.steps)
    assert 20 <= shot.steps[0] < shot.steps[-1] <= 99  # never before it comes or after it has gone
    assert len(set(gaps)) == 1
    assert shot.window == round(gaps[0] / 2)
    # It walks 0.16 a step and has an rms radius of about 2: it is best followed every 16 steps, and lives for 80.
    assert 8 <= gaps[0] <= 19


def test_frames_of_a_silent_recording_are_spread_over_it(bump):
    silent = type(bump)(**{**vars_of(bump), "time": np.empty(0, int), "cell": np.empty(0, int)})
    shot = follow(silent, 4)
    assert shot.steps[0] < 30
    assert shot.steps[-1] > 90
    figure = viz.wave_frames(silent, count=2)
    assert len(clouds(figure.axes[0])[1]) == 0


def vars_of(recording):
    names = ("sheet", "dynamics", "key", "backend", "field", "steps", "time", "cell")
    return {name: getattr(recording, name) for name in names}


def test_frames_keep_to_the_wave_that_travels(bump):
    """A second bump that stands still is there before; the frames are those of the one that walks."""
    still = np.flatnonzero(np.hypot(*(bump.sheet.positions - bump.sheet.positions[0]).T) < 3.0)
    late = bump.time + 600
    time = np.concatenate([np.repeat(np.arange(500), len(still)), late])
    cell = np.concatenate([np.tile(still, 500), bump.cell])
    both = type(bump)(**{**vars_of(bump), "steps": 800, "time": time, "cell": cell})
    assert follow(both, 3).steps[0] >= 620


def test_dynamics_are_called_by_form_and_by_a_name_that_tells_more(model, bump):
    assert form_name(model, "izhikevich") == "Izhikevich units (G19)"
    twice = model.replace(dynamics=model.dynamics | {"large_waves": model.dynamics["rate_map"]})
    assert form_name(twice, "large_waves") == "rate-like map, large waves"
    other = bump.dynamics.replace(noise=9.0)
    alien = type(bump)(**{**vars_of(bump), "dynamics": other})
    assert title(viz.activity(alien).axes[0]) == "rate-like map"


def test_ages_count_back_from_the_step(bump):
    age = ages(bump, 50, 4)
    for back in range(4):
        fired = bump.firing(50 - back)
        assert (age[fired] <= back).all()
    assert set(np.flatnonzero(np.isfinite(age))) == set(
        np.concatenate([bump.firing(50 - k) for k in range(4)])
    )


def test_a_frame_draws_who_fires_and_fades_who_did(bump):
    figure = viz.wave_frames(bump, steps=[21, 60], window=3)
    for axes, step in zip(figure.axes[:2], (21, 60), strict=True):
        assert title(axes) == f"step {step}"
        cloud = next(c for c in axes.collections[1:] if isinstance(c, EllipseCollection))
        places, alpha = np.asarray(cloud.get_offsets()), cloud.get_facecolor()[:, 3]
        now = {tuple(place) for place in bump.sheet.positions[bump.firing(step)]}
        assert {tuple(place) for place in places[alpha == 1.0]} == now
        age = ages(bump, step, 3)
        expected = {tuple(p): 1 - a / 3 for p, a in zip(bump.sheet.positions, age, strict=True) if a < 3}
        assert {tuple(p): a for p, a in zip(places, alpha, strict=True)} == pytest.approx(expected)


def test_activity_is_the_number_of_cells_that_fire(bump):
    axes = viz.activity(bump).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), bump.active)
    assert axes.get_ylabel() == "active cells"


def test_a_volley_of_all_cells_is_named_instead_of_flattening_the_rest(bump):
    time = np.concatenate([np.zeros(bump.sheet.n, int), bump.time])
    cell = np.concatenate([np.arange(bump.sheet.n), bump.cell])
    volley = type(bump)(**{**vars_of(bump), "time": time, "cell": cell})
    axes = viz.activity(volley).axes[0]
    assert axes.get_ylim()[1] < bump.sheet.n
    assert [text.get_text() for text in axes.texts] == [f"↑ {bump.sheet.n} cells in step 0"]


# ------------------------------------------------------------------------------------------------- pools


def test_spread_units_cover_before_they_overlap():
    fields = np.zeros((12, 4))
    fields[:6, 0] = fields[6:, 1] = fields[3:9, 2] = fields[:2, 3] = 1.0
    assert spread_units(fields, 4).tolist() == [0, 1]
    assert spread_units(fields, 1).tolist() == [0]


def test_centers_and_strongest_unit_are_read_off_the_weights(holed):
    weights = np.zeros((holed.n, 2))
    weights[3, 0] = weights[7, 1] = 2.0
    weights[7, 0] = 0.5
    np.testing.assert_allclose(centers(weights, holed)[1], holed.positions[7])
    owner, inside = strongest(weights)
    assert owner[[3, 7]].tolist() == [0, 1]
    assert inside.sum() == 2


def test_neighbors_get_different_colors():
    line = np.stack([np.arange(30.0), np.zeros(30)], axis=1)
    colors = neighbor_colors(line)
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(colors))
    assert len(np.unique(colors, axis=0)) == len(style.PATCHES)


def test_tiles_fill_the_scaffold_once(holed):
    tiles, cell = style._tiles(holed)
    areas = [0.5 * abs(np.sum(t[:-1, 0] * t[1:, 1] - t[1:, 0] * t[:-1, 1])) for t in tiles]
    assert sum(areas) == pytest.approx(holed.scaffold.area)
    assert set(cell) == set(range(holed.n))


def test_pools_stand_side_by_side_before_after_and_under_noise(wiring, noise):
    figure = viz.pools(wiring, noise, shown=6)
    assert [title(axes).split("\n")[0] for axes in figure.axes] == [
        "before",
        "after 2,000 steps of waves",
        "after 2,000 steps of noise",
    ]
    assert "100 % of 12 units" in title(figure.axes[1])
    assert "0 % of 12 units" in title(figure.axes[2])
    tiles, cell = style._tiles(wiring.sheet)
    chosen = spread_units(wiring.weights, 6)
    owner, inside = strongest(wiring.weights[:, chosen])
    (filled,) = [c for c in figure.axes[1].collections if isinstance(c, PolyCollection)]
    face = filled.get_facecolor()
    assert len(face) == len(tiles)
    gray = np.isclose(face[:, 3], 0.2)
    np.testing.assert_array_equal(gray, ~inside[cell])
    for unit in range(len(chosen)):  # a unit has one color
        mine = (owner[cell] == unit) & ~gray
        assert len(np.unique(face[mine], axis=0)) <= 1
    assert len(viz.pools(wiring).axes) == 2


def test_pools_forming_has_a_panel_for_each_time(wiring, noise):
    steps, weights = times(wiring)
    assert steps.tolist() == [0, 400, 2000]
    np.testing.assert_array_equal(weights[0], wiring.initial_weights)
    np.testing.assert_array_equal(weights[-1], wiring.weights)
    assert [title(axes) for axes in viz.pools_forming(wiring).axes] == ["step 0", "step 400", "step 2,000"]
    assert len(viz.pools_forming(noise).axes) == 2


def test_learning_curves_end_with_all_units_organized(wiring):
    left, right = viz.learning_curves(wiring).axes
    assert left.lines[0].get_ydata()[[0, -1]].tolist() == [0.0, 100.0]
    assert right.lines[0].get_ydata()[-1] < 0.5 < right.lines[0].get_ydata()[0]


def test_tiling_draws_each_chosen_units_weights(wiring):
    figure = viz.tiling(wiring, count=12, columns=5)
    drawn = clouds(figure.axes[0])
    assert len(drawn) == 12
    sizes = sorted(len(cloud) for cloud in drawn)
    share = wiring.weights / wiring.weights.max(axis=0)
    assert sizes == sorted((share > 0.02).sum(axis=0))
    assert title(figure.axes[0]) == "12 of 12 units, taken at even steps"


def test_owners_color_every_cell(wiring):
    (filled,) = viz.owners(wiring).axes[0].collections
    assert len(filled.get_facecolor()) == len(style._tiles(wiring.sheet)[0])


def test_layers_lead_from_each_unit_to_its_field(wiring):
    figure = viz.layers(wiring, shown=3)
    chosen = apart(wiring, 3)
    assert len(chosen) == 3
    fields = wiring.weights[:, chosen] >= 0.5 * wiring.weights[:, chosen].max(axis=0)
    after = [c for c in figure.axes[1].collections if isinstance(c, LineCollection)]
    assert [len(fan.get_segments()) for fan in after] == fields.sum(axis=0).tolist()
    before = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert [len(fan.get_segments()) for fan in before] == [wiring.sheet.n] * 3


def test_lines_of_a_large_field_are_thinned_out(wiring, monkeypatch):
    monkeypatch.setattr("devnet.viz._layers._MOST_LINES", 100)
    before = viz.layers(wiring, shown=1).axes[0]
    (fan,) = [c for c in before.collections if isinstance(c, LineCollection)]
    assert len(fan.get_segments()) == -(-wiring.sheet.n // 3)


def test_units_far_apart_are_chosen_even_when_none_is_organized(noise):
    assert len(set(apart(noise, 4).tolist())) == 4


# ------------------------------------------------------------------------------------------------- numbers


def test_the_readout_draws_every_seed_and_the_mean(summary):
    figure = viz.readout(summary["readout"])
    assert [axes.get_title("left") for axes in figure.axes] == ["16 pools", "36 pools"]
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in dots] == [[80 + k, 82 + k] for k in range(4)]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "grown",
        "hand-made",
        "random discs",
        "random scattered",
    ]
    assert any(list(line.get_xdata()) == [93.5, 93.5] for line in figure.axes[0].lines)


def test_the_readout_does_without_raw_pixels(summary):
    rows = [row for row in summary["readout"]["rows"] if row["kind"] != "raw"]
    figure = viz.readout({"data": "digits", "rows": rows})
    assert not figure.axes[0].get_title("right")


def test_path_curves_are_the_paths(path):
    figure = viz.path_curves(path, path, labels=["a", "b"], accuracy=[path.accuracy, path.accuracy])
    assert [axes.get_title("left") for axes in figure.axes] == [
        "test accuracy, %",
        "weights at zero, %",
        "change of outputs",
        "objective",
    ]
    for axes, values in zip(
        figure.axes, (path.accuracy, 100 * path.sparsity, path.distance, path.objective), strict=True
    ):
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), path.steps)
        np.testing.assert_allclose(axes.lines[1].get_ydata(), values)
    assert [text.get_text() for text in figure.axes[-1].get_legend().get_texts()] == ["a", "b"]


def test_accuracy_is_left_out_where_it_is_not_known(path):
    assert len(viz.path_curves(path).axes) == 3


def test_comparison_puts_fip_first_and_draws_the_differences(summary):
    entry = summary["fip"]["recover"]
    left, right = viz.comparison(entry, summary["fip"]["dense"]).axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "FIP, no labels",
        "gradual magnitude pruning",
        "damaged, before recovery",
    ]
    dots = next(line for line in right.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xdata(), entry["difference"]["values"])
    assert right.get_title("left") == "−0.75 (95 %: −1.50 to +2.50)"
    assert left.get_title("right") == "- - before: 94.5 %"


def test_a_wide_interval_lies_inside_its_panel(summary):
    entry = summary["fip"]["recover"]
    entry["difference"] |= {"low": -9.0, "high": 8.0}
    low, high = viz.comparison(entry).axes[1].get_xlim()
    assert low < -9.0 < 8.0 < high


def test_a_single_difference_has_no_interval(summary):
    entry = summary["fip"]["sparsify"]["0.95"]
    entry["difference"] = {"mean": 2.0, "low": None, "high": None, "values": [2.0]}
    _, right = viz.comparison(entry).axes
    assert right.get_title("left") == "+2.00"


def test_the_story_has_four_blocks_or_three(holed, bump, wiring, path):
    four = viz.story(holed, bump, wiring, path, path.accuracy)
    assert [text.get_text()[:1] for text in four.texts] == ["1", "2", "3", "4"]
    assert len(four.axes) == 13
    three = viz.story(holed, bump, wiring)
    assert len(three.axes) == 12
    assert title(three.axes[3]) == "260 cells, 12 units"
    words = [text.get_text() for text in viz.story(holed, bump, wiring, path).axes[12].texts]
    assert words == ["weights at zero:\n95 %"]


def test_the_story_of_a_scattered_sheet_begins_with_its_waves(scattered, bump, wiring):
    two = viz.story(scattered, bump, wiring)
    assert [text.get_text() for text in two.texts] == ["1  Waves run over a sheet", "2  Waves wire pools"]
    assert len(two.axes) == 8


# ------------------------------------------------------------------------------------------------- all of them

CASES = {
    "growth": (5, lambda n, axes: viz.growth(n.sheet, sweeps=[0, 3, 6, 9, 30], axes=axes)),
    "growth_curve": (1, lambda n, axes: viz.growth_curve(n.sheet, axes=axes)),
    "lineage": (1, lambda n, axes: viz.lineage(n.sheet, axes=axes)),
    "wave_frames": (3, lambda n, axes: viz.wave_frames(n.recording, count=3, axes=axes)),
    "activity": (1, lambda n, axes: viz.activity(n.recording, axes=axes)),
    "pools": (3, lambda n, axes: viz.pools(n.wiring, n.noise, axes=axes)),
    "pools_forming": (3, lambda n, axes: viz.pools_forming(n.wiring, axes=axes)),
    "learning_curves": (2, lambda n, axes: viz.learning_curves(n.wiring, axes=axes)),
    "tiling": (1, lambda n, axes: viz.tiling(n.wiring, axes=axes)),
    "owners": (1, lambda n, axes: viz.owners(n.wiring, axes=axes)),
    "layers": (2, lambda n, axes: viz.layers(n.wiring, axes=axes)),
    "readout": (2, lambda n, axes: viz.readout(n.summary["readout"], axes=axes)),
    "path_curves": (3, lambda n, axes: viz.path_curves(n.path, axes=axes)),
    "comparison": (2, lambda n, axes: viz.comparison(n.summary["fip"]["recover"], axes=axes)),
}


@pytest.fixture
def nouns(holed, bump, wiring, noise, summary, path):
    return SimpleNamespace(
        sheet=holed, recording=bump, wiring=wiring, noise=noise, summary=summary, path=path
    )


@pytest.mark.parametrize("name", CASES)
def test_a_figure_is_drawn_into_given_axes_and_leaves_the_settings_alone(nouns, name):
    count, draw = CASES[name]
    before = dict(mpl.rcParams)
    figure, axes = fresh(count)
    assert draw(nouns, axes[0] if count == 1 else axes) is figure
    assert len(figure.axes) == count
    assert all(place.has_data() or place.patches for place in axes)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", CASES)
def test_the_wrong_number_of_axes_is_refused(nouns, name):
    count, draw = CASES[name]
    with pytest.raises(ConfigError, match=rf"axes: .*{count} Axes"):
        draw(nouns, fresh(count + 1)[1])


def test_axes_of_no_figure_are_refused(holed):
    figure, (axes,) = fresh(1)
    axes.remove()
    with pytest.raises(ConfigError, match="Axes of a Figure"):
        viz.lineage(holed, axes=axes)
    assert not figure.axes


@pytest.mark.parametrize(
    ("field", "draw"),
    [
        ("sweeps", lambda n: viz.growth(n.sheet, sweeps=[31])),
        ("sweeps", lambda n: viz.growth(n.sheet, sweeps=[])),
        ("sheets", lambda n: viz.growth_curve()),
        ("founders", lambda n: viz.lineage(n.sheet, founders=9)),
        ("count", lambda n: viz.wave_frames(n.recording, count=0)),
        ("steps", lambda n: viz.wave_frames(n.recording, steps=[120])),
        ("window", lambda n: viz.wave_frames(n.recording, steps=[30], window=0)),
        ("shown", lambda n: viz.pools(n.wiring, shown=0)),
        ("noise", lambda n: viz.pools(n.wiring, SimpleNamespace(weights=np.ones((3, 2))))),
        ("shown", lambda n: viz.pools_forming(n.wiring, shown=0)),
        ("count", lambda n: viz.tiling(n.wiring, count=0)),
        ("columns", lambda n: viz.tiling(n.wiring, columns=0)),
        ("shown", lambda n: viz.layers(n.wiring, shown=9)),
        ("table", lambda n: viz.readout({"data": "digits", "rows": []})),
        ("paths", lambda n: viz.path_curves()),
        ("labels", lambda n: viz.path_curves(n.path, labels=["a", "b"])),
        ("show", lambda n: viz.path_curves(n.path, show=["speed"])),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(nouns, field, draw):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        draw(nouns)


def test_layers_need_units_that_have_a_place(wiring):
    other = SimpleNamespace(units=3, sheet=wiring.sheet)
    with pytest.raises(ConfigError, match=r"wiring: '3 units'.*12 layer-II units"):
        viz.layers(other)


def test_the_same_figure_gives_the_same_svg_with_ids_of_its_own(holed):
    first, second = (viz.to_svg(viz.growth(holed), name) for name in ("a", "a"))
    assert first == second
    other = viz.to_svg(viz.growth(holed), "b")
    ids = [{part.split('"')[0] for part in text.split(' id="')[1:]} for text in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert ">sweep 0<" in first.replace("\n", "")  # text stays text
    assert "data:image/png;base64," in first  # clouds of cells are pictures


def test_png_is_a_picture_of_few_colors_on_white(holed):
    import io

    from PIL import Image

    with Image.open(io.BytesIO(viz.to_png(viz.lineage(holed), dpi=50))) as picture:
        assert picture.mode == "P"
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgba(color)[:3]]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("color", [style.INK, style.MUTED, style.OURS, style.FIRE])
def test_words_stand_out_from_white(color):
    assert 1.05 / (luminance(color) + 0.05) >= 4.5


def test_pyplot_is_never_loaded():
    code = "import devnet.viz.report, sys; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
