from __future__ import annotations

import codecs

import pytest

from generator.foundation.text import NotTextError, as_utf8, decode_text, split_separator_line, strip_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str) -> None:
    assert decode_text("猫,\n".encode(encoding), declared="latin-1" if encoding != "utf-8" else "utf-8") == "猫,\n"
    big = codecs.BOM_UTF16_BE + "猫,\n".encode("utf-16-be")
    assert decode_text(big) == "猫,\n"


@pytest.mark.parametrize(
    ("text", "written", "declared"),
    [
        ("红细胞", "gb2312", "GB2312"),
        ("镕", "gbk", "gb2312"),  # not in GB2312, but written under its name
        ("①", "cp932", "Shift_JIS"),
        ("碁", "cp950", "big5"),
        ("é", "latin-1", "ISO-8859-1"),
        ("é", "utf-8", "utf8"),
    ],
)
def test_the_declared_encoding(text: str, written: str, declared: str) -> None:
    assert decode_text(text.encode(written), declared=declared) == text


@pytest.mark.parametrize(
    ("data", "declared", "line", "found", "words"),
    [
        ("a\nb\n红".encode("gbk"), "utf-8", 3, r"\xba", "not UTF-8; save the file as UTF-8"),
        (b"\xef\xbb\xbfa\n\xff", "utf-8", 2, r"\xff", "not UTF-8"),
        (b"PK\x03\x04\n\n\xff", "utf-8", 3, r"\xff", "not UTF-8"),
        ("a\nb".encode("utf-16-le"), "utf-8", 1, r"\0", "UTF-16 without a byte order mark"),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8", "utf-8", 2, r"\x00", "not UTF-16"),
        (b"a", "x-user", None, None, "unknown encoding: x-user"),
        (b"a", "hex", None, None, "not a text encoding"),
        (b"a", "a\0b", None, None, "cannot be decoded"),
    ],
)
def test_what_is_no_text(data: bytes, declared: str, line: int | None, found: str | None, words: str) -> None:
    with pytest.raises(NotTextError) as caught:
        decode_text(data, declared=declared)
    fault = caught.value.fault("x.csv")
    assert (fault.file, fault.line, fault.found) == ("x.csv", line, found)
    assert words in fault.expected and words in str(caught.value)


def test_bytes_that_are_no_text_can_be_kept() -> None:
    assert decode_text(b"caf\xe9", errors="surrogateescape") == "caf\udce9"


def test_as_utf8() -> None:
    assert as_utf8("é\n".encode("utf-16")) == b"\xef\xbb\xbf\xc3\xa9\n"
    for data in (b"", b"caf\xe9", b"\xef\xbb\xbfa", b"\xff\xfea"):
        assert as_utf8(data) == data


@pytest.mark.parametrize(
    ("text", "stripped"),
    [(" a b\t", "a b"), ("\u200ba\u00a0\u200b", "a"), ("a\u200bb\ufeff", "a\u200bb"), (" \u200b ", ""), ("", "")],
)
def test_what_cannot_be_seen_is_taken_off(text: str, stripped: str) -> None:
    assert strip_text(text) == stripped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sep=;\r\na;b", ("\r\na;b", ";")),
        ("SEP=\t\na\tb", ("\na\tb", "\t")),
        ('"sep=,"\na,b', ("\na,b", ",")),
        ("sep=;", ("", ";")),
        ("sep=;x\n", ("sep=;x\n", None)),
        ("a\nsep=;\n", ("a\nsep=;\n", None)),
    ],
)
def test_the_line_that_names_a_separator(text: str, expected: tuple[str, str | None]) -> None:
    assert split_separator_line(text) == expected
