"""What `devnet view` reads of a folder, and that it never writes to it."""

from __future__ import annotations

import zlib

import pytest

pytest.importorskip("uvicorn", reason="the extra live is not installed")

import numpy as np

from devnet._core.errors import ConfigError
from devnet.io import save, write_json, write_text
from devnet.live import follow, following
from devnet.sheet import Sheet
from devnet.spec import dump_model, load_model
from devnet.waves import simulate


@pytest.fixture
def folder(tmp_path):
    model = load_model("raghavan2019_grown_pooling/small")
    write_text(tmp_path / "config.toml", dump_model(model))
    (tmp_path / "grow").mkdir()
    return tmp_path


@pytest.fixture
def sheet():
    model = load_model("raghavan2019_grown_pooling/small")
    return Sheet.declared(model, np.array([[2.0, 3.0], [4.0, 9.0], [20.0, 12.0]]), [0, 2])


def test_a_part_appears_when_its_file_does(folder, sheet):
    site = follow(folder)
    assert site.listing() == {"parts": {}, "stages": [], "errors": []}
    assert site.part("sheet") is None
    save(sheet, folder / "grow/sheet-0.safetensors")
    assert list(site.listing()["parts"]) == ["sheet"]
    assert b'"cells": 3' in zlib.decompress(site.part("sheet"))


def test_a_part_that_is_written_anew_has_another_version(folder, sheet):
    site = follow(folder)
    save(sheet, folder / "grow/sheet-0.safetensors")
    first = site.listing()["parts"]["sheet"], site.part("sheet")
    save(Sheet.declared(sheet.model, sheet.positions[:2]), folder / "grow/sheet-0.safetensors")
    assert site.listing()["parts"]["sheet"] != first[0]
    assert site.part("sheet") != first[1]


@pytest.mark.parametrize("content", [b"", b"no sheet", b"\x00" * 100])
def test_a_damaged_file_is_no_part(folder, content):
    (folder / "grow/sheet-0.safetensors").write_bytes(content)
    assert follow(folder).part("sheet") is None


def test_a_damaged_file_is_named_and_not_read_again_until_it_changes(folder, sheet, monkeypatch):
    site, file = follow(folder), folder / "grow/sheet-0.safetensors"
    file.write_bytes(b"no sheet")
    site.part("sheet")
    (error,) = site.listing()["errors"]
    assert str(file) in error
    assert site.listing()["parts"] == {}
    monkeypatch.setattr(following, "part_so_far", None)  # fails where it is called
    assert site.part("sheet") is None
    monkeypatch.undo()
    save(sheet, file)
    assert site.part("sheet")
    assert site.listing()["errors"] == []


def test_numbers_of_the_summary_come_to_the_waves(folder, sheet):
    site = follow(folder)
    save(sheet, folder / "grow/sheet-0.safetensors")
    write_json(folder / "summary.json", {"waves": {"rate_map": {"waves": 3}}})
    assert list(site.listing()["parts"]) == ["sheet", "readout"]  # no recording yet
    (folder / "summary.json").unlink()
    (folder / "simulate").mkdir()
    save(
        simulate(sheet, "rate_map", steps=5, backend="reference"), folder / "simulate/rate_map-0.safetensors"
    )
    before = site.listing()["parts"]["waves-0"]
    assert b'"numbers": {}' in zlib.decompress(site.part("waves-0"))
    write_json(folder / "summary.json", {"waves": {"rate_map": {"waves": 3}}})
    assert site.listing()["parts"]["waves-0"] != before
    assert b'"waves": 3' in zlib.decompress(site.part("waves-0"))


def test_a_link_to_another_file_shows_nothing_of_it(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("secret")
    (folder / "grow/sheet-0.safetensors").symlink_to(secret)
    assert follow(folder).part("sheet") is None


@pytest.mark.parametrize("name", ["", "../config.toml", "config.toml", "waves-99", "grow/sheet-0", "sheet "])
def test_an_unknown_part_is_none(folder, sheet, name):
    save(sheet, folder / "grow/sheet-0.safetensors")
    assert follow(folder).part(name) is None


def test_nothing_is_written(folder, sheet):
    save(sheet, folder / "grow/sheet-0.safetensors")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    site = follow(folder)
    site.listing(), site.part("sheet")
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"run: .*config\.toml"):
        follow(tmp_path)
