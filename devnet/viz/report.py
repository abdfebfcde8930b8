"""The report of a run: one HTML page that needs nothing but itself, and its figures as files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from devnet._core.errors import ConfigError, CorruptFileError
from devnet._core.progress import task
from devnet.io import library_version, make_folder, write_bytes, write_text
from devnet.io.records import read_json
from devnet.spec import ModelSpec, load_model
from devnet.viz import _tables
from devnet.viz._files import to_png, to_svg
from devnet.viz._pictures import Picture, pictures
from devnet.viz._run import Run
from devnet.viz.page import render
from devnet.viz.scene import parts
from devnet.viz.style import FIRE, GROUND, INK, MUTED, OURS, RULE, THEIRS

_THEME = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    GROUND: "var(--ground)",
    OURS: "var(--ours)",
    THEIRS: "var(--theirs)",
    FIRE: "var(--fire)",
}
"""Colors of the figures that follow the page's light or dark theme."""


def write_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` and ``figures/`` of a run folder, finished or not; what is missing is left out.

    The page is one file that opens from disk and asks for nothing else: its script, its data and its pictures lie in it.

    Args:
        run_dir: The run folder.

    Returns:
        The page.

    Raises:
        ConfigError: The folder holds no run.
        CorruptFileError: A file of the run is damaged.
        StorageError: The page or a figure could not be written.
    """
    path = Path(run_dir)
    if not (path / "config.toml").is_file():
        raise ConfigError("run", str(path), "a folder that holds a run: one with a config.toml")
    model = load_model(path / "config.toml")
    if not (path / "summary.json").is_file():
        page = _page(path, model, {})
    else:
        summary = read_json(path / "summary.json")
        try:
            page = _page(path, model, summary)
        except (KeyError, TypeError, ValueError, AttributeError, jinja2.UndefinedError) as error:
            text = f"{path / 'summary.json'}: a number is missing or of a wrong type ({error!r:.80})"
            raise CorruptFileError(text) from error
    write_text(path / "report.html", page)
    return path / "report.html"


def _page(path: Path, model: ModelSpec, summary: dict[str, Any]) -> str:
    drawn: dict[str, list[dict[str, Any]]] = {}
    run = Run(path, model, summary)
    todo = list(pictures(run))
    folder = make_folder(path / "figures")
    with task("figures", len(todo)) as tick:
        for picture in todo:
            drawn.setdefault(picture.section, []).append(_draw(picture, folder))
            tick()
    fip: dict[str, Any] = summary.get("fip", {})
    tables = {
        "growth": [_tables.growth(summary)],
        "waves": [_tables.waves(summary, model)],
        "pools": [_tables.pools(summary, model)],
        "stack": [_tables.stack(summary)],
        "readout": [_tables.readout(summary)],
        "sparsify": [
            _tables.methods(entry, f"{100 * float(share):g} % of the weights at zero")
            for share, entry in fip.get("sparsify", {}).items()
        ],
        "recover": [_tables.methods(fip["recover"], "After recovery")] if "recover" in fip else [],
        "second": [_tables.methods(fip["second"], "Mean of both tasks")] if "second" in fip else [],
    }
    return render(
        "report.html.j2",
        mode="report",
        blocks={name: base64.b64encode(make().compressed()).decode() for name, make in parts(run).items()},
        model=model,
        summary=summary,
        version=summary.get("devnet", library_version()),
        drawn=drawn,
        tables={name: [table for table in found if table is not None] for name, found in tables.items()},
        targets=_tables.targets(summary),
        told=_tables.told(summary, model),
        configuration=_tables.configuration(model),
        works={key: words for key, words in _tables.WORKS.items() if key in model.cites},
        damaged=_tables.plus_minus(fip["recover"]["damaged"], 1)
        if "damaged" in fip.get("recover", {})
        else None,
        dense=_tables.plus_minus(fip["dense"], 1) if "dense" in fip else None,
    )


def _draw(picture: Picture, folder: Path) -> dict[str, Any]:
    """Draw a figure, write it as SVG and PNG, and return what the page needs of it."""
    figure = picture.draw()
    svg = to_svg(figure, picture.name)
    write_text(folder / f"{picture.name}.svg", svg)
    write_bytes(folder / f"{picture.name}.png", to_png(figure))
    for color, variable in _THEME.items():
        svg = svg.replace(color, variable)
    head, rest = svg.split(">", 1)
    box = head[head.index("viewBox=") :].split('"')[1]
    return {
        "picture": picture,
        # Drawn by matplotlib from numbers and escaped texts; the alternative text is escaped by the template.
        "box": box,
        "body": Markup(rest.rsplit("</svg>", 1)[0]),  # noqa: S704
        "narrow": float(box.split()[2]) < 72 * 5,
    }
