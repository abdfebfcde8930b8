"""`devnet view` beside a run that goes on, and `devnet play`, each in a real browser and ended by Ctrl-C."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from devnet.io import write_json, write_text
from devnet.spec import dump_model

pytest.importorskip("uvicorn", reason="the extra live is not installed")
pytestmark = pytest.mark.browser

REACTION = 200
"""Milliseconds in which a wave reacts to a slider."""


def field(wiring, unit):
    return set(np.flatnonzero(wiring.weights[:, unit] >= 0.5 * wiring.weights[:, unit].max()).tolist())


def test_view_follows_a_run(tab, serving, fill, nouns, small, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_text(folder / "config.toml", dump_model(small))
    server = serving("view", folder)
    tab.open(server.address)
    assert tab.page.url == f"{server.site}/"  # the token does not stay in the address
    assert "not finished a stage" in tab.page.inner_text("#status")
    fill(folder, nouns, stages=("grow",))
    tab.until("devnet.story.chapters.join() === 'growth'")
    assert tab.ask("devnet.scene.n") == nouns[0].n
    fill(folder, nouns, stages=("grow", "simulate"))
    tab.until("devnet.story.chapters.join() === 'growth,waves'")
    assert tab.ask("devnet.story.waves.count.length") == 400
    fill(folder, nouns, stages=("grow", "simulate", "organize"))
    tab.until("devnet.story.chapters.length === 3")
    tab.slide("time", 3000)
    tab.page.fill("#unit", "2")
    assert set(tab.ask("devnet.story.lit.cells")) == field(nouns[2], 2)
    assert "grow, simulate, organize" in tab.page.inner_text("#status")
    fill(folder, nouns)
    tab.until("document.querySelectorAll('#path-choice option').length === 1")
    shutil.copy(folder / "fip/path-sparsify95-0.safetensors", folder / "fip/path-recover-0.safetensors")
    tab.until("document.querySelectorAll('#path-choice option').length === 2")
    assert "separate waves" not in tab.page.inner_text("#panel-waves")
    numbers = {"active_share_of_steps": 0.5, "radius_mean": 2.0, "speed": 0.2, "waves": 3, "visited": 1.0}
    write_json(folder / "summary.json", {"waves": {"rate_map": numbers}})
    tab.until("document.getElementById('panel-waves').textContent.includes('separate waves')")
    (folder / "fip/path-recover-0.safetensors").write_bytes(b"damaged")
    tab.until("/path-recover-0/.test(document.getElementById('status').textContent)")
    assert all(request.startswith(server.site) for request in tab.requests)
    assert all("404" in complaint for complaint in tab.complaints)  # the damaged part
    assert server.stop() == 0
    tab.until("document.getElementById('status').textContent.includes('stopped')")


@pytest.fixture(scope="module")
def played(serving, small, tmp_path_factory):
    model = tmp_path_factory.mktemp("play") / "model.toml"
    write_text(model, dump_model(small))
    return serving("play", model)


def test_play_reacts_to_sliders_and_lets_pools_form(tab, played):
    tab.open(played.address)
    tab.until(
        "devnet.versions !== undefined && document.getElementById('caption-title').textContent.startsWith('Step')"
    )
    for name, places in {"h": (1, 3), "noise": (2, 1), "r_i": (4, 3), "r_o": (8, 6)}.items():
        quickest = []
        for place in 20 * places:  # the best of several tries: other work on the machine can delay any one
            before = tab.ask("devnet.latencies.length")
            tab.slide(f"set-{name}", place)
            tab.until(f"devnet.latencies.length > {before}")
            quickest.append(tab.ask("devnet.latencies.at(-1)"))
            if min(quickest) < REACTION and place == places[-1]:
                break
        assert min(quickest) < REACTION, name
    tab.slide("set-noise", 0)
    tab.slide("set-h", 8)
    tab.until("devnet.versions.seen === devnet.versions.sent")
    tab.until("/: 0 cells fire/.test(document.getElementById('caption-title').textContent)")
    for text in ("0", ""):
        tab.page.fill("#cell", text)
    assert tab.page.text_content("#spoken").startswith("Step ")
    step = "document.getElementById('caption-title').textContent"
    tab.page.click("#play")
    tab.ask("new Promise((done) => setTimeout(done, 300))")
    before = tab.ask(step)
    tab.ask("new Promise((done) => setTimeout(done, 300))")
    assert tab.ask(step) == before
    tab.page.click("#play")
    tab.until(f"{step} !== '{before}'")
    tab.page.click("#again")
    tab.page.click("#learn")
    tab.until("devnet.story.wiring !== undefined", 60)
    tab.until("/Learning for [1-9],?[0-9]{3} steps/.test(document.getElementById('caption').textContent)", 60)
    tab.page.fill("#unit", "1")
    tab.until("devnet.story.lit.cells.length > 0 && devnet.story.lit.cells.length < devnet.scene.n")
    tab.until(
        "document.getElementById('told').textContent.includes(` ${devnet.story.lit.cells.length} cells`)"
    )
    tab.shot("play-pools")
    assert tab.complaints == []


def test_a_radius_takes_the_other_with_it_and_nothing_is_refused(tab, played):
    tab.open(played.address)
    tab.until(
        "devnet.versions.seen === 0 && /^Step/.test(document.getElementById('caption-title').textContent)"
    )
    for name, value, both in (("r_i", 8, "8,8"), ("r_o", 2, "2,2"), ("r_o", 5, "2,5")):
        tab.slide(f"set-{name}", value)
        assert (
            tab.ask("['r_i', 'r_o'].map((name) => document.getElementById(`set-${name}`).value).join()")
            == both
        )
    tab.until("devnet.versions.seen === 3")
    assert tab.page.inner_text("#status") == ""


def test_pictures_never_stop_however_the_sliders_are_moved(tab, played):
    tab.open(played.address)
    tab.until("/^Step/.test(document.getElementById('caption-title').textContent)")
    tab.ask(
        """(() => { const sliders = Array.from(document.querySelectorAll('#sliders input')); let k = 0, seed = 1;
        const chance = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
        const hand = () => { for (let i = 0; i < 20; i++) {
            const s = sliders[k++ % 4]; s.value = Number(s.min) + chance() * (s.max - s.min);
            s.dispatchEvent(new Event('input')); }
          if (k % 400 === 0) document.getElementById(k % 1200 ? 'learn' : 'again').click();
          if (k < 3000) setTimeout(hand, 10); };
        hand(); })()"""
    )
    tab.until("devnet.versions.sent > 3000 && devnet.versions.seen === devnet.versions.sent", 60)
    step = "Number(/[0-9,]+/.exec(document.getElementById('caption-title').textContent)[0].replace(',', ''))"
    now = tab.ask(step)
    tab.until(f"{step} > {now}")
    assert tab.page.inner_text("#status") == ""
    assert tab.complaints == []


def test_another_page_cannot_connect(tab, played):
    tab.page.goto("data:text/html,<p>another page</p>")
    address = f"ws://127.0.0.1:{played.port}/stream"
    opened = tab.ask(
        f"""new Promise((done) => {{ const s = new WebSocket('{address}');
        s.onopen = () => done(true); s.onclose = () => done(false); }})"""
    )
    assert opened is False
    tab.page.goto(played.site)
    assert "holds the token" in tab.page.inner_text("body")


def test_play_ends_on_ctrl_c_while_a_page_is_open(tab, played):
    tab.open(played.address)
    assert played.stop() == 0
    tab.until("devnet.closed")
    assert "has stopped" in tab.page.inner_text("#status")
