"""Attributes added to prompts."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from generator.prompts.sources import attributes_for, compose
from generator.spec import AttributeSpec


def attribute(name: str, text: str, applies_to: str = "") -> AttributeSpec:
    return AttributeSpec(attribute=name, text=text, applies_to=applies_to)


TABLE = (
    attribute("light", "at dusk"),
    attribute("pose", "lying", "objects"),
    attribute("light", "at noon"),
    attribute("weather", "in fog", "background"),
    attribute("pose", "grazing", "cow"),
    attribute("light", "in moonlight", "wolf"),
)


def texts_of(values: dict[str, tuple[str, ...]], number: int = 2000, *, seed: int = 0) -> list[str]:
    return list(islice(compose("a cow", values, np.random.default_rng(seed)), number))


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("", {"light": ("at dusk", "at noon"), "weather": ("in fog",)}),
        ("cow", {"light": ("at dusk", "at noon"), "pose": ("lying", "grazing")}),
        ("wolf", {"light": ("at dusk", "at noon", "in moonlight"), "pose": ("lying",)}),
        ("Cow", {"light": ("at dusk", "at noon"), "pose": ("lying",)}),
    ],
)
def test_who_an_attribute_is_for(category, expected):
    assert attributes_for(TABLE, category) == expected
    assert list(attributes_for(TABLE, category)) == list(expected)


def test_without_attributes_there_is_nothing():
    assert attributes_for((), "cow") == {}
    assert texts_of({}) == []


def test_each_text_has_one_value_each_of_some_attributes_in_the_order_of_the_file():
    texts = texts_of({"light": ("at dusk", "at noon"), "weather": ("in fog",)})
    assert set(texts) == {
        "a cow, at dusk",
        "a cow, at noon",
        "a cow, in fog",
        "a cow, at dusk, in fog",
        "a cow, at noon, in fog",
    }


def test_each_combination_comes_once_and_then_it_ends():
    texts = texts_of({"light": ("at dusk",), "weather": ("in fog",)})
    assert Counter(texts) == Counter(["a cow, at dusk", "a cow, in fog", "a cow, at dusk, in fog"])


def test_the_same_stream_gives_the_same_texts():
    values = attributes_for(TABLE, "wolf")
    assert texts_of(values, 50) == texts_of(values, 50)
    assert texts_of(values, 50) != texts_of(values, 50, seed=1)
