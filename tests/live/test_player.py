"""The playground's engine: it runs as `simulate` does, takes changes at once, and refuses what is no slider's."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("uvicorn", reason="the extra live is not installed")

import numpy as np

from devnet._core.errors import ConfigError, HealthError
from devnet.backends.coupling import Coupling
from devnet.growth import grow
from devnet.live import playing
from devnet.live.player import LEARNING_STEPS, SLIDERS, STEPS, Player, Setting
from devnet.live.playing import _Wishes, playground
from devnet.sheet import Sheet
from devnet.spec import load_model
from devnet.waves import simulate


@pytest.fixture(scope="module")
def start():
    model = load_model("raghavan2019_grown_pooling/small")
    scaffold = model.scaffold.replace(outline=((0, 0), (9, 0), (9, 7), (0, 7)), holes=(), seed_cell=(4, 3))
    sheet = grow(model.replace(scaffold=scaffold, growth=model.growth.replace(rise=0.05)), rng=3)
    return Setting(sheet, model.dynamics["rate_map"], model.learning["rate_map"], sheet.key.child("play"))


@pytest.fixture
def player(start):
    return Player(start)


def played(page, player):
    """Run a game to its end, on a thread of its own: Playwright's loop may be running on this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(playing._Game(page, player).run())).result()


def test_it_runs_as_simulate_does(player, start):
    parts = [player.advance(0) for _ in range(20)]
    recording = simulate(start.sheet, start.dynamics, steps=20 * STEPS, rng=start.key, field="fast")
    np.testing.assert_array_equal(np.concatenate([p.arrays["count"] for p in parts]), recording.active)
    np.testing.assert_array_equal(np.concatenate([p.arrays["cell"] for p in parts]), recording.cell)
    assert [p.meta["step"] for p in parts] == list(range(0, 20 * STEPS, STEPS))


def test_without_noise_nothing_fires_and_with_much_nearly_all(player, start):
    player.change({"noise": 0.0})
    assert sum(player.advance(0).arrays["count"].sum() for _ in range(20)) == 0
    player.change({"noise": 6.0, "r_i": 0.0, "h": 0.0})
    assert sum(player.advance(0).arrays["count"].sum() for _ in range(20)) > start.sheet.n


def test_a_change_keeps_the_cells_as_they_are(player):
    for _ in range(20):
        player.advance(0)
    before = player._state.cells.copy()
    player.change({"h": 1.0, "r_o": 5.0})
    np.testing.assert_array_equal(player._state.cells, before)


@pytest.mark.parametrize("radii", [{"r_i": 4.0}, {"r_o": 9.5}, {"r_i": 0.0, "r_o": 1.0}])
def test_a_changed_radius_gives_the_coupling_of_a_fresh_build(player, start, radii):
    player.change(radii)
    fresh = Coupling.build(start.sheet, start.dynamics.coupling.replace(**radii))
    law = fresh.a_i * (start.distances < fresh.r_i) - np.where(
        start.distances > fresh.r_o, fresh.a_o * np.exp(start.distances / -fresh.decay), 0.0
    )
    np.fill_diagonal(law, 0.0)
    for name, expected in (("matrix", law), ("rounded_matrix", law.astype(np.float32))):
        changed = getattr(player._model.coupling, name)
        assert changed.dtype == expected.dtype
        np.testing.assert_array_equal(changed, expected)
        assert changed.tobytes() == getattr(fresh, name).tobytes()


def test_a_changed_radius_costs_a_picture_little_processor_time():
    model = load_model("raghavan2019_grown_pooling/small")  # what `devnet play` shows
    sheet = grow(model, rng=0)
    player = Player(
        Setting(sheet, model.dynamics["rate_map"], model.learning["rate_map"], sheet.key.child("play"))
    )
    player.advance(0)
    spent = []
    for r_i in (2.0, 4.0, 1.0, 5.0, 3.0):
        begun = time.process_time()
        player.change({"r_i": r_i})
        player.advance(0)
        spent.append(time.process_time() - begun)
    assert min(spent) < 0.04  # a fifth of what a reaction may take, the rest is the page's


def test_pools_form_when_they_are_let(player, start):
    assert player.weights(0) is None
    player.learn(True)
    shares = []
    for _ in range(120):
        assert len(player.advance(0).arrays["count"]) == LEARNING_STEPS
    shares = player.weights(0)().arrays["share"]
    assert shares.shape == (start.sheet.m, start.sheet.n)
    assert shares.max() == 252
    assert (shares >= 128).mean() < 0.6
    player.learn(False)
    held = player.weights(0)().arrays["share"]
    player.advance(0)
    np.testing.assert_array_equal(player.weights(0)().arrays["share"], held)
    player.again()
    assert player.weights(0) is None


@pytest.mark.parametrize(
    "wish",
    [
        {"set": {"noise": 99.0}},
        {"set": {"noise": True}},
        {"set": {"noise": "1"}},
        {"set": {"noise": None}},
        {"set": {"tau_x": 1.0}},
        {"set": {"__class__": 1.0}},
        {"set": [1]},
        {"version": -1},
        {"version": 1.5},
        {"version": 1 << 40},
        [],
        "set",
        None,
    ],
)
def test_what_no_slider_sends_is_refused(player, wish):
    with pytest.raises(ConfigError):
        _Wishes().add(json.dumps(wish), player)


def test_text_that_is_no_json_is_refused(player):
    with pytest.raises(ValueError, match="Expecting"):
        _Wishes().add("{", player)
    with pytest.raises(ConfigError, match="noise"):
        _Wishes().add('{"set": {"noise": NaN}}', player)


def test_of_many_places_of_a_slider_the_last_counts(player):
    wishes = _Wishes()
    for number, value in enumerate((1.0, 3.0, 2.0)):
        wishes.add(json.dumps({"set": {"noise": value}, "version": number}), player)
    with pytest.raises(ConfigError):
        wishes.add('{"set": {"noise": 99}, "version": 3}', player)  # refused whole, and nothing else with it
    assert playing._picture(player, wishes.take()).meta["version"] == 2
    assert player._dynamics.noise == 2.0
    assert wishes.take().values == {}


def test_starting_again_forgets_what_was_asked_before(player, start):
    wishes = _Wishes()
    for wish in ({"set": {"noise": 5.0}}, {"learn": True}, {"again": True}, {"set": {"h": 1.0}}):
        wishes.add(json.dumps(wish), player)
    playing._picture(player, wishes.take())
    assert (player._dynamics.noise, player._dynamics.h) == (start.dynamics.noise, 1.0)
    assert not player.learning


def test_a_ring_that_crosses_the_other_is_refused_and_nothing_changes(player):
    before = player._dynamics
    with pytest.raises(ConfigError, match="r_o"):
        player.change({"r_i": 8.0, "r_o": 2.0})
    assert player._dynamics == before


class Page:
    """A WebSocket whose other end is the test."""

    def __init__(self, *messages):
        self.messages, self.got, self.wake = list(messages), [], asyncio.Event()

    async def accept(self):
        pass

    async def receive(self):
        while not self.messages:
            await self.wake.wait()
            self.wake.clear()
        return {"type": "websocket.receive"} | self.messages.pop(0)

    async def send_bytes(self, data):
        size = int.from_bytes(data[:4], "little")
        self.got.append(json.loads(data[4 : 4 + size])["meta"])
        if len(self.got) == 40:
            self.messages.append({"type": "websocket.disconnect"})
            self.wake.set()

    async def send_json(self, data):
        self.got.append(data)


@pytest.mark.parametrize(
    "text", ["{", "[" * 4000, '{"set": {"noise": 99}}', '{"set": {"r_i": 8, "r_o": 2}}', None]
)
def test_pictures_go_on_after_a_message_that_is_refused(player, text):
    page = Page({"text": text} if text else {"bytes": b"1"}, {"text": '{"set": {"noise": 2}, "version": 7}'})
    played(page, player)
    assert sum("error" in one for one in page.got) == 1
    if text != '{"set": {"r_i": 8, "r_o": 2}}':  # which comes with the other in one picture
        assert player._dynamics.noise == 2.0
    assert page.got[-1]["version"] == 7


def test_a_sheet_that_leaves_the_finite_numbers_starts_again_and_the_page_is_told(player, monkeypatch):
    whole, calls = player.advance, iter([None, HealthError("x is nan")])

    def advance(version):
        if (error := next(calls, None)) is not None:
            raise error
        return whole(version)

    monkeypatch.setattr(player, "advance", advance)
    page = Page()
    played(page, player)
    assert [one["error"] for one in page.got if one.get("again")] == ["x is nan; started again"]
    assert [one["step"] for one in page.got if "step" in one][:3] == [0, 0, STEPS]


def test_pictures_rest_while_a_page_pauses(player):
    page = Page({"text": '{"pause": true}'})

    async def rested():
        game = asyncio.create_task(playing._Game(page, player).run())
        await asyncio.sleep(0.3)
        count = len(page.got)
        page.messages.append({"text": '{"pause": false}'})
        page.wake.set()
        await game
        return count

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: asyncio.run(rested())).result() <= 1
    assert len(page.got) >= 40


def test_weights_name_the_change_they_follow_and_none_are_left_on_their_way(player, monkeypatch):
    monkeypatch.setattr(playing, "WEIGHTS_EVERY", 0.0)
    page, whole = Page({"text": '{"learn": true, "version": 4}'}), player.weights

    def slow(version):
        made = whole(version)
        return lambda: (time.sleep(0.2), made())[1]

    monkeypatch.setattr(player, "weights", slow)

    async def left():
        await playing._Game(page, player).run()
        return len(asyncio.all_tasks())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: asyncio.run(left())).result() == 1
    assert {one["version"] for one in page.got if one["kind"] == "weights"} == {4}


def test_an_error_of_ours_does_not_pass_in_silence(player, monkeypatch):
    monkeypatch.setattr(player, "advance", lambda version: {}["no key"])
    with pytest.raises(KeyError):
        played(Page(), player)


def test_all_is_compiled_before_the_first_page(start, monkeypatch):
    took = []
    whole = Player.advance
    monkeypatch.setattr(Player, "advance", lambda self, v: (took.append(self.learning), whole(self, v))[1])
    monkeypatch.setattr(playing, "grow", lambda spec, rng: start.sheet)
    playground("raghavan2019_grown_pooling/small")
    assert took == [False, True]  # kernels that learn are others


def test_a_sheet_without_units_is_played_with_and_has_nothing_to_learn(start, monkeypatch):
    bare = Sheet.declared(start.sheet.model, start.sheet.positions)
    monkeypatch.setattr(playing, "grow", lambda spec, rng: bare)
    assert b'"units": 0' in zlib.decompress(playground("raghavan2019_grown_pooling/small").part("setup"))
    player = Player(Setting(bare, start.dynamics, start.learning, start.key))
    player.learn(True)
    assert len(player.advance(0).arrays["count"]) == STEPS
    assert player.weights(0) is None


def test_sliders_hold_the_start_of_each_form():
    model = load_model("raghavan2019_grown_pooling/small")
    assert {part.form for part in model.dynamics.values()} <= set(SLIDERS)
    for part in model.dynamics.values():
        for slider in SLIDERS[part.form]:
            value = getattr(part.coupling if slider.name in ("r_i", "r_o") else part, slider.name)
            assert slider.low <= value <= slider.high


def test_a_sheet_too_large_to_answer_at_once_is_refused(monkeypatch):
    monkeypatch.setattr(playing, "MOST_CELLS", 10)
    with pytest.raises(ConfigError, match="at most 10 cells"):
        playground("raghavan2019_grown_pooling/small", rng=0)
