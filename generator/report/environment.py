"""How every page and card here is rendered: one environment of Jinja for the templates of any package."""

from __future__ import annotations

import re

import jinja2

_MARKUP = re.compile(r"[|<\[`]")


def page_environment(package: str) -> jinja2.Environment:
    """Make an environment for the folder templates/ of a package; HTML is escaped, other text is not.

    Filters: `figure` shows a number with three digits, NaN as a dash; `cell` is for a table of Markdown.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        # Prompts and names of files and classes are the user's text: never taken for HTML.
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["figure"] = lambda value: f"{value:.3f}" if value == value else "–"
    environment.filters["cell"] = _markdown_cell
    return environment


def _markdown_cell(text: str) -> str:
    """Keep a text from breaking out of its table cell, and from being read as a tag, a link or a picture."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
