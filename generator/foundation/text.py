"""Text that people saved: bytes -> str, by its byte order mark, by what it declares, else as UTF-8.

No encoding is guessed: a wrong guess makes other names of people's names, or one of several, and nobody notices.
"""

from __future__ import annotations

import codecs
import re

from generator.foundation.errors import Fault

_MARKS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
# What is meant by these names in the wild, as browsers take them (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "cp950", "shift_jis": "cp932", "euc_kr": "cp949"}
# Beside what str.strip takes off: zero-width spaces and marks of direction, which spreadsheets and web pages leave.
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_EDGES = re.compile(rf"\A[\s{_INVISIBLE}]+|[\s{_INVISIBLE}]+\Z")
# The first line by which Excel is told how cells are separated.
_SEPARATOR_LINE = re.compile(r'\A\s*"?sep=([^"\r\n])"?[ \t]*(?=[\r\n]|\Z)', re.IGNORECASE)


class NotTextError(ValueError):
    """Bytes that are no text in the encoding that they should be in."""

    def __init__(self, expected: str, *, line: int | None = None, found: str | None = None):
        super().__init__(expected if line is None else f"line {line}: found {found!r}; {expected}")
        self.expected, self.line, self.found = expected, line, found

    def fault(self, file: str) -> Fault:
        """Say it of a file."""
        return Fault(file=file, line=self.line, found=self.found, expected=self.expected)


def decode_text(data: bytes, *, declared: str = "utf-8", errors: str = "strict") -> str:
    """Decode by the byte order mark, else as `declared`; the mark is left out.

    Raises NotTextError with the line of the first byte that is not of that encoding, or for an encoding that Python
    does not know; with `errors` as in bytes.decode nothing but the latter.
    """
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        name = codecs.lookup(marked or declared).name
        text = data.decode(_MEANT.get(name, name), errors)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(error.encoding, "ignore").count("\n") + 1
        found = repr(data[error.start : error.start + 1])[2:-1]
        expected = f"this byte is not {error.encoding.upper()}; save the file as UTF-8 (spreadsheets: 'CSV UTF-8')"
        raise NotTextError(expected, line=line, found=found) from None
    except (LookupError, ValueError) as error:
        raise NotTextError(f"cannot be decoded: {error}") from None
    if errors == "strict" and "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        expected = "no text, or UTF-16 without a byte order mark; save the file as UTF-8"
        raise NotTextError(expected, line=line, found="\\0")
    return text


def as_utf8(data: bytes) -> bytes:
    """Bring text with a byte order mark of UTF-16 or UTF-32 to UTF-8 with its mark; other bytes stay as they are."""
    for mark, encoding in _MARKS[:-1]:
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode("utf-8-sig")
            except UnicodeError:  # no text that happens to begin so
                return data
    return data


def strip_text(text: str) -> str:
    """Take off what cannot be seen at both ends.

    >>> strip_text(" cat\\u200b\\u00a0")
    'cat'
    """
    return _EDGES.sub("", text)


def split_separator_line(text: str) -> tuple[str, str | None]:
    r"""Take the separator of cells from a first line `sep=;`, whose place is left empty; None where there is none.

    >>> split_separator_line("sep=;\na;b\n")
    ('\na;b\n', ';')
    """
    match = _SEPARATOR_LINE.match(text)
    return (text, None) if match is None else (text[match.end() :], match[1])
