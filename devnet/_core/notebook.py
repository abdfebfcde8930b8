"""How a noun shows itself in a notebook: a small table of text."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


def table(title: str, rows: Mapping[str, Any]) -> str:
    """Return a table as HTML; every text is escaped.

    Args:
        title: What it is.
        rows: Values by name; numbers are written with four digits.

    Returns:
        The HTML.
    """
    lines = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th><td>{escape(_text(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f'<table><caption style="text-align:left"><b>{escape(title)}</b></caption>{lines}</table>'


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
