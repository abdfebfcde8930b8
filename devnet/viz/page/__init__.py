"""The page's script and style, built once from ``src`` (see README.md here), and how a page with them is made."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup


def asset(name: str) -> str:
    """Return a built file: ``devnet.js`` or ``devnet.css``."""
    return (files("devnet.viz.page") / name).read_text(encoding="utf-8")


def policy(*, connect: str = "'none'") -> str:
    """Return the content security policy of a page: this one script, and nothing from anywhere else.

    Args:
        connect: Where the script may fetch from.

    Returns:
        The policy, for a header or a meta element.
    """
    digest = base64.b64encode(hashlib.sha256(asset("devnet.js").encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def render(template: str, *, connect: str = "'none'", **content: Any) -> str:
    """Fill a template of the page; every text is escaped.

    Args:
        template: Name of the file in ``templates``.
        connect: Where the script may fetch from.
        **content: What the template asks for.

    Returns:
        The page.
    """
    folder = files("devnet.viz") / "templates"
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(
        page_js=Markup(asset("devnet.js")),  # noqa: S704  # ours, built and committed
        page_css=Markup(asset("devnet.css")),  # noqa: S704
        policy=policy(connect=connect),
        **content,
    )
