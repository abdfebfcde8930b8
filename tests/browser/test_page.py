"""The page of a run, opened from disk in a real browser."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from devnet._core.random import Key
from devnet.sheet import Recording, Sheet, Wiring

pytestmark = pytest.mark.browser

FRAME = 8.0
"""Milliseconds of JavaScript of a frame."""
NOUNS = ("grow", "simulate", "organize")
BEGIN = {"growth": 0, "waves": 1000, "pools": 2000, "end": 3000}


@pytest.fixture
def opened(tab, page):
    tab.open(page.as_uri())
    return tab


def field(wiring, unit, share=0.5):
    weight = wiring.weights[:, unit]
    return set(np.flatnonzero(weight >= share * weight.max()).tolist())


def seen(tab, kind, count):
    """Return one of the given kind that lies free under its own place on the screen, and that place."""
    found = tab.ask(
        f"""(() => {{ const s = devnet.scene; const box = s.canvas.getBoundingClientRect();
        for (let i = 0; i < {count}; i++) {{ const [x, y] = s.screen('{kind}', i); const p = s.pick(x, y);
          if (p && p.kind === '{kind}' && p.id === i) return [i, box.x + x, box.y + y]; }} }})()"""
    )
    assert found, f"no {kind} can be pointed at"
    return found


def lit(tab):
    cells, units = tab.ask("[devnet.story.lit.cells, devnet.story.lit.units]")
    return set(cells), set(units)


def test_the_page_loads_from_disk_without_a_request_to_anywhere(tab, page):
    tab.context.set_offline(True)
    tab.open(page.as_uri())
    tab.settled()
    assert tab.requests == [page.as_uri()]
    assert tab.complaints == []


def test_the_scene_draws_and_changes_with_time(opened):
    shots = {}
    for name, value in (("start", 120), ("grown", 900), ("wave", 1400), ("mixed", 2000), ("pools", 3000)):
        opened.slide("time", value)
        shots[name] = opened.shot(f"page-{name}")
    for name, pixels in shots.items():
        bright = (pixels.max(axis=2) > 90).mean()
        assert 0.0005 < bright < 0.9, name
    names = list(shots)
    for before, after in itertools.pairwise(names):
        assert (np.abs(shots[before] - shots[after]).max(axis=2) > 30).mean() > 0.002, (before, after)
    assert opened.complaints == []


def test_a_scattered_sheet_begins_with_its_waves(tab, nouns, fill, tmp_path, monkeypatch):
    from devnet.viz import report

    sheet, recording, wiring = nouns
    growth = sheet.model.growth.replace(scattered=sheet.n)
    placed = Sheet.declared(sheet.model.replace(growth=growth), sheet.positions)
    monkeypatch.setattr(report, "pictures", lambda run: iter(()))
    on_it = (placed, replace(recording, sheet=placed), replace(wiring, sheet=placed))
    tab.open(report.write_report(fill(tmp_path / "run", on_it, stages=NOUNS)).as_uri())
    assert tab.ask("devnet.story.chapters.join()") == "waves,pools"
    assert not tab.page.is_visible("#go-growth")
    tab.page.fill("#cell", "1")
    assert tab.page.inner_text("#told").startswith("Cell 1. It is in")
    assert tab.complaints == []


def test_without_webgl_nothing_is_offered_that_would_fail(tab, page):
    tab.context.add_init_script(
        """const get = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext =
        function (kind, ...more) { return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); }"""
    )
    tab.open(page.as_uri())
    assert "does not draw in three dimensions" in tab.page.inner_text("#scene-none")
    for name in ("#scene", "#play", "#threshold", "#look-left", "#told"):
        assert not tab.page.is_visible(name), name
    assert tab.page.is_visible("#path-choice")


def test_more_cells_are_drawn_as_the_sheet_grows(opened, nouns):
    sheet, *_ = nouns
    for value, count in ((0, (sheet.born <= 0).sum()), (999, sheet.n)):
        opened.slide("time", value)
        text = opened.page.inner_text("#caption")
        assert text.startswith("One cell." if count == 1 else f"{count:,} cells")


def test_pointing_at_a_unit_lights_its_pool(opened, nouns):
    sheet, _, wiring = nouns
    opened.slide("time", 3000)
    opened.settled()
    unit, x, y = seen(opened, "unit", sheet.m)
    dark = opened.shot()
    opened.page.mouse.move(x, y)
    opened.until("devnet.story.focus !== null")
    assert lit(opened) == (field(wiring, unit), {unit})
    assert f"Unit {unit}, " in opened.page.inner_text("#told")
    assert f"{len(field(wiring, unit))} cells" in opened.page.inner_text("#told")
    assert (np.abs(opened.shot("page-unit") - dark).max(axis=2) > 30).mean() > 0.01
    opened.page.mouse.move(2, 2)
    opened.until("devnet.story.focus === null")


def test_pointing_at_a_cell_lights_its_owners(opened, nouns):
    sheet, _, wiring = nouns
    opened.slide("time", 3000)
    opened.settled()
    cell, x, y = seen(opened, "cell", sheet.n)
    opened.page.mouse.move(x, y)
    opened.until("devnet.story.focus !== null")
    owners = {unit for unit in range(wiring.units) if cell in field(wiring, unit)}
    assert lit(opened) == ({cell}, owners)
    assert f"in the pools of {len(owners)} units" in opened.page.inner_text("#told")


def test_a_click_keeps_a_pool_lit(opened, nouns):
    opened.slide("time", 3000)
    opened.settled()
    unit, x, y = seen(opened, "unit", nouns[0].m)
    opened.page.mouse.click(x, y)
    opened.page.mouse.move(2, 2)
    opened.settled()
    assert lit(opened)[1] == {unit}
    assert f"Unit {unit}, " in opened.page.text_content("#spoken")


def test_pointing_goes_on_after_a_click_on_nothing_lets_go(opened, nouns):
    opened.slide("time", 3000)
    opened.settled()
    _, x, y = seen(opened, "unit", nouns[0].m)
    opened.page.mouse.click(x, y)
    opened.page.mouse.move(x, y + 3)
    opened.settled()
    box = opened.page.locator("#scene").bounding_box()
    opened.page.mouse.click(box["x"] + 5, box["y"] + 5)
    assert opened.ask("devnet.story.focus") is None
    opened.page.mouse.move(x, y)
    opened.until("devnet.story.focus !== null")


def test_a_unit_is_told_nothing_that_the_page_does_not_hold(tab, nouns, fill, tmp_path, monkeypatch):
    from devnet.viz import report, scene

    sheet, recording, wiring = nouns
    monkeypatch.setattr(report, "pictures", lambda run: iter(()))
    kept = 4  # units whose weights travel
    monkeypatch.setattr(scene, "MOST_WEIGHTS", kept * 4 * sheet.n)
    first = report.write_report(fill(tmp_path / "some", nouns, stages=NOUNS))
    monkeypatch.undo()
    monkeypatch.setattr(report, "pictures", lambda run: iter(()))
    arrays = ("weights", "initial_weights", "thresholds", "wins", "late_wins", "snapshots")
    fewer = replace(wiring, **{name: getattr(wiring, name)[..., :-1] for name in arrays})
    other = report.write_report(fill(tmp_path / "other", (sheet, recording, fewer), stages=NOUNS))

    tab.open(first.as_uri())
    tab.page.fill("#unit", "1")
    assert "Its weights are not in this page" in tab.page.inner_text("#told")
    tab.page.fill("#cell", "1")
    assert f"of the {kept} units in this page" in tab.page.inner_text("#told")
    tab.open(other.as_uri())
    tab.page.fill("#unit", "1")
    assert "pool" not in tab.page.inner_text("#told")
    assert lit(tab) == (set(), {1})
    assert tab.complaints == []


def test_the_threshold_says_what_a_pool_is(opened, nouns):
    *_, wiring = nouns
    opened.slide("time", 3000)
    opened.page.fill("#unit", "2")
    for share in (0.5, 0.25, 0.75):
        opened.slide("threshold", share)
        assert lit(opened)[0] == field(wiring, 2, share)
        assert f"{100 * share:.0f} %" in opened.page.inner_text("#threshold-told")


def test_before_learning_a_unit_is_wired_to_everything(opened, nouns):
    sheet, *_ = nouns
    opened.slide("time", 2000)
    opened.page.fill("#unit", "1")
    assert len(lit(opened)[0]) == sheet.n


def test_the_keyboard_does_what_the_pointer_does(opened, nouns):
    *_, wiring = nouns
    page = opened.page
    page.focus("#time")
    page.keyboard.press("End")
    assert page.inner_text("#caption-title").startswith("Pools")
    page.keyboard.press("Home")
    assert page.inner_text("#caption-title").startswith("Growth, sweep 0")
    page.focus("#go-waves")
    page.keyboard.press("Enter")
    opened.until("devnet.playing && devnet.story.chapter === 'waves'")
    page.focus("#scene")
    page.keyboard.press(" ")
    assert not opened.ask("devnet.playing")
    before = opened.shot()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert (np.abs(opened.shot() - before).max(axis=2) > 30).mean() > 0.01
    page.keyboard.press("Home")
    page.focus("#unit")
    page.keyboard.type("3")
    assert lit(opened)[0] == field(wiring, 3)
    page.focus("#path-point")
    page.keyboard.press("End")
    assert "95.0 % of the weights at zero" in page.inner_text("#path-told")


def test_playing_tells_the_story_to_its_end(opened):
    opened.page.click("#play")
    start = opened.ask("devnet.story.value")
    opened.until(f"devnet.story.value > {start + 20}")
    opened.ask("devnet.story.value = 2995")
    opened.until("!devnet.playing")
    assert opened.ask("devnet.story.value") == 3000
    assert "% of" in opened.page.inner_text("#caption")


def test_every_control_has_a_name_and_every_picture_words(opened):
    nameless = opened.ask(
        """Array.from(document.querySelectorAll('button, input, select, canvas[tabindex], [role=img]'))
        .filter((e) => !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim())).map((e) => e.id)"""
    )
    assert nameless == []
    assert opened.ask("document.querySelectorAll('.chart').length") == 3


def test_frames_are_short_at_ten_thousand_cells(tab, small, fill, tmp_path, monkeypatch):
    from devnet.viz import report

    n, m, steps = 10_000, 24, 400
    place = 40 * Key(1).stream("places").uniform(0, 2 * n).reshape(n, 2)
    sheet = Sheet(
        model=small, key=Key(2), positions=place, parent=np.arange(n) - 1, born=np.arange(n) // 100,
        unit_parent=np.arange(m), emitted=np.full(m, 110), unit_height=np.full(m, 0.8), sweeps=220,
    )  # fmt: skip
    fire = [np.flatnonzero(np.abs(place[:, 0] - 0.1 * step) < 0.5) for step in range(steps)]
    recording = Recording(
        sheet=sheet, dynamics=small.dynamics["rate_map"], key=Key(3), backend="none", field="exact", steps=steps,
        time=np.concatenate([np.full(len(cells), step) for step, cells in enumerate(fire)]), cell=np.concatenate(fire),
    )  # fmt: skip
    pools = np.exp(-((place[:, None] - place[:m]) ** 2).sum(axis=2) / 20)
    early = [(share + (1 - share) * pools).astype(np.float32) for share in (1.0, 0.8, 0.5, 0.1)]
    wiring = Wiring(
        sheet=sheet, learning=small.learning["rate_map"], dynamics=recording.dynamics, key=Key(4), backend="none",
        field="exact", activity="waves", steps=5000, weights=pools, initial_weights=early[0].astype(float),
        thresholds=np.zeros(m), wins=np.full(m, 9), late_wins=np.full(m, 3),
        snapshot_steps=np.arange(1, 5) * 1000, snapshots=np.stack(early),
    )  # fmt: skip
    monkeypatch.setattr(report, "pictures", lambda run: iter(()))
    page = report.write_report(fill(tmp_path / "run", (sheet, recording, wiring), stages=NOUNS))
    tab.open(page.as_uri())
    debugger = tab.context.new_cdp_session(tab.page)
    debugger.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent():
        """Milliseconds of processor time of the page's thread so far."""
        return (
            1e3
            * {m["name"]: m["value"] for m in debugger.send("Performance.getMetrics")["metrics"]}[
                "TaskDuration"
            ]
        )

    for chapter in ("growth", "waves", "pools"):
        frames = []
        for share in 0.618 * np.arange(30) % 1:  # jumps: each frame of the pools takes other weights up
            before = spent()
            tab.ask(f"devnet.story.value = {BEGIN[chapter] + 1000 * share}; devnet.story.show()")
            frames.append(spent() - before)
        assert sorted(frames)[26] <= FRAME, chapter  # nine in ten: memory is cleared now and then


def test_a_name_that_is_a_script_stays_a_name(tab, nouns, fill, tmp_path, monkeypatch):
    from devnet.viz import report

    hostile = "</title><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    monkeypatch.setattr(report, "pictures", lambda run: iter(()))
    page = report.write_report(fill(tmp_path / "run", nouns, title=hostile))
    tab.open(page.as_uri())
    assert tab.page.inner_text("h1") == hostile
    assert tab.page.title() == f"{hostile} · devnet"
    assert tab.requests == [page.as_uri()]
    assert tab.complaints == []
