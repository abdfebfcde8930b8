"""A small run, made by the verbs themselves, and a browser that opens what is made of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from devnet._core.random import Key
from devnet.growth import grow
from devnet.io import save, write_json, write_tensors, write_text
from devnet.organization import organize
from devnet.spec import dump_model, load_model
from devnet.waves import simulate

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@pytest.fixture(scope="session")
def chromium():
    """Return a running Chromium, or skip."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """A page, what it asked for, and what it complained about."""

    def __init__(self, browser):
        self.context = browser.new_context(viewport={"width": 1000, "height": 900}, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def ask(self, code):
        """Evaluate JavaScript through the debugger: the page's own policy forbids it to itself."""
        return self.page.evaluate(code)

    def until(self, code, seconds=20.0):
        end = time.monotonic() + seconds
        while not (value := self.ask(code)):
            assert time.monotonic() < end, f"never came true: {code}"
            time.sleep(0.05)
        return value

    def open(self, address):
        self.page.goto(address)
        self.until("Boolean(window.devnet && window.devnet.ready)")

    def slide(self, name, value):
        """Move a slider as a hand does."""
        self.ask(
            f"(() => {{ const s = document.getElementById('{name}'); s.value = {value};"
            " s.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )

    def settled(self):
        """Wait until two frames were drawn."""
        now = self.ask("devnet.frames")
        self.until(f"devnet.frames > {now + 1}")

    def shot(self, name="scene"):
        """Return the pixels of the scene; keep the picture where screenshots are wanted."""
        import io

        from PIL import Image

        self.settled()
        data = self.page.locator("#scene").screenshot()
        if folder := os.environ.get("DEVNET_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"), dtype=int)


@pytest.fixture
def tab(chromium):
    one = Tab(chromium)
    yield one
    one.context.close()


@pytest.fixture(scope="session")
def small():
    """Return a model whose sheet has a few hundred cells."""
    model = load_model("raghavan2019_grown_pooling/small")
    scaffold = model.scaffold.replace(outline=((0, 0), (11, 0), (11, 9), (0, 9)), holes=(), seed_cell=(5, 4))
    growth = model.growth.replace(rise=0.02)
    name, learning = next(iter(model.learning.items()))
    return model.replace(
        scaffold=scaffold,
        growth=growth,
        dynamics={"rate_map": model.dynamics["rate_map"]},
        learning={name: learning},
        readout=model.readout.replace(learning=""),
    )


@pytest.fixture(scope="session")
def nouns(small):
    sheet = grow(small, rng=3)
    return sheet, simulate(sheet, steps=400, rng=4), organize(sheet, steps=6000, rng=5, snapshots=3)


def finish(folder, nouns, *, stages=("grow", "simulate", "organize", "fip"), title=None):
    """Write what a run leaves behind."""
    sheet, recording, wiring = nouns
    model = sheet.model if title is None else sheet.model.replace(title=title)
    folder.mkdir(exist_ok=True)
    write_text(folder / "config.toml", dump_model(model))
    for stage in stages:
        (folder / stage).mkdir(exist_ok=True)
    if "grow" in stages:
        save(sheet, folder / "grow/sheet-0.safetensors")
    if "simulate" in stages:
        save(recording, folder / "simulate/rate_map-0.safetensors")
    if "organize" in stages:
        save(wiring, folder / "organize/wiring-0.safetensors")
    if "fip" in stages:
        way = {
            "steps": np.array([0, 50, 100]),
            "deltas": Key(1).stream("way").uniform(0, 12).reshape(3, 4),
            "distance": np.array([0.0, 0.1, 0.05]),
            "objective": np.array([9.0, 2.0, 0.0]),
            "weight_distance": np.array([0.0, 1.0, 1.5]),
            "sparsity": np.array([0.0, 0.5, 0.95]),
            "accuracy": np.array([94.0, 93.5, 93.0]),
        }
        write_tensors(folder / "fip/path-sparsify95-0.safetensors", way, "path", {})
    for stage in stages:
        write_json(folder / stage / "stage.json", {})
    return folder


@pytest.fixture(scope="session")
def fill():
    """Return what fills a run folder."""
    return finish


@pytest.fixture(scope="session")
def page(tmp_path_factory, nouns):
    """Return the page of a finished run; its figures are tested elsewhere and left out."""
    from devnet.viz import report

    folder = finish(tmp_path_factory.mktemp("run") / "run", nouns)
    patch = pytest.MonkeyPatch()
    with patch.context() as inside:
        inside.setattr(report, "pictures", lambda run: iter(()))
        return report.write_report(folder)


class Server:
    """A command of devnet that serves a page, in a process of its own."""

    def __init__(self, *words):
        command = [sys.executable, "-m", "devnet.cli", *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("open http://127.0.0.1:"), line + self.process.stdout.read()
        self.address = line.split()[1]
        self.site, self.token = self.address.split("/?token=")
        self.port = int(self.site.rsplit(":", 1)[1])

    def stop(self):
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def serving():
    """Return what starts a server; all are stopped at the end."""
    started = []

    def start(*words):
        started.append(Server(*words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()
        one.process.stdout.close()
