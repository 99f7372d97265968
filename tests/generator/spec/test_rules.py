"""Cells of the two tables: names of categories, lengths and shares."""

import pytest

from generator.spec import Length, category_name, parse_length, parse_share


def px(value: float) -> Length:
    return Length(value=float(value), is_share=False)


def share(value: float) -> Length:
    return Length(value=value, is_share=True)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a white blood cell, stained", "white blood cell"),
        ("An apple", "apple"),
        ("THE END", "END"),
        ("the a team", "a team"),
        ("theatre", "theatre"),
        ("apple", "apple"),
        ("a", "a"),
        ("  a   cow  ", "cow"),
        (", a cow", ""),
    ],
)
def test_category_name(prompt, name):
    assert category_name(prompt) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64", px(64)),
        ("64px", px(64)),
        ("64.5 px", px(64.5)),
        ("0", px(0)),
        ("30%", share(0.3)),
        ("12.5 %", share(0.125)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1e2", None),
        ("1,5", None),
        ("px", None),
        ("%", None),
        ("64pt", None),
        ("٦٤", None),
    ],
)
def test_parse_length(text, expected):
    assert parse_length(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0.3", 0.3),
        ("30%", 0.3),
        ("1", 1),
        ("100%", 1),
        ("1%", 0.01),
        ("1.01", None),
        ("101%", None),
        ("0px", None),
        ("-0.1", None),
        ("", None),
        ("half", None),
    ],
)
def test_parse_share(text, expected):
    assert parse_share(text) == expected


@pytest.mark.parametrize(
    ("length", "side", "expected"),
    [(px(64), 400, 64), (px(64.4), 400, 64), (share(0.25), 400, 100), (share(1), 301, 301), (share(0.333), 10, 3)],
)
def test_lengths_in_pixels(length, side, expected):
    assert length.to_px(side) == expected
