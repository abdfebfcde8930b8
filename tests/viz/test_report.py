"""The page: well-formed, self-contained, escaped, accessible, and true to the summary, for whole and partial runs."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.random import Key
from devnet.io import read_tensors, save, write_json, write_tensors, write_text
from devnet.sheet import Layer, Stack
from devnet.spec import LayerSpec, StackSpec, dump_model
from devnet.viz import report
from devnet.viz._tables import configuration, plus_minus
from devnet.viz.page import asset
from devnet.viz.report import write_report

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Reads a page and notes what the tests ask for; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def without_script(text):
    """Return a page without its script and without its data, which are letters and digits."""
    parts = re.compile(r'<script type="text/plain" data-part="[a-z0-9-]+">[A-Za-z0-9+/=]*</script>')
    return parts.sub("", text).replace(f"<script>{asset('devnet.js')}</script>", "")


@pytest.fixture(scope="module")
def written(whole_run):
    """Return the text of a finished run's page."""
    return write_report(whole_run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


@pytest.fixture
def sketch(monkeypatch):
    """Draw figures, but spare the seconds that it takes to write them."""
    monkeypatch.setattr(report, "to_svg", lambda figure, name: '<svg viewBox="0 0 9 9"><g></g></svg>')
    monkeypatch.setattr(report, "to_png", lambda figure: b"")


@pytest.mark.usefixtures("sketch")
@pytest.mark.parametrize(
    ("starts", "words"),
    [
        (("unordered", "unordered"), "from random weights, all-to-all. Order"),
        (("arbor", "arbor"), "from random weights within arbors around the units’ own places. Order"),
        (("unordered", "arbor"), "random weights, all-to-all in some layers and in others within arbors"),
    ],
)
def test_a_stack_is_told_as_it_started_with_a_picture_of_each_branch(run, holed, model, bump, starts, words):
    layers = {
        name: LayerSpec(units=m, start=start, below="sheet")
        for (name, m), start in zip({"fine": 9, "coarse": 4}.items(), starts, strict=True)
    }
    spec = StackSpec(dynamics="rate_map", steps=10, layers=layers)
    made = [
        Layer(part, holed.positions[: part.units], np.eye(holed.n)[:, : part.units], *np.zeros((1, part.units)), 1.0,
              np.ones(part.units, int))
        for part in layers.values()
    ]  # fmt: skip
    stack = Stack(holed, spec, bump.dynamics, Key(0), "numba", "exact", "waves", 10, tuple(made))
    save(stack, run / "organize/stack-0.safetensors")
    write_text(run / "config.toml", dump_model(model.replace(stack=spec)))
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert words in text
    assert "All layers in space" not in text
    assert text.count("Layers 1 and 2 in space") == text.count("Layers 1 and 3 in space") >= 1
    assert {"stack-2.svg", "stack-3.svg"} <= {path.name for path in (run / "figures").iterdir()}


def test_the_page_is_whole_and_names_everything_once(page, written):
    assert page.tags[0][0] == "html"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for a in page.all("a")} | {a["href"] for a in page.all("use") if "href" in a}
    assert targets
    assert targets <= {f"#{name}" for name in ids}
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert [section["aria-labelledby"] for section in page.all("section")] == [
        "caption-title",
        "targets",
        "growth",
        "waves",
        "pools",
        "tiling",
        "readout",
        "sparsify",
        "recover",
        "configuration",
        "reproduce",
    ]
    assert len(written) < 3_000_000


def test_the_page_asks_for_nothing_from_outside(written):
    text = without_script(written).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//[a-z]+\.|@import|<link|<iframe|javascript:", text, re.IGNORECASE)
    assert not re.search(r"url\((?!#)", text)
    sources = re.findall(r"""(?:src|href)=["']?([^"' >]+)""", text)
    assert sources
    assert all(source.startswith(("#", "data:image/png;base64,")) for source in sources)
    (policy,) = [a["content"] for a in Page(text).all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")
    assert "connect-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(asset("devnet.js").encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*);", policy) == [f"'sha256-{digest}'"]


def test_the_script_is_ours_and_the_parts_are_data(page, written):
    scripts = page.all("script")
    assert scripts[-1] == {}
    assert all(a["type"] == "text/plain" for a in scripts[:-1])
    assert [a["data-part"] for a in scripts[:-1]] == ["sheet", "waves-0", "wiring", "paths", "readout"]
    assert written.count(asset("devnet.js")) == 1
    assert not re.search(r"</script|<!--", asset("devnet.js"), re.IGNORECASE)
    assert not re.search(r"\beval\(|new Function\(", asset("devnet.js"))


def test_the_script_was_built_from_the_source_beside_it():
    root = Path(__file__).parents[2] / "devnet/viz/page"
    digest = hashlib.sha256()
    for file in sorted([*(root / "src").iterdir(), root / "package.json"], key=lambda f: f.name):
        digest.update(file.read_bytes())
    text = (root / "README.md").read_text(encoding="utf-8")
    assert digest.hexdigest() in text
    for name in ("devnet.js", "devnet.css"):
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() in text


def test_every_picture_has_words(page):
    svgs = page.all("svg")
    assert len(svgs) == len(page.all("figure")) > 10
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in svgs)
    assert all("alt" in image for image in page.all("img"))
    groups = [div for div in page.all("div") if "scroll" in div.get("class", "")]
    assert groups
    assert all(div["tabindex"] == "0" and div["aria-label"] for div in groups)


def test_words_instead_of_pictures_tell_measured_numbers(page, wiring):
    words = " ".join(svg["aria-label"] for svg in page.all("svg"))
    assert words.count("0 % of 12 units are organized before learning, 100 % after 2000 steps") == 2
    assert "from noise alone 0 %" in words
    assert "change of outputs from 0 to 0.05, accuracy from 94.0 to 93.0 %" in words


def test_every_table_has_named_columns_and_rows(page):
    assert {a.get("scope") for a in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == 7


def test_targets_are_told_as_they_are(page):
    assert "1 of 3 reached" in page.text
    assert "Units that became pools, share at least 0.95 0.97 ✓ reached" in page.text
    assert "Recovered: FIP − best baseline, points at least −0.5 −0.75 ✗ not reached" in page.text
    assert "at most 0.05 no value ✗ not reached" in page.text


def test_the_story_is_told_in_sentences(page):
    assert "One cell divided until 260 cells filled the scaffold and 12 units rose above them." in page.text
    assert "turned 97 % of the units, each wired to every cell at first, into pools; noise" in page.text
    assert "Through 36 grown pools" in page.text
    assert "set 95 % of the weights behind the pools to zero, without labels: 93.5 ± 0.5 %" in page.text
    assert "(72.5 ± 2.5 % right) another path brought the network back to 93.5 ± 0.5 %" in page.text


def test_every_number_of_the_model_stands_there_with_unit_and_source(page, model):
    parts = configuration(model)
    names = [part.name for part in parts]
    assert {"scaffold", "growth", "dynamics.izhikevich.coupling", "learning.rate_map.rule", "study"} <= set(
        names
    )
    rows = {(part.name, row[0]): row[1:] for part in parts for row in part.rows}
    assert rows["growth", "timer"] == ("25", "sweeps", "G19, released code", "published")
    assert rows["learning.rate_map.rule", "eta"] == ("0.05", "", "assumed", "ours")
    assert rows["dynamics.rate_map", "form"] == ("rate_map", "", "", "choice")
    assert rows["learning.rate_map", "units"][0] == "none"
    assert rows["scaffold", "seed_cell"][0] == "{:g}, {:g}".format(*model.scaffold.seed_cell)
    for name in names:
        assert f"{name} (" in page.text
    assert "Neural networks grown and self-organized by noise" in page.text


def test_a_number_set_for_the_run_is_called_given(model):
    changed = model.replace(growth=model.growth.replace(timer=7))
    rows = {row[0]: row for part in configuration(changed) if part.name == "growth" for row in part.rows}
    assert rows["timer"][1:] == ("7", "sweeps", "given", "given")


def test_a_scattered_sheet_is_not_said_to_have_grown_from_one_cell(run, scattered, sketch):
    write_text(run / "config.toml", dump_model(scattered.model))
    save(scattered, run / "grow/sheet-0.safetensors")
    text = without_script(write_report(run).read_text(encoding="utf-8"))
    assert "Sheet: cells placed at random" in text
    assert not re.search("one cell (becomes|divided|to)|come to be", text, re.IGNORECASE)


def test_how_to_repeat_it_is_told(page):
    assert "devnet run config.toml --out again --seed 7" in page.text
    assert "numpy 2.3.5" in page.text
    assert "together 0.5" in page.text


def test_figures_lie_beside_the_page_as_svg_and_png(whole_run, written):
    names = sorted(path.stem for path in (whole_run / "figures").glob("*.svg"))
    assert names == sorted(path.stem for path in (whole_run / "figures").glob("*.png"))
    assert {
        "story",
        "growth",
        "waves-rate_map",
        "pools",
        "tiling",
        "readout",
        "sparsify95",
        "recover",
    } <= set(names)
    text = (whole_run / "figures/growth.svg").read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "var(--" not in text


HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&$x^2$"


def test_a_hostile_title_stays_text(run, model, sketch):
    write_text(run / "config.toml", dump_model(model.replace(title=HOSTILE, name=HOSTILE)))
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert "<script" not in without_script(text)
    assert not page.all("img")
    assert HOSTILE in page.text


def test_hostile_words_in_the_summary_stay_text(run, summary):
    summary["readout"]["data"] = summary["readout"]["note"] = summary["seed"] = HOSTILE
    summary["versions"] = {HOSTILE: HOSTILE}
    summary["fip"]["recover"]["best_baseline"] = HOSTILE
    write_json(run / "summary.json", summary)
    text = write_report(run).read_text(encoding="utf-8")
    assert "<script" not in without_script(text)
    assert not Page(text).all("img")


def test_a_run_with_a_key_and_no_seed_tells_its_key(run, summary, sketch):
    write_json(run / "summary.json", summary | {"seed": None})
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "key 99" in text
    assert 'run_model("config.toml", "again", rng=dn.Key(99))' in text


@pytest.mark.parametrize(
    ("stages", "sections"),
    [
        ((), []),
        (("grow",), ["growth"]),
        (("grow", "simulate"), ["growth", "waves"]),
        (("grow", "simulate", "organize"), ["growth", "waves", "pools", "tiling"]),
        (("fip",), ["sparsify", "recover"]),
    ],
)
def test_a_part_of_a_run_makes_a_part_of_the_page(run, stages, sections, sketch):
    (run / "summary.json").unlink()
    for stage in ("grow", "simulate", "organize", "fip"):
        if stage not in stages:
            shutil.rmtree(run / stage)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    found = [section["aria-labelledby"] for section in page.all("section")]
    scene = ["caption-title"] if "growth" in sections or "sparsify" in sections else []
    assert found == [*scene, "targets", *sections, "configuration", "reproduce"]
    assert "This run is not finished" in page.text


def test_an_unfinished_stage_is_left_out(run, sketch):
    (run / "organize/stage.json").unlink()
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "Before, after, and under noise" not in page.text


def test_pools_are_drawn_without_noise_and_without_snapshots(run, noise, sketch):
    (run / "organize/noise-0.safetensors").unlink()
    save(noise, run / "organize/wiring-0.safetensors")
    text = Page(without_script(write_report(run).read_text(encoding="utf-8"))).text
    assert "Before and after." in text
    assert "Pools forming" not in text


def test_paths_without_accuracy_are_drawn(run, way, sketch):
    for name in ("sparsify95", "recover"):
        arrays = {key: value for key, value in way.items() if key != "accuracy"}
        write_tensors(run / f"fip/path-{name}-0.safetensors", arrays, "path", {})
    assert "Along the paths" in Page(write_report(run).read_text(encoding="utf-8")).text


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"run: .*config\.toml"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["growth", "fip", "readout"])
def test_a_summary_of_another_shape_is_named(run, summary, damage, sketch):
    write_json(run / "summary.json", summary | {damage: {"cells": 3, "rows": [{}], "sparsify": {"0.9": {}}}})
    with pytest.raises(CorruptFileError, match=r"summary\.json: a number is missing"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_a_path_without_its_arrays_is_named(run, sketch):
    file = run / "fip/path-recover-0.safetensors"
    arrays, _ = read_tensors(file)
    write_tensors(file, {"steps": arrays["steps"]}, "path", {})
    with pytest.raises(CorruptFileError, match="no array deltas, distance, objective"):
        write_report(run)


def test_a_second_report_is_the_same(whole_run, written):
    again = write_report(whole_run).read_text(encoding="utf-8").splitlines()
    assert set(again) - set(written.splitlines()) == set()


def test_a_single_value_has_no_spread():
    assert plus_minus({"mean": -1.25, "sd": 0.0, "values": [-1.25]}, 1) == "−1.2"
