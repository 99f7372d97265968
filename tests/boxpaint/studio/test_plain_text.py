from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from boxpaint.studio.plain_text import plain

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://example.com/x.png)",
    "[a](javascript:alert(1))",
    "**bold** `code` $x$ :red[y] :material/home:",
    "https://example.com www.example.com a@example.com",
    "# head",
    "1. one",
    "| a | b |\n|---|---|",
    "a\n\n    b",
    "\\*x\\*",
]


def shown(text: str) -> str:
    """What a reader of Markdown shows of it, word joiners aside."""
    html = MarkdownIt("commonmark").render(plain(text))
    assert re.fullmatch(r"(<p>[^<]*</p>\n)?", html), html
    inside = html.removeprefix("<p>").removesuffix("</p>\n").replace("\u2060", "")
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        inside = inside.replace(entity, letter)
    return inside


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_be_markup_is_shown_letter_by_letter(text: str) -> None:
    assert shown(text) == " ".join(text.split())


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert shown(text).split() == text.replace("\u2060", "").split()


def test_no_link_is_left_to_be_found() -> None:
    assert not re.search(r"https?://|www\.|\w@\w", plain("see https://x.org, WWW.x.org or me@x.org").replace("\\", ""))
