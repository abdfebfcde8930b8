"""Networks that a user names: only installed packages are imported, and whatever they do is one line."""

import json
import sys

import pytest

from devnet._core.errors import ConfigError, DevnetError, ResourceError

torch = pytest.importorskip("torch")

from devnet.study import factories  # noqa: E402
from devnet.study.factories import network_of  # noqa: E402


def package(folder, name, record, top=None):
    """Write a module with a canary and beside it what an installer would."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (folder / f"{name}.py").write_text(
        "import os\nos.mkdir('canary')\nimport torch\nnet = torch.nn.Identity\n"
    )
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "direct_url.json").write_text(record)
    if top is not None:
        (info / "top_level.txt").write_text(top)


def in_place(folder):
    return json.dumps({"url": f"file://{folder}", "dir_info": {"editable": True}})


@pytest.fixture
def working(tmp_path, monkeypatch):
    """Work in a new folder from which Python imports, as `python -m devnet.cli` does."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_folder_that_calls_itself_installed_is_not(working):
    package(working, "evilnet", in_place(working))
    with pytest.raises(ConfigError, match=r"^factory: .* of an installed package"):
        network_of("evilnet:net", (8, 8), 10)
    assert not (working / "canary").exists()


@pytest.mark.parametrize(
    ("record", "top", "ours"),
    [
        (in_place, None, True),
        (in_place, "other\nnicenet\n", True),
        (in_place, "other\n", False),
        (lambda _: "no JSON", None, False),
        (lambda _: "[1]", None, False),
        (lambda _: '{"dir_info": {"editable": true}, "url": 7}', None, False),
        (lambda folder: json.dumps({"url": f"file://{folder}", "dir_info": {}}), None, False),
    ],
)
def test_what_is_installed_in_place_counts_by_its_top_level_names(
    working, tmp_path, monkeypatch, record, top, ours
):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(factories.site, "getsitepackages", lambda: [str(site)])
    package(site, "nicenet", record(working), top)
    (site / "nicenet.py").rename(working / "nicenet.py")
    monkeypatch.delitem(sys.modules, "nicenet", raising=False)
    if ours:
        assert isinstance(network_of("nicenet:net", (8, 8), 10), torch.nn.Identity)
    else:
        with pytest.raises(ConfigError, match=r"^factory: .* of an installed package"):
            network_of("nicenet:net", (8, 8), 10)
    assert (working / "canary").exists() is ours


@pytest.mark.parametrize(
    "name", ["__main__:main", "devnet.cli:main", "tiny_run:model", "tests.conftest:main", "sys:exit"]
)
def test_modules_that_are_no_packages_of_others_are_refused(name):
    with pytest.raises(ConfigError, match=r"^factory: .* of an installed package"):
        network_of(name, (8, 8), 10)


@pytest.mark.parametrize("name", ["pytest:skip", "pytest:exit", "torch:zeros", "torch.utils.nothing:f"])
def test_whatever_a_function_raises_is_an_error_of_its_name(name):
    with pytest.raises(ConfigError, match=rf"^factory: '{name}' is not allowed; give a function"):
        network_of(name, (8, 8), 10)


@pytest.mark.parametrize("error", [SystemExit(3), RuntimeError("no\nGPU"), RecursionError("deep")])
def test_an_error_of_a_function_is_one_line(monkeypatch, error):
    def fails():
        raise error

    monkeypatch.setattr(torch.nn, "fails", fails, raising=False)
    with pytest.raises(ConfigError, match=r"^factory: .* \(") as told:
        network_of("torch.nn:fails", (8, 8), 10)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, DevnetError])
def test_what_is_no_fault_of_a_function_stays_what_it_is(monkeypatch, error):
    def fails():
        raise error

    monkeypatch.setattr(torch.nn, "fails", fails, raising=False)
    with pytest.raises(error):
        network_of("torch.nn:fails", (8, 8), 10)


def test_a_network_that_does_not_fit_is_a_matter_of_resources(monkeypatch):
    def fails():
        return torch.nn.Linear(2**24, 2**24)  # 10^15 bytes

    monkeypatch.setattr(torch.nn, "fails", fails, raising=False)
    for name in ("mlp:64-9999999-9999999-10", "torch.nn:fails"):
        with pytest.raises(ResourceError, match=f"^factory: '{name}' does not fit into memory"):
            network_of(name, (8, 8), 10)
