"""Text of a user's as a label of a page: shown letter by letter, never taken for Markdown, a link or a symbol."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What is taken for a link, an address or a symbol after Markdown has been read, when no backslash is left.
_BREAK_AFTER = re.compile(r"([:@]|www)", re.IGNORECASE)
_WORD_JOINER = "\u2060"


def plain(text: str) -> str:
    r"""Escape all that Streamlit's Markdown (GitHub's, with colours, symbols and formulas) gives a meaning to.

    https://spec.commonmark.org/0.31.2/#backslash-escapes

    >>> plain("<b>*x*")
    '\\<b\\>\\*x\\*'
    """
    joined = _BREAK_AFTER.sub(rf"\1{_WORD_JOINER}", " ".join(text.split()))
    return _PUNCTUATION.sub(r"\\\1", joined)
