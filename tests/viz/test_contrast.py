"""Words and lines stand out from their ground as WCAG 2.2 AA asks, in the page's light theme and in its dark one."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from matplotlib.colors import to_rgb

pytest.importorskip("jinja2", reason="the extra page is not installed")

from devnet.viz import report, style

WORDS, LINES = 4.5, 3.0
"""Least contrast of text (success criterion 1.4.3) and of lines that tell something (1.4.11)."""


def contrast(one, other):
    """Return the contrast of two colors as WCAG defines it, 1 to 21."""
    light = []
    for color in (one, other):
        r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(color))
        light.append(0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05)
    return max(light) / min(light)


def themes():
    text = (files("devnet.viz") / "templates/_style.css.j2").read_text(encoding="utf-8")
    roots = re.findall(r":root\{([^}]*)\}", text)
    light, dark = (dict(re.findall(r"--(\w+):(#\w+)", root)) for root in roots)
    return {"light": light, "dark": dark}


@pytest.mark.parametrize("name", ["light", "dark"])
def test_words_and_lines_stand_out_from_the_page(name):
    theme = themes()[name]
    for ground in ("ground", "raised"):
        for words in ("ink", "muted"):
            assert contrast(theme[words], theme[ground]) >= WORDS, (words, ground)
    for words in ("ours", "fire", "good", "bad"):
        assert contrast(theme[words], theme["ground"]) >= WORDS, words
    assert contrast(theme["theirs"], theme["ground"]) >= LINES


@pytest.mark.parametrize("name", ["light", "dark"])
def test_lines_of_figures_stand_out_from_both_grounds(name):
    theme = themes()[name]
    replaced = {color: theme[variable[6:-1]] for color, variable in report._THEME.items()}
    for color in (*style.LINES[:4], style.THEIRS, style.FIRE):
        assert contrast(replaced.get(color, color), theme["ground"]) >= LINES, color
    first, last = style.AGES(0.0), style.AGES(1.0)
    assert contrast(first, theme["ground"]) >= LINES
    assert contrast(first, last) >= LINES  # early and late are told apart by lightness alone
